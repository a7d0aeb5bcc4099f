// The time type of the core: microseconds of a monotonic clock, always passed in.
#pragma once

#include <cstdint>

namespace wsb::core {

using TimeUs = uint64_t;
inline constexpr TimeUs kNever = UINT64_MAX;
inline constexpr TimeUs from_ms(uint64_t ms) noexcept {
  return ms * 1000;
}

}  // namespace wsb::core
