// Replays: what a subscription missed, from the feed's memory or else from the stream until memory goes on.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "durable.h"
#include "stream_reader.h"

namespace wsb::nats {

class Replays {
 public:
  explicit Replays(Durable& durable) : durable_(durable) {}

  // Any thread, also from within the host's calls.
  void begin(std::string_view pattern, uint64_t after, uint64_t ticket);
  void forget(uint64_t ticket);

  // --- With the durable mutex.
  // The feed has become known, or another stream; it has come to a sequence.
  void look_again();
  void came_to(uint64_t cursor);
  void stop();

 private:
  struct Replay {
    std::string pattern;
    uint64_t after = 0;         // all up to here was replayed
    uint64_t least_cursor = 0;  // it waits until the feed has come there
    bool counted = false;       // it is known to be no more than may be replayed
    bool from_stream = false;   // a step is being taken there
    uint64_t step = 0;          // of those; tells late answers apart
    uint64_t stream_until = 0;  // the feed's position when the reader began: so far it must read at least
    uint64_t first_read = 0;    // from the stream; 0: nothing yet
    bool exact = true;          // the reader brings nothing but what matches
    std::shared_ptr<StreamReader> reader;
    std::deque<std::pair<Kept, uint64_t>>
        held;  // what the connection has no room for now, each with how many come after it
    int64_t full_since_ms = 0;
    bool waits_for_slot = false;
  };
  using Entry = std::map<uint64_t, Replay>::iterator;

  // All with the durable mutex.
  void step(uint64_t ticket);
  void from_memory(Entry entry);
  bool is_too_much(const Replay& replay) const;
  void from_stream(Entry entry);
  void on_info(Entry entry, const Answer& answer);
  void start_reader(Entry entry, const DurableTopics::Filter& filter);
  void on_started(Entry entry, uint64_t pending);
  void on_message(Entry entry, uint64_t sequence, uint64_t pending, natsMsg* message);
  void go_on(Entry entry);
  bool took(Entry entry, uint64_t sequence, uint64_t pending);
  void read_all(Entry entry, uint64_t sequence);
  void on_last_info(Entry entry, uint64_t sequence, const Answer& answer);
  void leave_stream(Entry entry);
  void end(Entry entry, bool missed);
  void drop(Entry entry);
  int offer(uint64_t ticket, const Kept& kept);
  bool matches(const Replay& replay, const Kept& kept) const;

  void step_soon(uint64_t ticket);
  void step_later(uint64_t ticket, int64_t delay_ms);
  // Does `work` with the mutex if the replay is still at this step.
  template <typename Do>
  static void if_still(const std::weak_ptr<Durable>& weak, uint64_t ticket, uint64_t at_step, Do&& work);

  Durable& durable_;
  std::map<uint64_t, Replay> replays_;
  uint64_t steps_ = 0;
  size_t readers_ = 0;
  uint64_t least_awaited_ = UINT64_MAX;  // least_cursor, of all that have one
};

}  // namespace wsb::nats
