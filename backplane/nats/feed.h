// One reader of the whole stream for this server: hands on each durable message once, in order, and remembers the newest for replays.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "durable.h"
#include "stream.h"
#include "stream_reader.h"

namespace wsb::nats {

class Feed {
 public:
  explicit Feed(Durable& durable) : durable_(durable) {}

  // On the backplane's thread, without the mutex: the stream is there (again).
  void begin(const StreamInfo& info);

  // --- With the durable mutex.
  void stop();
  // How far the stream goes is not known, until begin().
  void disconnected();
  // Lets the store send, if all that was stored before has been read.
  void tell_store();
  // It has come to where the stream was when it began, so that cursor() means something.
  bool is_known() const noexcept { return known_; }
  // Everything up to here was handed on.
  uint64_t cursor() const noexcept { return cursor_; }
  // Everything after this up to cursor() is remembered.
  uint64_t floor() const noexcept { return floor_; }
  const std::deque<Kept>& kept() const noexcept { return kept_; }
  // Of kept(), the first later than `after`.
  size_t first_after(uint64_t after) const noexcept;

 private:
  // Not the stream that was read until now, but one made anew under its name.
  bool is_another(const StreamInfo& info) const;
  void start_reader();
  void on_passed(uint64_t generation, uint64_t sequence);
  void on_message(uint64_t generation, uint64_t sequence, natsMsg* message);
  void on_shortened(uint64_t generation, uint64_t sequence);
  void on_failed(const Answer& why);
  void come_to(uint64_t sequence);
  void remember(Kept message);
  void forget_all(uint64_t cursor);
  void tell_lost(uint64_t count);

  Durable& durable_;
  std::shared_ptr<StreamReader> reader_;
  uint64_t generation_ = 0;  // of the reader
  StreamInfo seen_;          // the stream that is read, as it was when NATS was reached last
  bool known_ = false;
  uint64_t cursor_ = 0;
  uint64_t floor_ = 0;
  uint64_t warm_until_ = 0;  // up to here it is only remembered: who is connected now came later
  uint64_t must_reach_ = 0;  // the stream's end when NATS was reached last
  std::deque<Kept> kept_;
  uint64_t kept_bytes_ = 0;
};

}  // namespace wsb::nats
