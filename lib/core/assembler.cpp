// From frames to messages. Every function that takes payload returns kNeedMore both when the input is used up and when
// the frame ended without an event; in_frame_ tells which.
#include "core/assembler.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "core/byte_buffer.h"

namespace wsb::core {

namespace {

constexpr size_t kReserveAtOnceBytes = 1 << 20;  // an announced length is believed up to here
constexpr size_t kInflatedPieceBytes = 64 * 1024;
constexpr size_t kMostPlacedBytes = 512 * 1024;  // then other connections get their turn
constexpr size_t kKeptBufferBytes = 4096;        // a larger message buffer is freed after each message
constexpr uint8_t kNothing[1] = {};              // what empty events point to

// What the first `fragments` frames of a message of `limit` bytes may take on the wire. Deflate makes incompressible bytes longer:
// zlib at its worst setting by less than a sixth and some bytes (deflateBound), and the flush at the end of a fragment by the end of
// a block and an empty stored one, which is less than 16 bytes.
constexpr uint64_t compressed_limit(uint64_t limit, uint32_t fragments) noexcept {
  return limit + limit / 4 + 1024 + uint64_t{fragments - 1} * 16;
}

}  // namespace

struct Assembler::Input {
  uint8_t* at;
  size_t left;

  void skip(size_t n) noexcept {
    at += n;
    left -= n;
  }
};

// Its memory comes from what the thread has kept: messages that come in several reads need one each.
struct Assembler::Partial {
  static void* operator new(size_t n, const std::nothrow_t& /*tag*/) noexcept {
    Buffer* const buffer = Buffer::create(n);
    return buffer != nullptr ? buffer->bytes() : nullptr;
  }
  static void operator delete(void* memory) noexcept { (static_cast<Buffer*>(memory) - 1)->release(); }

  ByteBuffer message;   // whole-message mode: what came so far; streaming: the inflated piece
  size_t unmasked = 0;  // streaming and compressed: bytes at the head of the next input that are unmasked already
  uint8_t header_have = 0;
  uint8_t header[kMaxClientHeader];
  uint8_t control[kMaxControlPayload];
};

Assembler::Assembler(const AssemblerLimits& limits, bool streaming, const DeflateParams* deflate) noexcept
    : limits_(limits), deflate_(deflate != nullptr && deflate->agreed ? deflate : nullptr), streaming_(streaming) {
  static_assert(sizeof(Assembler) <= 120, "every idle connection has one");
  limits_.max_message_bytes = std::min<uint64_t>(limits_.max_message_bytes, PTRDIFF_MAX);
}

Assembler::~Assembler() = default;

size_t Assembler::held_bytes() const noexcept {
  return partial_ == nullptr ? 0 : sizeof(Partial) + partial_->message.capacity();
}

Event Assembler::next(uint8_t* bytes, size_t n, size_t& consumed, EventData& out) noexcept {
  consumed = 0;
  out = EventData{};
  if (error_ != StreamError::kNone) return Event::kError;
  if (n == 0) return Event::kNeedMore;

  Input in{bytes, n};
  in.skip(given_back_);
  given_back_ = 0;
  let_go_of_last_event();
  const Event event = run(in, out);
  if (own_event_ && in.left == 0) given_back_ = 1;
  if (!own_event_ && partial_ != nullptr && is_idle()) partial_.reset();
  consumed = n - in.left - given_back_;
  return event;
}

void Assembler::let_go_of_last_event() noexcept {
  own_event_ = false;
  if (discard_) inflater_.reset();
  if (partial_ == nullptr || (message_open_ && !discard_)) return;
  partial_->message.clear();
  if (partial_->message.capacity() > kKeptBufferBytes) partial_->message.release();
}

Place Assembler::place(size_t least) noexcept {
  const bool plain_rest = in_frame_ && !is_control(frame_.opcode) && !streaming_ && !compressed_ && !discard_;
  if (!plain_rest || frame_left_ < least || error_ != StreamError::kNone) return {};
  const size_t wanted = static_cast<size_t>(std::min<uint64_t>(frame_left_, kMostPlacedBytes));
  if (!need_partial() || !make_message_room(wanted)) return {};
  return {partial_->message.data() + partial_->message.size(), wanted};
}

BufferRef Assembler::share_message(Opcode opcode, const void* data, size_t n) noexcept {
  if (!own_event_ || streaming_ || partial_ == nullptr) return {};
  ByteBuffer& message = partial_->message;
  // A small buffer would be used again.
  const bool shareable = message.capacity() > kKeptBufferBytes && message.data() == data && message.size() == n;
  return shareable ? message.share(opcode) : BufferRef();
}

bool Assembler::is_idle() const noexcept {
  const bool in_control_frame = in_frame_ && is_control(frame_.opcode);
  return partial_->header_have == 0 && !in_control_frame && (!message_open_ || discard_);
}

Event Assembler::run(Input& in, EventData& out) noexcept {
  for (;;) {
    if (!in_frame_) {
      const Event event = begin_frame(in);
      if (!in_frame_) return event;
    }
    const Event event = is_control(frame_.opcode) ? take_control(in, out) : take_data(in, out);
    if (event != Event::kNeedMore || in_frame_) return event;
  }
}

// ------------------------------------------------------------------------------------------------------------- headers

Event Assembler::begin_frame(Input& in) noexcept {
  const size_t have = partial_ == nullptr ? 0 : partial_->header_have;
  if (in.left == 0) return Event::kNeedMore;
  if (have == 0 && !fits_sequence(in.at[0])) return Event::kError;
  const Event event = read_header(in);
  return in_frame_ ? judge_frame() : event;
}

// The next header, which may have come in parts. Sets in_frame_ when it is complete.
Event Assembler::read_header(Input& in) noexcept {
  const bool rsv1_allowed = deflate_ != nullptr;
  const size_t have = partial_ == nullptr ? 0 : partial_->header_have;
  const size_t taken = std::min(in.left, kMaxClientHeader - have);
  HeaderResult result;
  if (have == 0) {
    result = parse_header(in.at, in.left, rsv1_allowed, frame_);
  } else {
    std::memcpy(partial_->header + have, in.at, taken);
    result = parse_header(partial_->header, have + taken, rsv1_allowed, frame_);
  }
  if (result == HeaderResult::kOk) {
    in.skip(frame_.header_bytes - have);
    if (have != 0) partial_->header_have = 0;
    frame_left_ = frame_.length;
    in_frame_ = true;
    return Event::kNeedMore;
  }
  if (result != HeaderResult::kNeedMore) return fail_header(result);

  if (!need_partial()) return fail_memory();
  if (have == 0) std::memcpy(partial_->header, in.at, taken);
  partial_->header_have = static_cast<uint8_t>(have + taken);
  in.skip(taken);
  if (!is_control(frame_.opcode)) in_message_ = true;
  return Event::kNeedMore;
}

// Judged at a frame's first byte, like its bits.
bool Assembler::fits_sequence(uint8_t first_byte) noexcept {
  const uint8_t opcode = first_byte & 0xF;
  if (opcode == static_cast<uint8_t>(Opcode::kContinuation) && !message_open_) {
    fail(StreamError::kProtocol, "continuation frame without a message to continue");
    return false;
  }
  if ((opcode == static_cast<uint8_t>(Opcode::kText) || opcode == static_cast<uint8_t>(Opcode::kBinary)) &&
      message_open_) {
    fail(StreamError::kProtocol, "new message inside a fragmented one");
    return false;
  }
  return true;
}

Event Assembler::judge_frame() noexcept {
  if (is_control(frame_.opcode)) return Event::kNeedMore;
  if (frame_.opcode != static_cast<uint8_t>(Opcode::kContinuation)) {
    in_message_ = message_open_ = true;
    text_ = frame_.opcode == static_cast<uint8_t>(Opcode::kText);
    compressed_ = frame_.rsv1;
    wire_bytes_ = reported_bytes_ = 0;
    fragments_ = 0;
    utf8_.reset();
  }
  if (discard_) return Event::kNeedMore;
  if (fragments_ == limits_.max_fragments) return fail(StreamError::kTooManyFragments, "message in too many fragments");
  ++fragments_;
  const uint64_t most = limits_.max_message_bytes;
  const uint64_t limit = compressed_ ? compressed_limit(most, fragments_) : most;
  if (frame_.length > limit - wire_bytes_) return fail(StreamError::kTooBig, "message too big");
  wire_bytes_ += frame_.length;
  return Event::kNeedMore;
}

// ------------------------------------------------------------------------------------------------------------- payload

bool Assembler::lies_whole_in(const Input& in) const noexcept {
  return frame_left_ == frame_.length && frame_.length <= in.left;
}

size_t Assembler::available(const Input& in) const noexcept {
  return static_cast<size_t>(std::min<uint64_t>(in.left, frame_left_));
}

void Assembler::advance(Input& in, size_t n) noexcept {
  in.skip(n);
  frame_left_ -= n;
  in_frame_ = frame_left_ > 0;
}

Event Assembler::take_control(Input& in, EventData& out) noexcept {
  const size_t take = available(in);
  const size_t have = static_cast<size_t>(frame_.length - frame_left_);
  if (lies_whole_in(in)) {
    unmask(in.at, in.at, take, frame_.mask, 0);
    out.data = in.at;
  } else {
    if (!need_partial()) return fail_memory();
    unmask(partial_->control + have, in.at, take, frame_.mask, have);
    out.data = partial_->control;
    own_event_ = take == frame_left_;
  }
  advance(in, take);
  if (in_frame_) return Event::kNeedMore;
  out.length = have + take;
  if (frame_.opcode == static_cast<uint8_t>(Opcode::kPing)) return Event::kPing;
  return frame_.opcode == static_cast<uint8_t>(Opcode::kPong) ? Event::kPong : Event::kClose;
}

Event Assembler::take_data(Input& in, EventData& out) noexcept {
  if (discard_) return skip_payload(in);
  if (streaming_) return compressed_ ? inflated_piece(in, out) : plain_piece(in, out);
  return compressed_ ? inflated_message(in, out) : plain_message(in, out);
}

Event Assembler::skip_payload(Input& in) noexcept {
  advance(in, available(in));
  if (!in_frame_ && frame_.fin) in_message_ = message_open_ = false;
  return Event::kNeedMore;
}

Event Assembler::plain_message(Input& in, EventData& out) noexcept {
  const size_t take = available(in);
  if (take == 0 && frame_left_ > 0) return Event::kNeedMore;
  if (frame_.fin && frame_.opcode != static_cast<uint8_t>(Opcode::kContinuation) && lies_whole_in(in)) {
    unmask(in.at, in.at, take, frame_.mask, 0);
    if (!check_text(in.at, take)) return fail_text();
    const uint8_t* const data = in.at;
    advance(in, take);
    return report_message(out, data, take);
  }

  if (!need_partial() || !make_message_room(take)) return fail_memory();
  ByteBuffer& message = partial_->message;
  uint8_t* const to = message.data() + message.size();
  unmask(to, in.at, take, frame_.mask, frame_.length - frame_left_);
  message.set_size(message.size() + take);
  if (!check_text(to, take)) return fail_text();
  advance(in, take);
  return end_of_payload(out);
}

// Frames of one message that are not its last say nothing about its size, so the buffer doubles; the last one does.
bool Assembler::make_message_room(size_t n) noexcept {
  ByteBuffer& message = partial_->message;
  const size_t frame_rest = static_cast<size_t>(frame_left_);
  const size_t most = frame_.fin ? message.size() + frame_rest : static_cast<size_t>(limits_.max_message_bytes);
  if (n <= message.capacity() - message.size()) return true;
  return message.make_room(std::max(n, std::min(frame_rest, kReserveAtOnceBytes)), most);
}

Event Assembler::inflated_message(Input& in, EventData& out) noexcept {
  const size_t take = available(in);
  if (take == 0 && frame_left_ > 0) return Event::kNeedMore;
  if (!need_partial() || !need_inflater()) return fail_memory();
  unmask(in.at, in.at, take, frame_.mask, frame_.length - frame_left_);
  ByteBuffer& message = partial_->message;
  const size_t before = message.size();
  const bool last = frame_.fin && take == frame_left_;
  const InflateResult result =
      inflater_->inflate(in.at, take, last, static_cast<size_t>(limits_.max_message_bytes), message);
  // What was inflated before an error came first, so it is judged first.
  if (!check_text(message.data() + before, message.size() - before)) return fail_text();
  if (result != InflateResult::kOk) return fail_inflate(result);
  advance(in, take);
  return end_of_payload(out);
}

Event Assembler::plain_piece(Input& in, EventData& out) noexcept {
  const size_t take = available(in);
  if (take == 0 && frame_left_ > 0) return Event::kNeedMore;
  const uint8_t* const data = in.at;
  unmask(in.at, in.at, take, frame_.mask, frame_.length - frame_left_);
  if (!check_text(data, take)) return fail_text();
  advance(in, take);
  const bool last = frame_.fin && !in_frame_;
  return take == 0 && !last ? Event::kNeedMore : report_piece(out, data, take, last);
}

Event Assembler::inflated_piece(Input& in, EventData& out) noexcept {
  if (!need_partial() || !need_inflater()) return fail_memory();
  ByteBuffer& piece = partial_->message;
  if (!piece.reserve(kInflatedPieceBytes)) return fail_memory();

  // Inflation may stop before the input's end, so the bytes that are left are remembered as unmasked.
  const size_t offered = available(in);
  size_t& unmasked = partial_->unmasked;
  unmask(in.at + unmasked, in.at + unmasked, offered - unmasked, frame_.mask, frame_.length - frame_left_ + unmasked);

  // One byte more than the limit leaves is enough to see that it was passed.
  const uint64_t limit_left = limits_.max_message_bytes - reported_bytes_;
  const size_t room = static_cast<size_t>(std::min<uint64_t>(kInflatedPieceBytes, limit_left + 1));
  const bool last = frame_.fin && offered == frame_left_;
  Inflater::Step step;
  const InflateResult result = inflater_->inflate_some(in.at, offered, last, piece.data(), room, step);
  if (!check_text(piece.data(), static_cast<size_t>(std::min<uint64_t>(step.written, limit_left)))) return fail_text();
  if (step.written > limit_left) return fail_inflate(InflateResult::kTooBig);
  if (result != InflateResult::kOk) return fail_inflate(result);

  unmasked = offered - step.taken;
  advance(in, step.taken);
  if (!step.done) in_frame_ = true;  // even if the payload is used up, more output waits
  const bool complete = step.done && last;
  if (step.written == 0 && !complete) return Event::kNeedMore;
  own_event_ = true;
  return report_piece(out, piece.data(), step.written, complete);
}

// ------------------------------------------------------------------------------------------------------------- reports

// Whole-message mode, some payload was stored.
Event Assembler::end_of_payload(EventData& out) noexcept {
  if (in_frame_ || !frame_.fin) return Event::kNeedMore;
  own_event_ = true;
  return report_message(out, partial_->message.data(), partial_->message.size());
}

Event Assembler::report_message(EventData& out, const uint8_t* data, size_t length) noexcept {
  if (text_ && !utf8_.complete()) return fail_text();
  in_message_ = message_open_ = false;
  out.data = length == 0 ? kNothing : data;
  out.length = length;
  out.text = text_;
  return Event::kMessage;
}

Event Assembler::report_piece(EventData& out, const uint8_t* data, size_t length, bool last) noexcept {
  if (last && text_ && !utf8_.complete()) return fail_text();
  if (last) in_message_ = message_open_ = false;
  out.data = length == 0 ? kNothing : data;
  out.length = length;
  out.offset = reported_bytes_;
  out.text = text_;
  out.last = last;
  reported_bytes_ += length;
  return Event::kFragment;
}

// -------------------------------------------------------------------------------------------------------------- memory

bool Assembler::need_partial() noexcept {
  if (partial_ == nullptr) partial_.reset(new (std::nothrow) Partial);
  return partial_ != nullptr;
}

bool Assembler::need_inflater() noexcept {
  if (inflater_ == nullptr) inflater_.reset(new (std::nothrow) Inflater(*deflate_));
  return inflater_ != nullptr;
}

// -------------------------------------------------------------------------------------------------------------- errors

Event Assembler::fail(StreamError error, const char* text) noexcept {
  error_ = error;
  error_text_ = text;
  in_frame_ = in_message_ = message_open_ = own_event_ = false;
  partial_.reset();
  inflater_.reset();
  return Event::kError;
}

Event Assembler::fail_header(HeaderResult result) noexcept {
  return fail(StreamError::kProtocol, header_error_text(result));
}

Event Assembler::fail_inflate(InflateResult result) noexcept {
  if (result == InflateResult::kNoMemory) return fail_memory();
  if (result == InflateResult::kTooBig) return fail(StreamError::kTooBig, "message too big");
  return fail(StreamError::kCorruptDeflate, "compressed message is corrupt");
}

Event Assembler::fail_text() noexcept {
  return fail(StreamError::kInvalidText, "text is not UTF-8");
}

Event Assembler::fail_memory() noexcept {
  return fail(StreamError::kNoMemory, "out of memory");
}

}  // namespace wsb::core
