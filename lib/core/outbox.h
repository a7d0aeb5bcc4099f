// What waits to be written on one connection: framed data in order, control frames that pass it at frame boundaries.
// Used by the connection's worker only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/frame.h"
#include "core/transport.h"

namespace wsb::core {

class Outbox {
 public:
  explicit Outbox(BufferPool& pool) noexcept : pool_(pool) {}

  // Each returns false without memory; nothing is queued then.
  bool push_frame(Opcode opcode, bool rsv1, const void* data, size_t n);  // copies
  bool push_message(BufferRef message);                                   // shares
  // Bytes that are no frames: an HTTP answer, into an empty outbox. It counts as begun: no control frame passes it, nothing drops it.
  bool push_raw(const void* data, size_t n);
  bool push_control(Opcode opcode, const void* data, size_t n);  // passes queued data
  // The Close frame goes behind all queued data. After it only control frames may be pushed, until it has begun to leave.
  bool push_close(uint32_t code, std::string_view reason);

  // The next bytes to write, at most `max_spans` pieces.
  size_t gather(Span* spans, size_t max_spans) const noexcept;
  // The first `n` of them were written.
  void consume(size_t n);

  // Part of a Close frame has left.
  bool close_begun() const noexcept { return frame_left_ != 0 && pieces_[head_].close; }

  // Keeps only the frame that is partly written, and control frames. Returns how many whole messages were dropped.
  size_t drop_queued();
  void clear() noexcept;
  // Drops whole messages that have not begun to leave, oldest first, until `needed` bytes fit below `limit` or none is left.
  // Returns how many were dropped. Needs set_keep_apart(true) from the start.
  size_t drop_oldest(size_t needed, size_t limit);
  // Each message in a piece of its own, so that drop_oldest can take it out.
  void set_keep_apart(bool apart) noexcept { keep_apart_ = apart; }

  size_t bytes() const noexcept { return data_bytes_ + control_bytes(); }
  size_t control_bytes() const noexcept { return control_.size() - control_head_; }
  bool empty() const noexcept { return bytes() == 0; }
  // Positions in the stream of control bytes, to tell when a ping has left.
  uint64_t control_queued_position() const noexcept { return control_sent_ + control_bytes(); }
  uint64_t control_sent_position() const noexcept { return control_sent_; }

 private:
  struct Piece {
    BufferRef buffer;
    size_t begin = 0;
    size_t end = 0;
    bool raw = false;
    bool close = false;
  };
  bool add_piece(Piece piece);
  bool add_raw(const void* data, size_t n, bool close);
  bool has_room_in_chunk(size_t n) const noexcept;
  uint8_t* append_to_chunk(size_t n) noexcept;
  uint8_t* reserve_in_chunk(size_t n);  // null without memory
  void consume_data(size_t n);
  void release_front();
  void release_control();
  static size_t frame_size_at(const Piece& piece, size_t offset) noexcept;
  static size_t count_messages(const Piece& piece, size_t from) noexcept;

  BufferPool& pool_;
  std::vector<Piece> pieces_;
  size_t head_ = 0;
  size_t data_bytes_ = 0;
  size_t frame_left_ = 0;  // bytes of the front frame still to write once its first byte has left; 0: at a boundary
  std::vector<uint8_t> control_;
  size_t control_head_ = 0;
  uint64_t control_sent_ = 0;
  bool keep_apart_ = false;
};

}  // namespace wsb::core
