// For unit tests: reads what the server wrote as a strict client would.
#pragma once

#include <cstdint>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wsb::core::testing {

struct ServerFrame {
  uint8_t opcode = 0;
  std::string payload;
  bool rsv1 = false;

  bool operator==(const ServerFrame& other) const {
    return opcode == other.opcode && payload == other.payload && rsv1 == other.rsv1;
  }
};

using ServerFrames = std::vector<ServerFrame>;

inline ServerFrame text_frame(std::string payload) {
  return {1, std::move(payload), false};
}
inline ServerFrame binary_frame(std::string payload) {
  return {2, std::move(payload), false};
}
inline ServerFrame ping_frame(std::string payload) {
  return {9, std::move(payload), false};
}
inline ServerFrame pong_frame(std::string payload) {
  return {10, std::move(payload), false};
}
inline ServerFrame close_frame(uint32_t code, std::string_view reason = {}) {
  std::string payload;
  if (code != 1005) payload = {static_cast<char>(code >> 8), static_cast<char>(code & 0xFF)};
  return {8, payload.append(reason), false};
}

inline void PrintTo(const ServerFrame& frame, std::ostream* out) {
  *out << "opcode " << int{frame.opcode} << (frame.rsv1 ? " rsv1 " : " ") << '"';
  for (const char byte : frame.payload.substr(0, 40)) {
    const bool printable = byte >= ' ' && byte <= '~';
    *out << (printable ? std::string(1, byte) : "\\" + std::to_string(static_cast<uint8_t>(byte)));
  }
  *out << "\" of " << frame.payload.size();
}

// Takes the whole frames off the front of `wire`; what follows them must be the beginning of one. Throws
// std::logic_error for whatever a server may not send: all our frames are whole messages (RFC 6455, 5.1, 5.2, 5.5).
inline ServerFrames take_server_frames(std::string& wire) {
  const auto require = [](bool condition, const char* what) {
    if (!condition) throw std::logic_error(what);
  };
  ServerFrames frames;
  size_t at = 0;
  for (;;) {
    const std::string_view rest = std::string_view(wire).substr(at);
    if (rest.size() < 2) break;
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(rest[i]); };
    const uint8_t opcode = byte(0) & 0xF;
    const bool control = opcode >= 8;
    require((byte(0) & 0x80) != 0, "a fragment");
    require((byte(0) & 0x30) == 0, "RSV2 or RSV3");
    require((byte(0) & 0x40) == 0 || !control, "RSV1 on a control frame");
    require(opcode == 1 || opcode == 2 || (opcode >= 8 && opcode <= 10), "not an opcode");
    require((byte(1) & 0x80) == 0, "masked");
    size_t header = 2;
    size_t length = byte(1) & 0x7F;
    if (length >= 126) {
      require(!control, "long control frame");
      const size_t bytes = length == 126 ? 2 : 8;
      if (rest.size() < 2 + bytes) break;
      length = 0;
      for (size_t i = 0; i < bytes; ++i) length = length << 8 | byte(2 + i);
      require(length >= (bytes == 2 ? 126U : 65536U), "length not in its shortest form");
      header += bytes;
    }
    if (rest.size() < header + length) break;
    frames.push_back({opcode, std::string(rest.substr(header, length)), (byte(0) & 0x40) != 0});
    at += header + length;
  }
  wire.erase(0, at);
  return frames;
}

}  // namespace wsb::core::testing
