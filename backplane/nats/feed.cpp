// The feed's position, and its memory.
#include "feed.h"

#include <algorithm>
#include <utility>

#include "replays.h"
#include "store.h"

namespace wsb::nats {

namespace {

constexpr int64_t kHeartbeatMs = 1000;
constexpr size_t kMostKept = 8192;

}  // namespace

void Feed::begin(const StreamInfo& info) {
  bool anew = false;
  {
    const std::lock_guard<std::mutex> lock(durable_.mutex);
    must_reach_ = info.last;
    const bool first = reader_ == nullptr;
    anew = !first && is_another(info);
    seen_ = info;
    if (first || anew) {
      if (reader_ != nullptr) reader_->stop();
      ++generation_;
    }
    if (first) {
      const uint64_t back = info.last > kMostKept ? info.last - kMostKept : 0;
      forget_all(std::max(back, info.first == 0 ? 0 : info.first - 1));
      warm_until_ = info.last;
    } else if (anew) {
      forget_all(0);
      warm_until_ = 0;
    }
    if (first || anew) start_reader();
    if (warm_until_ <= cursor_) known_ = true;
    tell_store();
    durable_.replays->look_again();
  }
  if (anew) durable_.say("durable topics: stream " + durable_.topics.stream() + " was made anew");
}

bool Feed::is_another(const StreamInfo& info) const {
  if (info.created == seen_.created) return false;
  if (info.is_empty()) return info.last < cursor_;
  if (info.first != seen_.first) return info.first < seen_.first;
  return !seen_.is_empty() && info.first_time != seen_.first_time;
}

void Feed::disconnected() {
  must_reach_ = UINT64_MAX;
}

void Feed::stop() {
  if (reader_ != nullptr) reader_->stop();
  ++generation_;
}

void Feed::start_reader() {
  StreamReader::Settings settings;
  settings.stream = durable_.topics.stream();
  settings.after = cursor_;
  settings.heartbeat_ms = kHeartbeatMs;
  const auto weak = durable_.weak_from_this();
  const uint64_t generation = generation_;
  StreamReader::Handlers handlers;
  handlers.started = [weak, generation](uint64_t position, uint64_t /*pending*/) {
    if (const auto durable = weak.lock()) durable->feed->on_passed(generation, position);
  };
  handlers.passed = [weak, generation](uint64_t position) {
    if (const auto durable = weak.lock()) durable->feed->on_passed(generation, position);
  };
  handlers.message = [weak, generation](uint64_t sequence, uint64_t /*pending*/, natsMsg* message) {
    if (const auto durable = weak.lock()) durable->feed->on_message(generation, sequence, message);
  };
  handlers.shortened = [weak, generation](uint64_t sequence) {
    if (const auto durable = weak.lock()) durable->feed->on_shortened(generation, sequence);
  };
  handlers.failed = [weak](const Answer& why) {
    if (const auto durable = weak.lock()) durable->feed->on_failed(why);
  };
  reader_ = StreamReader::start(durable_.wire, std::move(settings), std::move(handlers));
}

// What was there up to `sequence` and has not come is not kept any more.
void Feed::on_passed(uint64_t generation, uint64_t sequence) {
  uint64_t lost = 0;
  {
    const std::lock_guard<std::mutex> lock(durable_.mutex);
    if (generation != generation_ || sequence <= cursor_) return;
    if (known_) lost = sequence - cursor_;
    forget_all(sequence);
    come_to(sequence);
  }
  tell_lost(lost);
}

void Feed::tell_lost(uint64_t count) {
  if (count == 0) return;
  durable_.say("durable topics: " + std::to_string(count) + " messages were not kept until they could be read");
}

void Feed::on_message(uint64_t generation, uint64_t sequence, natsMsg* message) {
  Kept kept;
  const bool readable = durable_.read(message, sequence, kept);
  const uint64_t own_number = kept.own_number;
  uint64_t lost = 0;
  {
    const std::lock_guard<std::mutex> lock(durable_.mutex);
    if (generation != generation_) return;
    if (sequence != cursor_ + 1) {
      lost = known_ ? sequence - cursor_ - 1 : 0;
      forget_all(sequence - 1);
    }
    if (readable) {
      if (sequence > warm_until_) {
        const std::lock_guard<std::mutex> host(durable_.link->host_mutex());
        if (const wsb_backplane_host* to = durable_.link->host()) {
          const wsb_backplane_message given = kept.given();
          to->deliver(to->server, &given);
        }
      }
      remember(std::move(kept));
    }
    come_to(sequence);
  }
  if (own_number != 0) durable_.store->came_back(own_number, sequence);
  durable_.store->passed(sequence);
  tell_lost(lost);
}

void Feed::on_shortened(uint64_t generation, uint64_t sequence) {
  {
    const std::lock_guard<std::mutex> lock(durable_.mutex);
    if (generation != generation_) return;
    forget_all(sequence);
    warm_until_ = std::min(warm_until_, sequence);
    must_reach_ = std::min(must_reach_, sequence);
    come_to(sequence);
    durable_.replays->look_again();
  }
  durable_.say("durable topics: stream " + durable_.topics.stream() + " has lost its newest messages");
}

void Feed::on_failed(const Answer& why) {
  if (why.code != 0) durable_.look_again();
}

void Feed::come_to(uint64_t sequence) {
  cursor_ = sequence;
  if (!known_ && cursor_ >= warm_until_) {
    known_ = true;
    durable_.replays->look_again();
  }
  tell_store();
  durable_.replays->came_to(cursor_);
}

// What is in doubt is sent again when it is certain that it would have come back, had it been stored.
void Feed::tell_store() {
  if (known_ && cursor_ >= must_reach_) durable_.store->resume();
}

void Feed::remember(Kept message) {
  const uint64_t most = durable_.settings.memory_bytes;
  kept_bytes_ += message.bytes();
  kept_.push_back(std::move(message));
  while (kept_.size() > kMostKept || (kept_bytes_ > most && kept_.size() > 1)) {
    floor_ = kept_.front().sequence;
    kept_bytes_ -= kept_.front().bytes();
    kept_.pop_front();
  }
}

void Feed::forget_all(uint64_t cursor) {
  kept_.clear();
  kept_bytes_ = 0;
  cursor_ = floor_ = cursor;
}

size_t Feed::first_after(uint64_t after) const noexcept {
  const auto found = std::upper_bound(kept_.begin(), kept_.end(), after,
                                      [](uint64_t sequence, const Kept& kept) { return sequence < kept.sequence; });
  return static_cast<size_t>(found - kept_.begin());
}

}  // namespace wsb::nats
