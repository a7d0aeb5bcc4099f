// Frame headers, masks and close payloads as RFC 6455 has them on the wire.
#include "core/frame.h"

#include <cstring>

#include "core/utf8.h"

namespace wsb::core {

namespace {

constexpr uint8_t kFinBit = 0x80;
constexpr uint8_t kRsv1Bit = 0x40;
constexpr uint8_t kRsv2And3Bits = 0x30;
constexpr uint8_t kMaskBit = 0x80;
constexpr uint8_t kLength16 = 126;
constexpr uint8_t kLength64 = 127;
constexpr bool kLittleEndian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

constexpr bool is_known_opcode(uint8_t opcode) noexcept {
  return (opcode & 0x7) <= 2;
}

HeaderResult judge_first_byte(uint8_t byte, bool rsv1_allowed, FrameHeader& out) noexcept {
  out.fin = (byte & kFinBit) != 0;
  out.rsv1 = (byte & kRsv1Bit) != 0;
  out.opcode = byte & 0xF;
  if ((byte & kRsv2And3Bits) != 0) return HeaderResult::kReservedBits;
  if (!is_known_opcode(out.opcode)) return HeaderResult::kBadOpcode;
  const bool starts_message =
      out.opcode == static_cast<uint8_t>(Opcode::kText) || out.opcode == static_cast<uint8_t>(Opcode::kBinary);
  if (out.rsv1 && !(rsv1_allowed && starts_message)) return HeaderResult::kReservedBits;
  if (is_control(out.opcode) && !out.fin) return HeaderResult::kControlFragmented;
  return HeaderResult::kOk;
}

uint64_t read_big_endian(const uint8_t* bytes, size_t n) noexcept {
  uint64_t value = 0;
  for (size_t i = 0; i < n; ++i) value = value << 8 | bytes[i];
  return value;
}

void write_big_endian(uint8_t* out, size_t n, uint64_t value) noexcept {
  for (size_t i = n; i > 0; --i, value >>= 8) out[i - 1] = static_cast<uint8_t>(value);
}

uint64_t load(const uint8_t* bytes) noexcept {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

void store(uint8_t* bytes, uint64_t word) noexcept {
  std::memcpy(bytes, &word, sizeof word);
}

// The extended length behind the first two bytes, of which `n` bytes are there.
HeaderResult read_length16(const uint8_t* bytes, size_t n, uint64_t& length) noexcept {
  if (n < 2) return HeaderResult::kNeedMore;
  length = read_big_endian(bytes, 2);
  return length < kLength16 ? HeaderResult::kLengthNotMinimal : HeaderResult::kOk;
}

HeaderResult read_length64(const uint8_t* bytes, size_t n, uint64_t& length) noexcept {
  constexpr size_t kBytesThatMustNotAllBeZero = 6;  // else 16 bits had been enough
  if (n >= 1 && (bytes[0] & 0x80) != 0) return HeaderResult::kLengthTooBig;
  if (n >= kBytesThatMustNotAllBeZero && read_big_endian(bytes, kBytesThatMustNotAllBeZero) == 0) {
    return HeaderResult::kLengthNotMinimal;
  }
  if (n < 8) return HeaderResult::kNeedMore;
  length = read_big_endian(bytes, 8);
  return HeaderResult::kOk;
}

}  // namespace

const char* header_error_text(HeaderResult result) noexcept {
  switch (result) {
    case HeaderResult::kReservedBits:
      return "reserved bit set";
    case HeaderResult::kBadOpcode:
      return "reserved opcode";
    case HeaderResult::kNotMasked:
      return "frame not masked";
    case HeaderResult::kControlTooLong:
      return "control frame longer than 125 bytes";
    case HeaderResult::kControlFragmented:
      return "fragmented control frame";
    case HeaderResult::kLengthNotMinimal:
      return "length not in its shortest form";
    case HeaderResult::kLengthTooBig:
      return "length with its top bit set";
    case HeaderResult::kOk:
    case HeaderResult::kNeedMore:
      break;
  }
  return "";
}

HeaderResult parse_header(const uint8_t* bytes, size_t n, bool rsv1_allowed, FrameHeader& out) noexcept {
  if (n < 1) return HeaderResult::kNeedMore;
  HeaderResult result = judge_first_byte(bytes[0], rsv1_allowed, out);
  if (result != HeaderResult::kOk) return result;

  if (n < 2) return HeaderResult::kNeedMore;
  if ((bytes[1] & kMaskBit) == 0) return HeaderResult::kNotMasked;
  const uint8_t short_length = bytes[1] & 0x7F;
  if (is_control(out.opcode) && short_length > kMaxControlPayload) return HeaderResult::kControlTooLong;

  size_t mask_at = 2;
  out.length = short_length;
  if (short_length == kLength16) {
    result = read_length16(bytes + 2, n - 2, out.length);
    mask_at = 4;
  } else if (short_length == kLength64) {
    result = read_length64(bytes + 2, n - 2, out.length);
    mask_at = 10;
  }
  if (result != HeaderResult::kOk) return result;

  if (n < mask_at + sizeof out.mask) return HeaderResult::kNeedMore;
  std::memcpy(out.mask, bytes + mask_at, sizeof out.mask);
  out.header_bytes = static_cast<uint8_t>(mask_at + sizeof out.mask);
  return HeaderResult::kOk;
}

size_t build_header(uint8_t* out, Opcode opcode, bool fin, bool rsv1, uint64_t length) noexcept {
  out[0] = static_cast<uint8_t>((fin ? kFinBit : 0) | (rsv1 ? kRsv1Bit : 0) | static_cast<uint8_t>(opcode));
  const size_t size = header_size(length);
  if (size == 2) {
    out[1] = static_cast<uint8_t>(length);
  } else {
    out[1] = size == 4 ? kLength16 : kLength64;
    write_big_endian(out + 2, size - 2, length);
  }
  return size;
}

void unmask(uint8_t* dst, const uint8_t* src, size_t n, const uint8_t mask[4], uint64_t offset) noexcept {
  uint32_t turned;
  std::memcpy(&turned, mask, sizeof turned);
  const unsigned turn = static_cast<unsigned>(offset & 3) * 8;
  if (turn != 0)
    turned = kLittleEndian ? turned >> turn | turned << (32 - turn) : turned << turn | turned >> (32 - turn);
  const uint64_t key = static_cast<uint64_t>(turned) << 32 | turned;

  // Blocks of constant size, loaded before they are stored: compilers make vector code of it even at -O2 and with dst
  // == src.
  constexpr size_t kBlock = 4 * sizeof key;
  for (; n >= kBlock; n -= kBlock, src += kBlock, dst += kBlock) {
    const uint64_t first = load(src) ^ key;
    const uint64_t second = load(src + 8) ^ key;
    const uint64_t third = load(src + 16) ^ key;
    const uint64_t fourth = load(src + 24) ^ key;
    store(dst, first);
    store(dst + 8, second);
    store(dst + 16, third);
    store(dst + 24, fourth);
  }
  for (; n >= sizeof key; n -= sizeof key, src += sizeof key, dst += sizeof key) {
    store(dst, load(src) ^ key);
  }
  uint8_t rest[sizeof key];
  std::memcpy(rest, &key, sizeof key);
  for (size_t i = 0; i < n; ++i) dst[i] = static_cast<uint8_t>(src[i] ^ rest[i]);
}

bool may_receive_close_code(uint32_t code) noexcept {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

bool may_send_close_code(uint32_t code) noexcept {
  return may_receive_close_code(code);
}

CloseResult parse_close(const uint8_t* payload, size_t n, ClosePayload& out) noexcept {
  out = ClosePayload{};
  if (n == 0) {
    out.code = 1005;
    return CloseResult::kOk;
  }
  if (n == 1) return CloseResult::kTooShort;
  out.code = static_cast<uint32_t>(read_big_endian(payload, 2));
  if (!may_receive_close_code(out.code)) return CloseResult::kBadCode;
  const std::string_view reason(reinterpret_cast<const char*>(payload) + 2, n - 2);
  if (!is_valid_utf8(reason)) return CloseResult::kBadReason;
  out.reason = reason;
  return CloseResult::kOk;
}

size_t build_close(uint8_t* out, uint32_t code, std::string_view reason) noexcept {
  if (code == 0 || code == 1005) return build_header(out, Opcode::kClose, true, false, 0);
  reason = reason.substr(0, kMaxCloseReason);  // keeps a caller's mistake inside the frame
  size_t at = build_header(out, Opcode::kClose, true, false, 2 + reason.size());
  write_big_endian(out + at, 2, code);
  at += 2;
  if (!reason.empty()) std::memcpy(out + at, reason.data(), reason.size());
  return at + reason.size();
}

}  // namespace wsb::core
