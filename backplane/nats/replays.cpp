// The steps of a replay. Each is short, and between them the feed goes on.
#include "replays.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/topic_name.h"
#include "feed.h"

namespace wsb::nats {

namespace {

constexpr int64_t kFullMs = 25;           // between offers to a connection that has no room
constexpr int64_t kFullTooLongMs = 2000;  // then it waits without a reader
constexpr int64_t kTryAgainMs = 500;
constexpr size_t kMostAtOnce = 256;  // offered without letting the feed go on
constexpr uint32_t kWindow = 256;
constexpr int64_t kHeartbeatMs = 1000;
constexpr size_t kMostReaders = 64;

}  // namespace

void Replays::begin(std::string_view pattern, uint64_t after, uint64_t ticket) {
  durable_.wire->post([weak = durable_.weak_from_this(), pattern = std::string(pattern), after, ticket] {
    const auto durable = weak.lock();
    if (durable == nullptr) return;
    const std::lock_guard<std::mutex> lock(durable->mutex);
    Replay& made = durable->replays->replays_[ticket];
    made.pattern = pattern;
    made.after = after;
    durable->replays->step(ticket);
  });
}

void Replays::forget(uint64_t ticket) {
  durable_.wire->post([weak = durable_.weak_from_this(), ticket] {
    const auto durable = weak.lock();
    if (durable == nullptr) return;
    const std::lock_guard<std::mutex> lock(durable->mutex);
    const Entry found = durable->replays->replays_.find(ticket);
    if (found != durable->replays->replays_.end()) durable->replays->drop(found);
  });
}

void Replays::look_again() {
  for (const auto& [ticket, replay] : replays_) {
    if (!replay.from_stream) step_soon(ticket);
  }
}

void Replays::came_to(uint64_t cursor) {
  if (cursor < least_awaited_) return;
  least_awaited_ = UINT64_MAX;
  for (const auto& [ticket, replay] : replays_) {
    if (replay.least_cursor == 0) continue;
    if (replay.least_cursor <= cursor) {
      step_soon(ticket);
    } else {
      least_awaited_ = std::min(least_awaited_, replay.least_cursor);
    }
  }
}

void Replays::stop() {
  for (const auto& entry : replays_) {
    if (entry.second.reader != nullptr) entry.second.reader->stop();
  }
  replays_.clear();
  readers_ = 0;
}

void Replays::step_soon(uint64_t ticket) {
  step_later(ticket, 0);
}

void Replays::step_later(uint64_t ticket, int64_t delay_ms) {
  auto work = [weak = durable_.weak_from_this(), ticket] {
    const auto durable = weak.lock();
    if (durable == nullptr) return;
    const std::lock_guard<std::mutex> lock(durable->mutex);
    durable->replays->step(ticket);
  };
  if (delay_ms == 0) {
    durable_.wire->post(std::move(work));
  } else {
    durable_.wire->later(delay_ms, std::move(work));
  }
}

template <typename Do>
void Replays::if_still(const std::weak_ptr<Durable>& weak, uint64_t ticket, uint64_t at_step, Do&& work) {
  const auto durable = weak.lock();
  if (durable == nullptr) return;
  const std::lock_guard<std::mutex> lock(durable->mutex);
  Replays& self = *durable->replays;
  const Entry found = self.replays_.find(ticket);
  if (found != self.replays_.end() && found->second.step == at_step) work(self, found);
}

// On the backplane's thread.
void Replays::step(uint64_t ticket) {
  const Entry entry = replays_.find(ticket);
  if (entry == replays_.end() || entry->second.from_stream) return;
  Replay& replay = entry->second;
  const Feed& feed = *durable_.feed;
  if (!feed.is_known()) return;
  if (replay.after == UINT64_MAX) return end(entry, false);
  // It may have been read on another server, a little ahead of this one, or from a stream that was another.
  if (replay.after > feed.cursor()) {
    if (replay.least_cursor == replay.after) return;
    replay.least_cursor = replay.after;
    least_awaited_ = std::min(least_awaited_, replay.after);
    replay.step = ++steps_;
    return from_stream(entry);
  }
  replay.least_cursor = 0;
  if (replay.after >= feed.floor()) return from_memory(entry);
  if (readers_ >= kMostReaders) {
    replay.waits_for_slot = true;
    return;
  }
  from_stream(entry);
}

int Replays::offer(uint64_t ticket, const Kept& kept) {
  const std::lock_guard<std::mutex> lock(durable_.link->host_mutex());
  const wsb_backplane_host* const host = durable_.link->host();
  if (host == nullptr) return WSB_E_CLOSED;
  const wsb_backplane_message given = kept.given();
  return host->replayed(host->server, ticket, &given);
}

bool Replays::matches(const Replay& replay, const Kept& kept) const {
  return core::topic_covers(replay.pattern, kept.topic);
}

void Replays::end(Entry entry, bool missed) {
  const uint64_t ticket = entry->first;
  drop(entry);
  const std::lock_guard<std::mutex> lock(durable_.link->host_mutex());
  const wsb_backplane_host* const host = durable_.link->host();
  if (host != nullptr) host->resumed(host->server, ticket, durable_.feed->cursor(), missed ? 1 : 0);
}

void Replays::drop(Entry entry) {
  leave_stream(entry);
  replays_.erase(entry);
}

// -------------------------------------------------------------------------------------------------------------------- from memory

bool Replays::is_too_much(const Replay& replay) const {
  const std::deque<Kept>& kept = durable_.feed->kept();
  const size_t first = durable_.feed->first_after(replay.after);
  if (kept.size() - first <= durable_.settings.max_replay) return false;
  const auto count = std::count_if(kept.begin() + static_cast<std::ptrdiff_t>(first), kept.end(),
                                   [&](const Kept& one) { return matches(replay, one); });
  return static_cast<uint64_t>(count) > durable_.settings.max_replay;
}

void Replays::from_memory(Entry entry) {
  Replay& replay = entry->second;
  if (!replay.counted && is_too_much(replay)) return end(entry, true);
  replay.counted = true;
  const std::deque<Kept>& kept = durable_.feed->kept();
  size_t offered = 0;
  for (size_t at = durable_.feed->first_after(replay.after); at < kept.size(); ++at) {
    if (matches(replay, kept[at])) {
      if (offered++ == kMostAtOnce) return step_soon(entry->first);
      const int result = offer(entry->first, kept[at]);
      if (result == WSB_E_CLOSED) return drop(entry);
      if (result != WSB_OK) return step_later(entry->first, kFullMs);
    }
    replay.after = kept[at].sequence;
  }
  end(entry, false);
}

// ---------------------------------------------------------------------------------------------------------------- from the stream

void Replays::leave_stream(Entry entry) {
  Replay& replay = entry->second;
  replay.from_stream = false;
  replay.step = ++steps_;
  replay.held.clear();
  replay.full_since_ms = 0;
  if (replay.reader == nullptr) return;
  replay.reader->stop();
  replay.reader.reset();
  --readers_;
  for (auto& [ticket, other] : replays_) {
    if (!other.waits_for_slot) continue;
    other.waits_for_slot = false;
    step_soon(ticket);
  }
}

// What it asks first: whether all is still there.
void Replays::from_stream(Entry entry) {
  Replay& replay = entry->second;
  replay.from_stream = true;
  replay.step = ++steps_;
  const auto weak = durable_.weak_from_this();
  ask_stream(*durable_.wire, durable_.topics.stream(),
             [weak, ticket = entry->first, at_step = replay.step](const Answer& answer) {
               if_still(weak, ticket, at_step, [&](Replays& self, Entry found) { self.on_info(found, answer); });
             });
}

void Replays::on_info(Entry entry, const Answer& answer) {
  Replay& replay = entry->second;
  if (!answer.ok()) {
    leave_stream(entry);
    replay.least_cursor = 0;
    return step_later(entry->first, kTryAgainMs);
  }
  const StreamInfo info = stream_info(answer);
  const bool wants_all_kept = replay.after == 0;
  if (info.last < replay.after || (info.first > replay.after + 1 && !wants_all_kept)) return end(entry, true);
  const auto filter = durable_.topics.filter(replay.pattern);
  if (replay.least_cursor != 0 || !filter) {  // the feed will come to it by itself; nothing matches
    leave_stream(entry);
    if (!filter) replay.after = durable_.feed->cursor();
    return step_soon(entry->first);
  }
  start_reader(entry, *filter);
}

void Replays::start_reader(Entry entry, const DurableTopics::Filter& filter) {
  Replay& replay = entry->second;
  replay.stream_until = durable_.feed->cursor();
  replay.exact = filter.exact;
  StreamReader::Settings settings;
  settings.stream = durable_.topics.stream();
  settings.filter = filter.subject;
  settings.after = replay.after;
  settings.heartbeat_ms = kHeartbeatMs;
  settings.window = kWindow;
  const auto weak = durable_.weak_from_this();
  const uint64_t ticket = entry->first;
  const uint64_t at_step = replay.step;
  StreamReader::Handlers handlers;
  handlers.started = [weak, ticket, at_step](uint64_t /*position*/, uint64_t pending) {
    if_still(weak, ticket, at_step, [&](Replays& self, Entry found) { self.on_started(found, pending); });
  };
  handlers.message = [weak, ticket, at_step](uint64_t sequence, uint64_t pending, natsMsg* message) {
    if_still(weak, ticket, at_step,
             [&](Replays& self, Entry found) { self.on_message(found, sequence, pending, message); });
  };
  // JetStream's number of those that are still to come may be too great: when it is quiet, none are.
  handlers.passed = [weak, ticket, at_step](uint64_t sequence) {
    if_still(weak, ticket, at_step, [&](Replays& self, Entry found) {
      if (found->second.held.empty()) self.read_all(found, sequence);
    });
  };
  handlers.shortened = [weak, ticket, at_step](uint64_t /*sequence*/) {
    if_still(weak, ticket, at_step, [](Replays& self, Entry found) { self.end(found, true); });
  };
  replay.reader = StreamReader::start(durable_.wire, std::move(settings), std::move(handlers));
  ++readers_;
}

void Replays::on_started(Entry entry, uint64_t pending) {
  Replay& replay = entry->second;
  if (!replay.counted && pending > durable_.settings.max_replay) return end(entry, true);
  replay.counted = true;
  if (pending == 0 && replay.held.empty()) read_all(entry, replay.stream_until);
}

void Replays::on_message(Entry entry, uint64_t sequence, uint64_t pending, natsMsg* message) {
  Replay& replay = entry->second;
  Kept kept;
  const bool readable = durable_.read(message, sequence, kept);
  kept.sequence = sequence;
  if (!readable) kept.topic.clear();
  if (replay.first_read == 0) replay.first_read = sequence;
  replay.held.emplace_back(std::move(kept), pending);
  if (replay.held.size() == 1) go_on(entry);
}

// Offers what has come, in order.
void Replays::go_on(Entry entry) {
  Replay& replay = entry->second;
  while (!replay.held.empty()) {
    const auto& [kept, pending] = replay.held.front();
    if (!kept.topic.empty() && matches(replay, kept)) {
      const int result = offer(entry->first, kept);
      if (result == WSB_E_CLOSED) return drop(entry);
      if (result != WSB_OK) {
        if (replay.full_since_ms == 0) replay.full_since_ms = steady_ms();
        if (steady_ms() - replay.full_since_ms > kFullTooLongMs) {
          leave_stream(entry);
          return step_later(entry->first, kTryAgainMs);
        }
        durable_.wire->later(kFullMs, [weak = durable_.weak_from_this(), ticket = entry->first, at_step = replay.step] {
          if_still(weak, ticket, at_step, [](Replays& self, Entry found) { self.go_on(found); });
        });
        return;
      }
    }
    replay.full_since_ms = 0;
    const uint64_t sequence = kept.sequence;
    const uint64_t more = pending;
    replay.held.pop_front();
    if (!took(entry, sequence, more)) return;
  }
}

// False: no more is wanted from the stream.
bool Replays::took(Entry entry, uint64_t sequence, uint64_t pending) {
  Replay& replay = entry->second;
  replay.after = sequence;
  replay.reader->taken(sequence);
  const bool memory_goes_on = sequence >= durable_.feed->floor() && sequence <= durable_.feed->cursor();
  if (!memory_goes_on && (pending != 0 || !replay.held.empty())) return true;
  read_all(entry, memory_goes_on ? sequence : std::max(sequence, replay.stream_until));
  return false;
}

// What the stream had dropped before we had read it would be missing, unnoticed.
void Replays::read_all(Entry entry, uint64_t sequence) {
  Replay& replay = entry->second;
  if (replay.reader != nullptr) replay.reader->stop();
  const auto weak = durable_.weak_from_this();
  replay.step = ++steps_;
  durable_.wire->post([weak, ticket = entry->first, at_step = replay.step, sequence] {
    if_still(weak, ticket, at_step, [&](Replays& self, Entry /*found*/) {
      ask_stream(*self.durable_.wire, self.durable_.topics.stream(), [=](const Answer& answer) {
        if_still(weak, ticket, at_step,
                 [&](Replays& again, Entry found) { again.on_last_info(found, sequence, answer); });
      });
    });
  });
}

void Replays::on_last_info(Entry entry, uint64_t sequence, const Answer& answer) {
  Replay& replay = entry->second;
  if (!answer.ok()) {
    leave_stream(entry);
    return step_later(entry->first, kTryAgainMs);
  }
  const uint64_t first = stream_info(answer).first;
  if (replay.first_read != 0 && first > replay.first_read) return end(entry, true);
  replay.after = std::max(replay.after, sequence);
  leave_stream(entry);
  step_soon(entry->first);
}

}  // namespace wsb::nats
