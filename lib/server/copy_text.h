// Texts handed to C callers, as snprintf does it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace wsb::server {

// Cut at `capacity`, NUL-terminated if that is not 0. Returns the full length.
inline int64_t copy_text(std::string_view text, char* buffer, size_t capacity) noexcept {
  if (capacity != 0) {
    const size_t n = std::min(text.size(), capacity - 1);
    if (n != 0) std::memcpy(buffer, text.data(), n);
    buffer[n] = '\0';
  }
  return static_cast<int64_t>(text.size());
}

}  // namespace wsb::server
