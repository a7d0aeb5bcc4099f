// RFC 6455, section 5: frame headers in and out, masks, close payloads and codes. No state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wsb::core {

enum class Opcode : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

inline constexpr size_t kMaxControlPayload = 125;  // RFC 6455, 5.5
inline constexpr size_t kMaxCloseReason = 123;     // the code takes two of them
inline constexpr size_t kMaxServerHeader = 10;     // 2 + 8 bytes of length, no mask
inline constexpr size_t kMaxClientHeader = 14;     // the same and a mask

inline constexpr bool is_control(uint8_t opcode) noexcept {
  return (opcode & 0x8) != 0;
}

struct FrameHeader {
  uint64_t length = 0;       // payload
  uint8_t mask[4] = {};      // in wire order
  uint8_t header_bytes = 0;  // of the header itself
  uint8_t opcode = 0;
  bool fin = false;
  bool rsv1 = false;
};

enum class HeaderResult : uint8_t {
  kOk,
  kNeedMore,        // not all of the header is there; nothing wrong so far
  kReservedBits,    // RSV2 or RSV3, or RSV1 where `rsv1_allowed` is false or on a control or continuation frame
  kBadOpcode,       // 3-7, 11-15
  kNotMasked,       // a client must mask (5.1)
  kControlTooLong,  // over 125 (5.5)
  kControlFragmented,
  kLengthNotMinimal,
  kLengthTooBig,  // the top bit of a 63-bit length is set
};

// What is wrong with a header; "" if nothing is.
const char* header_error_text(HeaderResult result) noexcept;

// Reads one client frame header from at most `n` bytes. Judges every bit as soon as its byte is there: an error is
// returned even if the rest of the header has not come.
HeaderResult parse_header(const uint8_t* bytes, size_t n, bool rsv1_allowed, FrameHeader& out) noexcept;

// Writes an unmasked server header with the shortest length; returns its size (2, 4 or 10).
size_t build_header(uint8_t* out, Opcode opcode, bool fin, bool rsv1, uint64_t length) noexcept;

// Size of what build_header would write.
inline constexpr size_t header_size(uint64_t length) noexcept {
  return length < 126 ? 2 : length < 65536 ? 4 : 10;
}

// dst[i] = src[i] ^ mask[(offset + i) & 3]; dst may be src. Eight bytes or more at a time.
void unmask(uint8_t* dst, const uint8_t* src, size_t n, const uint8_t mask[4], uint64_t offset) noexcept;

// May this code stand in a Close that a peer sends us: 1000-1003, 1007-1014, 3000-4999.
bool may_receive_close_code(uint32_t code) noexcept;
// May the application send it: the same set.
bool may_send_close_code(uint32_t code) noexcept;

struct ClosePayload {
  uint32_t code = 0;        // 1005 if the payload was empty
  std::string_view reason;  // points into the payload
};
enum class CloseResult : uint8_t { kOk, kTooShort /* one byte */, kBadCode, kBadReason /* not UTF-8 */ };
CloseResult parse_close(const uint8_t* payload, size_t n, ClosePayload& out) noexcept;

// Writes a whole unmasked Close frame into `out` (room for 127 bytes) and returns its size. code 0 or 1005: no payload.
// The reason must be valid and at most kMaxCloseReason.
size_t build_close(uint8_t* out, uint32_t code, std::string_view reason) noexcept;

}  // namespace wsb::core
