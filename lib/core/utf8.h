// UTF-8 (RFC 3629) checked incrementally: fails at the first byte that cannot belong to a valid text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wsb::core {

class Utf8Checker {
 public:
  // Takes the next bytes; false from the first impossible byte on (surrogates, overlong forms, above U+10FFFF
  // included), until reset.
  bool feed(const uint8_t* bytes, size_t n) noexcept;
  // True if no character is left unfinished.
  bool complete() const noexcept { return state_ == 0; }
  void reset() noexcept { state_ = 0; }

 private:
  // 0: between characters. Else: how many bytes the character still lacks, and the least and greatest that the next may
  // be.
  uint32_t state_ = 0;
};

// A whole text. Has a fast path for runs of ASCII.
bool is_valid_utf8(const void* bytes, size_t n) noexcept;
inline bool is_valid_utf8(std::string_view text) noexcept {
  return is_valid_utf8(text.data(), text.size());
}

}  // namespace wsb::core
