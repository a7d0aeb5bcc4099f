// permessage-deflate (RFC 7692) over zlib: negotiation of its four parameters, and one codec per direction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/byte_buffer.h"

namespace wsb::core {

struct DeflateConfig {
  bool enabled = false;
  uint8_t server_max_window_bits = 15;  // 9..15
  uint8_t client_max_window_bits = 15;  // 9..15; asked only of clients that offered the parameter
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
  uint8_t level = 1;
  uint8_t mem_level = 8;
};

// What was agreed.
struct DeflateParams {
  bool agreed = false;
  uint8_t server_max_window_bits = 15;  // 9..15
  uint8_t client_max_window_bits = 15;  // 8..15
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
};

// Judges all values of Sec-WebSocket-Extensions, joined by commas in order (RFC 6455, 9.1; RFC 7692, 7.1). Takes the
// first acceptable permessage-deflate offer; other extensions are ignored; an offer with an unknown, repeated or
// ill-valued parameter is declined, not an error. `out` says what was agreed (reset if nothing was); `response`
// receives the value to answer (untouched if nothing was agreed). Returns false only if the header itself is not
// well-formed (then 400; out and response as if nothing was agreed); empty members, and no text at all, are
// well-formed. Window bits 8 from a client: declined for server_max_window_bits (zlib cannot), accepted for client.
bool negotiate_deflate(std::string_view offers, const DeflateConfig& config, DeflateParams& out, std::string& response);

enum class InflateResult : uint8_t { kOk, kTooBig, kCorrupt, kNoMemory };

// Messages from the peer. Memory is taken on first use (7 KiB and the agreed window) and given back after each message
// if client_no_context_takeover was agreed. After any result but kOk it must not be used any more.
class Inflater {
 public:
  explicit Inflater(const DeflateParams& params) noexcept;
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Inflates the next payload bytes of one message and appends to `out`, which never grows beyond `max_out` bytes
  // (kTooBig; out.size() <= max_out). Output that came before an error is in `out`.
  // `last`: these are the message's last bytes: the 00 00 FF FF tail is supplied, and the context dropped if so agreed.
  // Final deflate blocks (BFINAL) are legal anywhere in a message (RFC 7692, 7.2.3.4-5); what follows one continues
  // with the same window. A peer that looks back beyond the window it agreed to is kCorrupt unless the bytes happen to
  // be in reach.
  // A message must end at a byte-aligned block boundary. Two ends that the RFC does not demand are accepted: right
  // after a final block without the 00 byte, and a message without any byte, which is empty.
  InflateResult inflate(const uint8_t* bytes, size_t n, bool last, size_t max_out, ByteBuffer& out) noexcept;

  // What one call of inflate_some did.
  struct Step {
    size_t taken = 0;    // of the input
    size_t written = 0;  // to the output
    // All input was taken and all its output written; with `last` the message is complete. Else the output is full.
    bool done = false;
  };
  // The same in bounded pieces: writes at most `room` (> 0) bytes to `out`. Call again with the rest of the input,
  // which may be none, until done. `step` tells of output written even if the result is an error.
  InflateResult inflate_some(const uint8_t* bytes, size_t n, bool last, uint8_t* out, size_t room, Step& step) noexcept;

 private:
  struct Impl;
  bool start() noexcept;
  void end_message() noexcept;

  std::unique_ptr<Impl> impl_;
  DeflateParams params_;
};

// Messages to the peer. Memory is taken on first use (about (1 << (bits + 2)) + (1 << (mem_level + 9)) bytes and 6 KiB)
// and given back after each message if server_no_context_takeover was agreed.
class Deflater {
 public:
  Deflater(const DeflateParams& params, uint8_t level, uint8_t mem_level) noexcept;
  ~Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  // Compresses one whole message and appends it to `out` without the 00 00 FF FF tail. False on lack of memory: `out`
  // has its old content, and the message may be sent uncompressed (the context starts anew, which no peer notices).
  bool deflate(const uint8_t* bytes, size_t n, ByteBuffer& out) noexcept;

 private:
  struct Impl;
  bool start() noexcept;

  std::unique_ptr<Impl> impl_;
  DeflateParams params_;
  uint8_t level_;
  uint8_t mem_level_;
};

}  // namespace wsb::core
