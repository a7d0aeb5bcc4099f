// page/index.html, made into a constant by embed.cmake.
#pragma once

#include <string_view>

namespace tool {

std::string_view page();

}  // namespace tool
