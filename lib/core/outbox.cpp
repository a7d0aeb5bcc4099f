// Queueing, gathering and dropping of outgoing frames.
#include "core/outbox.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace wsb::core {

namespace {
constexpr size_t kMaxCoalesced = 4096;  // longer frames get a buffer of their own
constexpr size_t kKeptCapacity = 8;     // pieces whose table an empty outbox may keep
constexpr size_t kKeptControlBytes = 256;
}  // namespace

bool Outbox::add_piece(Piece piece) {
  const size_t size = piece.end - piece.begin;
  try {
    pieces_.push_back(std::move(piece));
  } catch (const std::bad_alloc&) {
    return false;
  }
  data_bytes_ += size;
  return true;
}

// The last piece is a chunk of ours with room for `n` bytes more.
bool Outbox::has_room_in_chunk(size_t n) const noexcept {
  if (keep_apart_ || head_ >= pieces_.size()) return false;
  const Piece& last = pieces_.back();
  const Buffer& chunk = *last.buffer.get();
  return chunk.pool != nullptr && !last.raw && last.end == chunk.size && chunk.capacity - chunk.size >= n;
}

uint8_t* Outbox::append_to_chunk(size_t n) noexcept {
  Piece& last = pieces_.back();
  Buffer& chunk = *last.buffer.get();
  uint8_t* const at = chunk.bytes() + chunk.size;
  chunk.size += n;
  last.end += n;
  data_bytes_ += n;
  return at;
}

uint8_t* Outbox::reserve_in_chunk(size_t n) {
  if (has_room_in_chunk(n)) return append_to_chunk(n);
  Buffer* chunk = keep_apart_ ? Buffer::create(n) : pool_.take();
  if (chunk == nullptr) return nullptr;
  uint8_t* at = chunk->bytes();
  chunk->size = n;
  Piece piece;
  piece.buffer = BufferRef(chunk);
  piece.end = n;
  return add_piece(std::move(piece)) ? at : nullptr;
}

bool Outbox::push_frame(Opcode opcode, bool rsv1, const void* data, size_t n) {
  const size_t header = header_size(n);
  const size_t total = header + n;
  uint8_t* at = nullptr;
  if (total <= kMaxCoalesced) {
    at = reserve_in_chunk(total);
  } else {
    Buffer* buffer = Buffer::create(total);
    if (buffer == nullptr) return false;
    at = buffer->bytes();
    buffer->size = total;
    Piece piece;
    piece.buffer = BufferRef(buffer);
    piece.end = total;
    if (!add_piece(std::move(piece))) return false;
  }
  if (at == nullptr) return false;
  build_header(at, opcode, true, rsv1, n);
  if (n != 0) std::memcpy(at + header, data, n);
  return true;
}

bool Outbox::push_message(BufferRef message) {
  // Where a chunk is at hand, copying a small one beats one more span. But no chunk is taken for it: a broadcast would take one for every receiver.
  if (message->size <= kMaxCoalesced / 8 && has_room_in_chunk(message->size)) {
    std::memcpy(append_to_chunk(message->size), message->frame(), message->size);
    return true;
  }
  Piece piece;
  piece.begin = message->head_room;
  piece.end = message->head_room + message->size;
  piece.buffer = std::move(message);
  return add_piece(std::move(piece));
}

bool Outbox::add_raw(const void* data, size_t n, bool close) {
  Buffer* buffer = Buffer::create(n);
  if (buffer == nullptr) return false;
  std::memcpy(buffer->bytes(), data, n);
  buffer->size = n;
  Piece piece;
  piece.buffer = BufferRef(buffer);
  piece.end = n;
  piece.raw = true;
  piece.close = close;
  return add_piece(std::move(piece));
}

bool Outbox::push_raw(const void* data, size_t n) {
  if (!add_raw(data, n, false)) return false;
  frame_left_ = n;
  return true;
}

bool Outbox::push_control(Opcode opcode, const void* data, size_t n) {
  uint8_t header[kMaxServerHeader];
  const size_t header_bytes = build_header(header, opcode, true, false, n);
  const size_t before = control_.size();
  try {
    control_.insert(control_.end(), header, header + header_bytes);
    if (n != 0) {
      const auto* bytes = static_cast<const uint8_t*>(data);
      control_.insert(control_.end(), bytes, bytes + n);
    }
  } catch (const std::bad_alloc&) {
    control_.resize(before);
    return false;
  }
  return true;
}

bool Outbox::push_close(uint32_t code, std::string_view reason) {
  uint8_t frame[kMaxControlPayload + 2];
  const size_t n = build_close(frame, code, reason);
  return add_raw(frame, n, true);
}

size_t Outbox::frame_size_at(const Piece& piece, size_t offset) noexcept {
  if (piece.raw) return piece.end - offset;
  const uint8_t* at = piece.buffer->bytes() + offset;
  const uint8_t seven_bits = at[1] & 0x7f;
  if (seven_bits < 126) return 2U + seven_bits;
  size_t length = 0;
  const size_t bytes = seven_bits == 126 ? 2 : 8;
  for (size_t i = 0; i < bytes; ++i) length = length << 8 | at[2 + i];
  return 2 + bytes + length;
}

size_t Outbox::count_messages(const Piece& piece, size_t from) noexcept {
  if (piece.raw) return 0;
  size_t count = 0;
  for (size_t at = from; at < piece.end; at += frame_size_at(piece, at)) ++count;
  return count;
}

size_t Outbox::gather(Span* spans, size_t max_spans) const noexcept {
  size_t count = 0;
  const auto add = [&](const uint8_t* data, size_t size) {
    if (size != 0 && count < max_spans) spans[count++] = Span{data, size};
  };
  size_t index = head_;
  size_t skip = 0;
  if (frame_left_ != 0) {
    const Piece& front = pieces_[index];
    add(front.buffer->bytes() + front.begin, frame_left_);
    skip = frame_left_;
  }
  add(control_.data() + control_head_, control_bytes());
  for (; index < pieces_.size() && count < max_spans; ++index, skip = 0) {
    const Piece& piece = pieces_[index];
    add(piece.buffer->bytes() + piece.begin + skip, piece.end - piece.begin - skip);
  }
  return count;
}

void Outbox::release_front() {
  pieces_[head_].buffer = BufferRef();
  ++head_;
  if (head_ < pieces_.size()) {
    if (head_ < 64 || head_ * 2 < pieces_.size()) return;
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(head_));
  } else {
    pieces_.clear();
    if (pieces_.capacity() > kKeptCapacity) pieces_.shrink_to_fit();
  }
  head_ = 0;
}

// Bytes of data that lie in one run: never across the control frames, which consume() takes care of.
void Outbox::consume_data(size_t n) {
  data_bytes_ -= n;
  while (n != 0) {
    Piece& front = pieces_[head_];
    const size_t size = front.end - front.begin;
    if (n >= size) {
      n -= size;
      frame_left_ = 0;
      release_front();
      continue;
    }
    while (n != 0) {
      if (frame_left_ == 0) frame_left_ = frame_size_at(front, front.begin);
      const size_t step = std::min(n, frame_left_);
      front.begin += step;
      frame_left_ -= step;
      n -= step;
    }
  }
}

// Gives back what has left, also if the queue never runs empty.
void Outbox::release_control() {
  if (control_head_ == control_.size()) {
    control_.clear();
    control_head_ = 0;
    if (control_.capacity() > kKeptControlBytes) control_.shrink_to_fit();
  } else if (control_head_ > kKeptControlBytes && control_head_ * 2 > control_.size()) {
    control_.erase(control_.begin(), control_.begin() + static_cast<std::ptrdiff_t>(control_head_));
    control_head_ = 0;
  }
}

void Outbox::consume(size_t n) {
  if (frame_left_ != 0) {
    const size_t step = std::min(n, frame_left_);
    consume_data(step);
    n -= step;
  }
  const size_t control = std::min(n, control_bytes());
  control_head_ += control;
  control_sent_ += control;
  n -= control;
  if (control != 0) release_control();
  if (n != 0) consume_data(n);
}

size_t Outbox::drop_queued() {
  size_t dropped = 0;
  for (size_t i = head_; i < pieces_.size(); ++i) {
    Piece& piece = pieces_[i];
    const size_t keep = i == head_ ? frame_left_ : 0;
    dropped += count_messages(piece, piece.begin + keep);
    data_bytes_ -= piece.end - piece.begin - keep;
    piece.end = piece.begin + keep;
  }
  pieces_.resize(frame_left_ != 0 ? head_ + 1 : head_);
  if (pieces_.size() == head_) {
    pieces_.clear();
    head_ = 0;
  }
  return dropped;
}

void Outbox::clear() noexcept {
  pieces_.clear();
  control_.clear();
  head_ = data_bytes_ = frame_left_ = control_head_ = 0;
}

size_t Outbox::drop_oldest(size_t needed, size_t limit) {
  const size_t begun = frame_left_ != 0 ? 1 : 0;
  size_t dropped = 0;
  while (head_ + begun < pieces_.size() && bytes() + needed > limit && !pieces_[head_ + begun].raw) {
    data_bytes_ -= pieces_[head_ + begun].end - pieces_[head_ + begun].begin;
    // What has begun changes places with what goes, so that dropping costs the same however long the queue is.
    if (begun != 0) std::swap(pieces_[head_], pieces_[head_ + 1]);
    release_front();
    ++dropped;
  }
  return dropped;
}

}  // namespace wsb::core
