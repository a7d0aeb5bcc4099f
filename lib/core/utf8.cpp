// The well-formed byte sequences of RFC 3629, section 4, as ranges for the next byte.
#include "core/utf8.h"

#include <cstring>

namespace wsb::core {

namespace {

// State: bytes lacking | least next byte << 8 | greatest next byte << 16.
constexpr uint32_t make_state(uint32_t lacking, uint32_t least, uint32_t greatest) noexcept {
  return lacking | least << 8 | greatest << 16;
}
constexpr uint32_t kFailed = make_state(1, 1, 0);  // no byte fits, so it stays

uint32_t after_lead(uint8_t byte) noexcept {
  if (byte < 0xC2) return kFailed;  // a continuation byte, or the lead of an overlong form
  if (byte < 0xE0) return make_state(1, 0x80, 0xBF);
  if (byte < 0xF0) {
    if (byte == 0xE0) return make_state(2, 0xA0, 0xBF);  // below: overlong
    if (byte == 0xED) return make_state(2, 0x80, 0x9F);  // above: surrogates
    return make_state(2, 0x80, 0xBF);
  }
  if (byte == 0xF0) return make_state(3, 0x90, 0xBF);  // below: overlong
  if (byte < 0xF4) return make_state(3, 0x80, 0xBF);
  if (byte == 0xF4) return make_state(3, 0x80, 0x8F);  // above: beyond U+10FFFF
  return kFailed;
}

uint32_t after_continuation(uint32_t state, uint8_t byte) noexcept {
  if (byte < (state >> 8 & 0xFF) || byte > state >> 16) return kFailed;
  const uint32_t lacking = (state & 0xFF) - 1;
  return lacking == 0 ? 0 : make_state(lacking, 0x80, 0xBF);
}

const uint8_t* skip_ascii(const uint8_t* at, const uint8_t* end) noexcept {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  uint64_t words[4];
  for (; static_cast<size_t>(end - at) >= sizeof words; at += sizeof words) {
    std::memcpy(words, at, sizeof words);
    if (((words[0] | words[1] | words[2] | words[3]) & kHighBits) != 0) break;
  }
  for (; static_cast<size_t>(end - at) >= sizeof words[0]; at += sizeof words[0]) {
    std::memcpy(words, at, sizeof words[0]);
    if ((words[0] & kHighBits) != 0) break;
  }
  while (at != end && *at < 0x80) ++at;
  return at;
}

constexpr bool is_continuation(uint8_t byte) noexcept {
  return (byte & 0xC0) == 0x80;
}

// Passes whole characters whose lead leaves every continuation byte legal. Stops before all else, which the states
// judge.
const uint8_t* skip_common_characters(const uint8_t* at, const uint8_t* end) noexcept {
  while (end - at >= 4) {
    if (*at >= 0xC2 && *at < 0xE0 && is_continuation(at[1])) {
      at += 2;
    } else if (*at > 0xE0 && *at < 0xF0 && *at != 0xED && is_continuation(at[1]) && is_continuation(at[2])) {
      at += 3;
    } else {
      break;
    }
  }
  return at;
}

}  // namespace

bool Utf8Checker::feed(const uint8_t* bytes, size_t n) noexcept {
  const uint8_t* at = bytes;
  const uint8_t* const end = bytes + n;
  uint32_t state = state_;
  while (at != end) {
    if (state != 0) {
      state = after_continuation(state, *at++);
      if (state == kFailed) break;
    } else if (*at < 0x80) {
      at = skip_ascii(at, end);
    } else {
      at = skip_common_characters(at, end);
      if (at != end && *at >= 0x80) state = after_lead(*at++);
      if (state == kFailed) break;
    }
  }
  state_ = state;
  return state != kFailed;
}

bool is_valid_utf8(const void* bytes, size_t n) noexcept {
  Utf8Checker checker;
  return checker.feed(static_cast<const uint8_t*>(bytes), n) && checker.complete();
}

}  // namespace wsb::core
