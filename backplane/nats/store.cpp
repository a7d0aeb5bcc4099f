// Numbers, acknowledgements, and sending again.
#include "store.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "feed.h"

namespace wsb::nats {

namespace {

constexpr uint64_t kMostOnWay = 2048;
constexpr int64_t kOverdueMs = 5000;
constexpr int64_t kCheckMs = 1000;
constexpr int64_t kTryAgainMs = 500;
constexpr uint32_t kNotForYou = 400;  // and up to 499: it will not be taken later either

std::string own_id(uint64_t origin, uint64_t number) {
  return std::to_string(origin) + "-" + std::to_string(number);
}

}  // namespace

int Store::add(const wsb_backplane_message& message, uint64_t may_hold, Done done, void* context) {
  Publication made;
  made.subject.reserve(durable_.link->prefix.size() + message.topic_length);
  made.subject.append(durable_.link->prefix).append(message.topic, message.topic_length);
  if (message.length != 0) made.data.assign(static_cast<const char*>(message.data), message.length);
  made.done = done;
  made.context = context;
  made.keyed = message.key != nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return WSB_E_STATE;
    const uint64_t number = last_number_ + 1;
    made.header = header_value(durable_.link->origin, number, message.kind, message.flags, message.exclude);
    made.id = made.keyed ? std::string(message.key, message.key_length) : own_id(durable_.link->origin, number);
    const uint64_t bytes = made.bytes();
    if (bytes_ + bytes > may_hold) return WSB_E_FULL;
    waiting_.emplace(number, std::move(made));
    last_number_ = number;
    bytes_ += bytes;
  }
  wake();
  return WSB_OK;
}

void Store::wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (pumping_ || !ready_) return;
    pumping_ = true;
  }
  durable_.wire->post([weak = durable_.weak_from_this()] {
    if (const auto durable = weak.lock()) durable->store->pump();
  });
}

void Store::pause() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ready_ = false;
  next_ = 1;
  on_way_ = 0;
}

void Store::resume() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (ready_ || trying_again_) return;
    ready_ = true;
  }
  wake();
}

// ---------------------------------------------------------------------------------------------------------------------- sending

void Store::listen() {
  Wire& wire = *durable_.wire;
  if (connection_ == wire.connection() && answers_ != nullptr) return;
  wire.unsubscribe(answers_);
  connection_ = wire.connection();
  inbox_ = Wire::new_inbox();
  answers_ = wire.subscribe(inbox_ + ".*", [weak = durable_.weak_from_this()](MessageRef message) {
    if (const auto durable = weak.lock()) durable->store->take_answer(message.get());
  });
}

void Store::pump() {
  listen();
  const std::lock_guard<std::mutex> lock(mutex_);
  pumping_ = false;
  if (answers_ == nullptr || !durable_.wire->is_connected()) return;
  for (auto at = waiting_.lower_bound(next_); ready_ && on_way_ < kMostOnWay && at != waiting_.end(); ++at) {
    if (!send(at->first, at->second)) break;
    next_ = at->first + 1;
    ++on_way_;
  }
  if (on_way_ == 0 || checking_) return;
  checking_ = true;
  check_later();
}

bool Store::send(uint64_t number, Publication& publication) {
  natsMsg* made = nullptr;
  const std::string answer_to = inbox_ + "." + std::to_string(number);
  natsStatus status = natsMsg_Create(&made, publication.subject.c_str(), answer_to.c_str(), publication.data.data(),
                                     static_cast<int>(publication.data.size()));
  const MessageRef message(made);
  if (status == NATS_OK) status = natsMsgHeader_Set(made, kHeader, publication.header.c_str());
  if (status == NATS_OK) status = natsMsgHeader_Set(made, "Nats-Msg-Id", publication.id.c_str());
  if (status == NATS_OK) status = natsConnection_PublishMsg(durable_.wire->connection(), made);
  if (status != NATS_OK) return false;
  ++publication.sent;
  publication.sent_ms = steady_ms();
  return true;
}

void Store::check_later() {
  durable_.wire->later(kCheckMs, [weak = durable_.weak_from_this()] {
    if (const auto durable = weak.lock()) durable->store->check();
  });
}

// Those that JetStream has not answered for too long are sent again; it knows them if it had stored them.
void Store::check() {
  bool overdue = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    checking_ = on_way_ != 0;
    if (!checking_) return;
    check_later();
    if (!ready_ || !durable_.wire->is_connected()) return;
    const int64_t overdue_ms = steady_ms() - kOverdueMs;
    for (auto at = waiting_.begin(); at != waiting_.end() && at->first < next_; ++at) {
      if (at->second.sent_ms > overdue_ms || at->second.first_sequence != 0) continue;
      overdue = true;
      if (!send(at->first, at->second)) break;
    }
  }
  if (overdue) complain("JetStream does not answer");
}

// Each text once until something has been stored.
void Store::complain(const std::string& text) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (complaint_ == text) return;
    complaint_ = text;
  }
  durable_.say("durable topics: cannot store now: " + text);
}

void Store::try_again_later(const Answer& why) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (trying_again_ || closed_) return;
    trying_again_ = true;
    ready_ = false;
    next_ = 1;
    on_way_ = 0;
  }
  durable_.wire->later(kTryAgainMs, [weak = durable_.weak_from_this()] {
    const auto durable = weak.lock();
    if (durable == nullptr) return;
    {
      const std::lock_guard<std::mutex> lock(durable->store->mutex_);
      durable->store->trying_again_ = false;
    }
    const std::lock_guard<std::mutex> lock(durable->mutex);
    durable->feed->tell_store();
  });
  complain(why.error);
}

// --------------------------------------------------------------------------------------------------------------------- outcomes

void Store::take_answer(natsMsg* message) {
  const std::string_view subject = natsMsg_GetSubject(message);
  answered(number_in(subject.substr(subject.rfind('.') + 1)), read_answer(message));
}

void Store::answered(uint64_t number, const Answer& answer) {
  if (!answer.ok()) {
    const bool never = answer.code >= kNotForYou && answer.code < kNotForYou + 100;
    if (!never) return try_again_later(answer);
    durable_.say("durable topics: a publication was refused: " + answer.error);
    return finish(number, WSB_E_SYSTEM, 0, 0);
  }
  const auto duplicate = answer.json.find("duplicate");
  const bool is_duplicate = duplicate != answer.json.end() && *duplicate == true;
  const uint64_t sequence = number_of(answer.json, "seq");
  uint64_t read_to = 0;
  {
    const std::lock_guard<std::mutex> lock(durable_.mutex);
    read_to = durable_.feed->cursor();
  }
  bool of_another = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    complaint_.clear();
    const auto found = waiting_.find(number);
    if (found == waiting_.end()) return;
    Publication& publication = found->second;
    of_another = is_duplicate && publication.keyed;
    if (of_another && publication.sent > 1 && sequence > read_to) {
      if (publication.first_sequence == 0) ++doubtful_;
      publication.first_sequence = sequence;
      return;
    }
  }
  finish(number, WSB_OK, sequence, of_another ? 1 : 0);
}

void Store::came_back(uint64_t number, uint64_t sequence) {
  finish(number, WSB_OK, sequence, 0);
}

void Store::passed(uint64_t sequence) {
  if (doubtful_ == 0) return;
  std::vector<std::pair<uint64_t, uint64_t>> others;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [number, publication] : waiting_) {
      const uint64_t first = publication.first_sequence;
      if (first != 0 && first <= sequence) others.emplace_back(number, first);
    }
  }
  for (const auto& [number, first] : others) finish(number, WSB_OK, first, 1);
}

void Store::finish(uint64_t number, int result, uint64_t sequence, int duplicate) {
  const std::lock_guard<std::mutex> lock_done(done_mutex_);
  Publication publication;
  bool more = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = waiting_.find(number);
    if (found == waiting_.end()) return;
    publication = std::move(found->second);
    bytes_ -= publication.bytes();
    if (publication.first_sequence != 0) --doubtful_;
    waiting_.erase(found);
    if (number < next_ && on_way_ != 0) --on_way_;
    more = next_ <= last_number_;
  }
  publication.done(publication.context, result, sequence, duplicate);
  if (more) wake();
}

bool Store::is_empty() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return waiting_.empty();
}

void Store::close() {
  const std::lock_guard<std::mutex> lock_done(done_mutex_);
  std::map<uint64_t, Publication> left;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    left.swap(waiting_);
    bytes_ = 0;
  }
  for (const auto& entry : left) entry.second.done(entry.second.context, WSB_E_STATE, 0, 0);
}

void Store::stop_listening() {
  durable_.wire->unsubscribe(answers_);
  answers_ = nullptr;
}

}  // namespace wsb::nats
