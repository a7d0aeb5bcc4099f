// UTF-8: the checker, in any cuts, says what a plain decoder says. The first byte seeds the cuts.
#include <cstdint>
#include <cstdlib>
#include <random>

#include "core/utf8.h"

namespace {

using namespace wsb::core;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Decoded {
  bool valid = true;     // no byte is impossible
  bool complete = true;  // and no character unfinished
};

size_t length_of(uint8_t lead) {
  if (lead < 0x80) return 1;
  if ((lead & 0xE0) == 0xC0) return 2;
  if ((lead & 0xF0) == 0xE0) return 3;
  if ((lead & 0xF8) == 0xF0) return 4;
  return 0;
}

// Can the first `n` bytes of a character of `length` bytes be filled up to a code point that may be encoded so?
bool can_become_valid(const uint8_t* bytes, size_t n, size_t length) {
  uint32_t code = length == 1 ? bytes[0] : bytes[0] & (0xFFu >> (length + 1));
  for (size_t i = 1; i < n; ++i) {
    if ((bytes[i] & 0xC0) != 0x80) return false;
    code = code << 6 | (bytes[i] & 0x3F);
  }
  const size_t missing_bits = 6 * (length - n);
  const uint32_t least = code << missing_bits;
  const uint32_t greatest = least | ((1u << missing_bits) - 1);
  constexpr uint32_t kLeastOfLength[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool only_surrogates = least >= 0xD800 && greatest <= 0xDFFF;
  return greatest >= kLeastOfLength[length] && least <= 0x10FFFF && !only_surrogates;
}

Decoded decode(const uint8_t* bytes, size_t n) {
  for (size_t at = 0; at < n;) {
    const size_t length = length_of(bytes[at]);
    if (length == 0) return {false, false};
    const size_t have = std::min(length, n - at);
    for (size_t prefix = 1; prefix <= have; ++prefix) {
      if (!can_become_valid(bytes + at, prefix, length)) return {false, false};
    }
    if (have < length) return {true, false};
    at += length;
  }
  return {};
}

void check_cuts(const uint8_t* bytes, size_t n, const Decoded& expected, uint32_t seed) {
  std::minstd_rand random(seed + 1);
  Utf8Checker checker;
  bool fed = true;
  for (size_t at = 0; at < n && fed;) {
    const size_t part = std::min<size_t>(random() % 20, n - at);
    fed = checker.feed(bytes + at, part);
    at += part;
    if (at <= 64 || !fed) require(fed == decode(bytes, at).valid);
  }
  require(fed == expected.valid);
  require(checker.complete() == expected.complete);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  if (n == 0) return 0;
  const uint8_t* const text = bytes + 1;
  const Decoded expected = decode(text, n - 1);
  require(is_valid_utf8(text, n - 1) == expected.complete);
  check_cuts(text, n - 1, expected, bytes[0]);
  return 0;
}
