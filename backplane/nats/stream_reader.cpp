// Consumers come and go; the position stays.
#include "stream_reader.h"

#include <algorithm>
#include <utility>

#include "link.h"
#include "stream.h"

namespace wsb::nats {

namespace {

constexpr int64_t kAgainMs = 250;
constexpr int64_t kSilentBeats = 3;
constexpr int64_t kNsPerMs = 1'000'000;
constexpr int64_t kInactiveMs = 5000;  // then JetStream forgets a consumer that nobody listens to
constexpr int64_t kAckWaitMs =
    3'600'000;  // nothing is lost on the way without our noticing it, so nothing need be sent again
// So long must the stream's leader say that it is shorter: a new one may know less than the old one told, for a moment.
constexpr int64_t kShortMs = 5000;

// What JetStream says about a message, in the reply subject that it gives it.
struct Place {
  uint64_t sequence = 0;
  uint64_t number = 0;
  uint64_t pending = 0;
};

// $JS.ACK.stream.consumer.deliveries.sequence.number.time.pending, or with domain and account behind ACK and more at the end.
bool read_place(const char* reply, Place& out) {
  constexpr size_t kMostTokens = 16;
  constexpr size_t kShortForm = 9;
  constexpr std::string_view kStart = "$JS.ACK.";
  if (reply == nullptr) return false;
  std::string_view rest = reply;
  if (rest.substr(0, kStart.size()) != kStart) return false;
  std::string_view tokens[kMostTokens];
  size_t count = 0;
  while (count < kMostTokens) {
    const size_t dot = rest.find('.');
    tokens[count++] = rest.substr(0, dot);
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (count < kShortForm) return false;
  const size_t shift = count == kShortForm ? 0 : 2;
  out.sequence = number_in(tokens[5 + shift]);
  out.number = number_in(tokens[6 + shift]);
  out.pending = number_in(tokens[8 + shift]);
  return out.sequence != 0 && out.number != 0;
}

uint64_t header_number(natsMsg* message, const char* name) {
  const char* value = nullptr;
  return natsMsgHeader_Get(message, name, &value) == NATS_OK ? number_in(value) : 0;
}

}  // namespace

std::shared_ptr<StreamReader> StreamReader::start(WireRef wire, Settings settings, Handlers handlers) {
  auto out = std::make_shared<StreamReader>(std::move(wire), std::move(settings), std::move(handlers));
  out->wire_->listen(out);
  out->wire_->post(out->when_due(&StreamReader::begin));
  out->schedule_check();
  return out;
}

StreamReader::StreamReader(WireRef wire, Settings settings, Handlers handlers)
    : wire_(std::move(wire)), settings_(std::move(settings)), handlers_(std::move(handlers)) {
  positioned_ = settings_.from == From::kAfter;
  position_ = settings_.after;
}

StreamReader::~StreamReader() {
  wire_->unsubscribe(attempt_.subscription);
}

void StreamReader::stop() {
  if (stopped_.exchange(true)) return;
  wire_->post([self = shared_from_this()] {
    const std::lock_guard<std::mutex> lock(self->mutex_);
    self->drop_attempt();
  });
}

void StreamReader::taken(uint64_t sequence) {
  taken_ = sequence;
  if (++taken_since_ < std::max(1U, settings_.window / 4)) return;
  taken_since_ = 0;
  wire_->post(when_due(&StreamReader::acknowledge));
}

void StreamReader::with_mutex(void (StreamReader::*work)()) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!stopped_) (this->*work)();
}

Wire::Work StreamReader::when_due(void (StreamReader::*work)()) {
  return [weak = weak_from_this(), work] {
    if (const auto self = weak.lock()) self->with_mutex(work);
  };
}

void StreamReader::connected() {
  with_mutex(&StreamReader::begin);
}

// ------------------------------------------------------------------------------------------------------------ beginning (again)

void StreamReader::drop_attempt() {
  wire_->unsubscribe(attempt_.subscription);
  if (!attempt_.consumer.empty()) {
    (void)wire_->send("$JS.API.CONSUMER.DELETE." + settings_.stream + "." + attempt_.consumer, "", "");
  }
  attempt_ = Attempt();
  replies_.clear();
  last_reply_.clear();
}

// While NATS is away nothing is begun: connected() does it.
void StreamReader::begin() {
  drop_attempt();
  if (!wire_->is_connected()) return;
  const std::string inbox = Wire::new_inbox();
  const uint64_t number = ++attempts_;
  attempt_.number = number;
  attempt_.heard_ms = steady_ms();
  attempt_.subscription = wire_->subscribe(inbox, [weak = weak_from_this(), number](MessageRef message) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    const std::lock_guard<std::mutex> lock(self->mutex_);
    if (self->stopped_ || self->attempt_.number != number) return;
    self->attempt_.heard_ms = steady_ms();
    if (self->attempt_.consumer.empty()) {
      self->attempt_.held.push_back(std::move(message));
    } else {
      self->take(message.get());
    }
  });
  if (attempt_.subscription == nullptr) {
    Answer why;
    why.error = "cannot subscribe";
    return again_later(why);
  }
  wire_->ask("$JS.API.CONSUMER.CREATE." + settings_.stream, wish(inbox),
             [weak = weak_from_this(), number](const Answer& answer) {
               const auto self = weak.lock();
               if (self == nullptr) return;
               const std::lock_guard<std::mutex> lock(self->mutex_);
               if (!self->stopped_ && self->attempt_.number == number) self->answered(answer);
             });
}

std::string StreamReader::wish(const std::string& inbox) const {
  nlohmann::json config{{"deliver_subject", inbox},
                        {"replay_policy", "instant"},
                        {"idle_heartbeat", settings_.heartbeat_ms * kNsPerMs},
                        {"inactive_threshold", kInactiveMs * kNsPerMs},
                        {"num_replicas", 1},
                        {"mem_storage", true}};
  if (!settings_.filter.empty()) config["filter_subject"] = settings_.filter;
  if (positioned_) {
    config["deliver_policy"] = "by_start_sequence";
    config["opt_start_seq"] = position_ + 1;
  } else {
    config["deliver_policy"] = settings_.from == From::kNew ? "new" : "last_per_subject";
  }
  if (settings_.window == 0) {
    config["ack_policy"] = "none";
    config["flow_control"] = true;
  } else {
    config["ack_policy"] = "all";
    config["max_ack_pending"] = settings_.window;
    config["ack_wait"] = kAckWaitMs * kNsPerMs;
  }
  return nlohmann::json{{"stream_name", settings_.stream}, {"config", config}}.dump();
}

void StreamReader::again_later(const Answer& why) {
  attempt_.number = 0;
  wire_->later(kAgainMs, [weak = weak_from_this(), attempt = attempts_] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    const std::lock_guard<std::mutex> lock(self->mutex_);
    if (!self->stopped_ && self->attempts_ == attempt) self->begin();
  });
  if (why.error == complaint_) return;
  complaint_ = why.error;
  if (handlers_.failed) handlers_.failed(why);
}

void StreamReader::again_now() {
  attempt_.number = 0;
  wire_->post(when_due(&StreamReader::begin));
}

// True: the consumer's server says that the stream is shorter than what was read, and the stream's leader is asked. That server may only not have
// caught up, after it was away.
bool StreamReader::is_doubtful(uint64_t last) {
  if (!positioned_ || last >= position_) {
    short_since_ms_ = 0;
    return false;
  }
  attempt_.number = 0;
  wire_->post(when_due(&StreamReader::ask_leader));
  return true;
}

void StreamReader::ask_leader() {
  drop_attempt();
  if (!wire_->is_connected()) return;
  ask_stream(*wire_, settings_.stream, [weak = weak_from_this(), attempt = attempts_](const Answer& answer) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    const std::lock_guard<std::mutex> lock(self->mutex_);
    if (!self->stopped_ && self->attempts_ == attempt) self->leader_answered(answer);
  });
}

void StreamReader::leader_answered(const Answer& answer) {
  if (!answer.ok()) {
    short_since_ms_ = 0;
    return again_later(answer);
  }
  const uint64_t last = stream_info(answer).last;
  if (last >= position_) {
    short_since_ms_ = 0;
  } else if (short_since_ms_ == 0) {
    short_since_ms_ = steady_ms();
  } else if (steady_ms() - short_since_ms_ >= kShortMs) {
    short_since_ms_ = 0;
    position_ = last;
    if (handlers_.shortened) handlers_.shortened(last);
  }
  Answer why;
  why.error = "the stream is shorter than it was";
  again_later(why);
}

void StreamReader::answered(const Answer& answer) {
  if (!answer.ok()) return again_later(answer);
  const nlohmann::json& delivered = object_of(answer.json, "delivered");
  const uint64_t sent = number_of(delivered, "consumer_seq");  // it may have begun before it answered
  const uint64_t position = number_of(delivered, "stream_seq");
  if (sent == 0 && is_doubtful(position)) return;
  attempt_.consumer = text_of(answer.json, "name");
  if (sent == 0) {
    position_ = position;
    positioned_ = true;
  }
  complaint_.clear();
  if (handlers_.started) handlers_.started(position_, number_of(answer.json, "num_pending") + sent);
  std::deque<MessageRef> held;
  held.swap(attempt_.held);
  for (const MessageRef& message : held) {
    if (!stopped_ && attempt_.number != 0) take(message.get());
  }
}

// --------------------------------------------------------------------------------------------------------------------- reading

void StreamReader::take(natsMsg* message) {
  try {
    take_message(message);
  } catch (...) {
    again_now();
    throw;
  }
}

void StreamReader::take_message(natsMsg* message) {
  const char* const reply = natsMsg_GetReply(message);
  Place place;
  if (!read_place(reply, place)) return take_control(message);
  if (place.number != attempt_.next) return again_now();
  if (place.number == 1 && is_doubtful(place.sequence - 1)) return;
  ++attempt_.next;
  if (settings_.window != 0) replies_[place.sequence] = reply;
  if (positioned_ && place.sequence <= position_) return;  // sent again
  handlers_.message(place.sequence, place.pending, message);
  position_ = place.sequence;
  positioned_ = true;
}

// Flow control is answered when all that came before has been handled; a heartbeat tells what should have come.
void StreamReader::take_control(natsMsg* message) {
  const char* const reply = natsMsg_GetReply(message);
  const char* stalled = nullptr;
  if (reply == nullptr) (void)natsMsgHeader_Get(message, "Nats-Consumer-Stalled", &stalled);
  if (reply != nullptr || stalled != nullptr) {
    wire_->post([weak = std::weak_ptr<Wire>(wire_), to = std::string(reply != nullptr ? reply : stalled)] {
      if (const WireRef wire = weak.lock()) (void)wire->send(to, "", "");
    });
  }
  if (reply != nullptr) return;
  const char* value = nullptr;
  if (natsMsgHeader_Get(message, "Nats-Last-Consumer", &value) != NATS_OK) return;
  if (number_in(value) + 1 != attempt_.next) return again_now();
  const uint64_t passed = header_number(message, "Nats-Last-Stream");
  if (passed < position_) return;
  position_ = passed;
  positioned_ = true;
  if (handlers_.passed) handlers_.passed(passed);
}

// One acknowledgement is for all before it. Each check says the last one again: if it were lost, JetStream would wait for ever.
void StreamReader::acknowledge() {
  const auto beyond = replies_.upper_bound(taken_);
  if (beyond != replies_.begin()) {
    last_reply_ = std::prev(beyond)->second;
    replies_.erase(replies_.begin(), beyond);
  }
  if (!last_reply_.empty()) (void)wire_->send(last_reply_, "", "+ACK");
}

void StreamReader::schedule_check() {
  wire_->later(settings_.heartbeat_ms, when_due(&StreamReader::check));
}

void StreamReader::check() {
  schedule_check();
  if (settings_.window != 0) acknowledge();
  if (attempt_.consumer.empty() || !wire_->is_connected()) return;
  int waiting = 0;
  (void)natsSubscription_GetPending(attempt_.subscription, &waiting, nullptr);
  if (waiting == 0 && steady_ms() - attempt_.heard_ms > kSilentBeats * settings_.heartbeat_ms) begin();
}

}  // namespace wsb::nats
