// The files of page/, made into constants by embed.cmake.
#pragma once

#include <cstddef>
#include <string_view>

namespace tool {

struct PageFile {
  std::string_view path;  // where it is served
  const char *type;
  std::string_view bytes;
};

struct PageFiles {
  const PageFile *first;
  size_t count;
  const PageFile *begin() const { return first; }
  const PageFile *end() const { return first + count; }
};

PageFiles page_files();

}  // namespace tool
