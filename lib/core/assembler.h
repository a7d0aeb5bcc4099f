// Bytes from one client after its handshake, into messages and control frames (RFC 6455, section 5; RFC 7692 when
// agreed). Knows nothing of closing or time: it reports, the connection decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/buffer.h"
#include "core/deflate.h"
#include "core/frame.h"
#include "core/transport.h"
#include "core/utf8.h"

namespace wsb::core {

struct AssemblerLimits {
  uint64_t max_message_bytes =
      1 << 20;  // payload, after inflation; on the wire it may be longer by what deflate can add
  uint32_t max_fragments = 65536;
};

// Why a stream is broken; the connection maps it to a close code and cause.
enum class StreamError : uint8_t {
  kNone,
  kProtocol,          // 1002
  kInvalidText,       // 1007
  kTooBig,            // 1009
  kTooManyFragments,  // 1008
  kCorruptDeflate,    // 1007
  kNoMemory,          // 1011
};

// What a call of Assembler::next found.
enum class Event : uint8_t {
  kNeedMore,  // all bytes are consumed and nothing is complete
  kMessage,   // data, length, text: a whole message (whole-message mode)
  kFragment,  // a piece: data, length, text, offset, last (streaming mode)
  kPing,      // data, length
  kPong,      // data, length
  kClose,     // data, length: the payload, not yet judged
  kError,     // error(); the assembler must not be used any more
};

struct EventData {
  const uint8_t* data =
      nullptr;  // valid until the next call; points into the input or into the assembler; never null after an event
  size_t length = 0;
  uint64_t offset = 0;  // kFragment: bytes of the message before this piece
  bool text = false;
  bool last = false;  // kFragment
};

class Assembler {
 public:
  // `streaming`: pieces as they come (kFragment) instead of whole messages.
  // `deflate` may be null; it must outlive the assembler. RSV1 is legal only with it, and if it says agreed.
  Assembler(const AssemblerLimits& limits, bool streaming, const DeflateParams* deflate) noexcept;
  ~Assembler();
  Assembler(const Assembler&) = delete;
  Assembler& operator=(const Assembler&) = delete;

  // Consumes bytes from [bytes, bytes + n) up to the end of the next event, and tells how many in `consumed`. The input
  // is unmasked in place. Call again with the rest (as this call left it; more may have been appended) while there is
  // any, or until kNeedMore. After an event whose data lies in the assembler some of the input always stays unconsumed,
  // so that the call that takes it lets go of that memory: nothing is held once all input is consumed and no message is
  // begun.
  // A frame that lies whole in the input costs no copy and no allocation (uncompressed, unfragmented); a longer one is
  // unmasked once, into the message buffer. Any split of the same bytes into calls gives the same events (pieces of
  // kFragment may differ in their cuts, and in how many of them precede an error in their message).
  // A length over the limit (of compressed frames: over what the limit can become) is kTooBig as soon as the header is
  // there. Text fails at its first bad byte, whether the
  // frame is complete or not. Control frames may come between the fragments of a message. Pieces are never empty, but
  // the last may be; inflated ones are at most 64 KiB.
  Event next(uint8_t* bytes, size_t n, size_t& consumed, EventData& out) noexcept;

  StreamError error() const noexcept { return error_; }
  // A one-line English description of error(), static storage.
  const char* error_text() const noexcept { return error_text_; }
  // True from a message's first byte to its end (for message_timeout).
  bool in_message() const noexcept { return in_message_; }
  // Bytes held for unfinished frames and messages, the inflater's own memory not counted.
  size_t held_bytes() const noexcept;
  // Where the rest of a frame had best be put, if at least that many bytes of it are missing: what next() finds there is not copied. Memory for as many or
  // more, else empty.
  Place place(size_t least) noexcept;
  // The message of the last event for sending on, without a copy. Null unless these are its bytes and they lie in the assembler.
  BufferRef share_message(Opcode opcode, const void* data, size_t n) noexcept;
  // From now on data messages are parsed but not kept, held to limits, checked as text, or reported (after our own
  // Close); control frames still are, and framing is still judged. The last event's data stays valid until the next
  // call.
  void discard_data() noexcept { discard_ = true; }

 private:
  struct Partial;  // buffers, allocated when a frame or message does not come whole; freed when it ends
  struct Input;

  Event run(Input& in, EventData& out) noexcept;
  Event begin_frame(Input& in) noexcept;
  Event read_header(Input& in) noexcept;
  Event judge_frame() noexcept;
  Event take_control(Input& in, EventData& out) noexcept;
  Event take_data(Input& in, EventData& out) noexcept;
  Event skip_payload(Input& in) noexcept;
  Event plain_message(Input& in, EventData& out) noexcept;
  Event plain_piece(Input& in, EventData& out) noexcept;
  Event inflated_message(Input& in, EventData& out) noexcept;
  Event inflated_piece(Input& in, EventData& out) noexcept;

  bool lies_whole_in(const Input& in) const noexcept;
  size_t available(const Input& in) const noexcept;
  void advance(Input& in, size_t n) noexcept;
  bool fits_sequence(uint8_t first_byte) noexcept;
  bool check_text(const uint8_t* bytes, size_t n) noexcept { return !text_ || utf8_.feed(bytes, n); }
  bool need_partial() noexcept;
  bool need_inflater() noexcept;
  bool make_message_room(size_t n) noexcept;
  Event end_of_payload(EventData& out) noexcept;
  Event report_message(EventData& out, const uint8_t* data, size_t length) noexcept;
  Event report_piece(EventData& out, const uint8_t* data, size_t length, bool last) noexcept;
  void let_go_of_last_event() noexcept;
  bool is_idle() const noexcept;

  Event fail(StreamError error, const char* text) noexcept;
  Event fail_header(HeaderResult result) noexcept;
  Event fail_inflate(InflateResult result) noexcept;
  Event fail_text() noexcept;
  Event fail_memory() noexcept;

  AssemblerLimits limits_;
  const DeflateParams* deflate_;
  std::unique_ptr<Partial> partial_;
  std::unique_ptr<Inflater> inflater_;
  const char* error_text_ = "";
  FrameHeader frame_;            // of the frame that is being read
  uint64_t frame_left_ = 0;      // of its payload
  uint64_t wire_bytes_ = 0;      // payload announced by the message's frames so far
  uint64_t reported_bytes_ = 0;  // of the message, in pieces
  uint32_t fragments_ = 0;
  Utf8Checker utf8_;
  StreamError error_ = StreamError::kNone;
  uint8_t given_back_ = 0;  // bytes at the head of the next input that were processed already
  bool streaming_;
  bool discard_ = false;
  bool in_message_ = false;
  bool message_open_ = false;  // its first header was read, its last payload not
  bool in_frame_ = false;
  bool text_ = false;
  bool compressed_ = false;
  bool own_event_ = false;  // the last event's data lies in partial_
};

}  // namespace wsb::core
