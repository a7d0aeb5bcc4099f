// The queue of work, its timers, and answers by their questions.
#include "wire.h"

#include <algorithm>
#include <charconv>

#include "link.h"

namespace wsb::nats {

namespace {

constexpr int64_t kAnswerMs = 5000;
constexpr int64_t kEndedMs = 500;
constexpr uint64_t kNotCounted = UINT64_MAX;

void on_message(natsConnection* /*connection*/, natsSubscription* /*subscription*/, natsMsg* message, void* closure) {
  try {
    (*static_cast<Wire::Take*>(closure))(MessageRef(message));
  } catch (const std::exception&) {  // no memory: as if it had not come, which whoever waits for it notices
  }
}
void on_complete(void* closure) {
  delete static_cast<Wire::Take*>(closure);
}

}  // namespace

Answer read_answer(natsMsg* message) {
  Answer out;
  if (natsMsg_IsNoResponders(message)) {
    out.error = "JetStream does not answer: it is not enabled, or has no leader now";
    return out;
  }
  const char* const data = natsMsg_GetData(message);
  out.json = nlohmann::json::parse(data, data + natsMsg_GetDataLength(message), nullptr, false);
  if (!out.json.is_object()) {
    out.json = nullptr;
    out.error = "JetStream's answer is no JSON object";
    return out;
  }
  const auto error = out.json.find("error");
  if (error == out.json.end()) return out;
  out.error = "JetStream says no";
  if (!error->is_object()) return out;
  if (const std::string said = text_of(*error, "description"); !said.empty()) out.error = said;
  out.code = static_cast<uint32_t>(number_of(*error, "code"));
  out.err_code = static_cast<uint32_t>(number_of(*error, "err_code"));
  return out;
}

uint64_t number_in(std::string_view text) {
  uint64_t out = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

uint64_t number_of(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

std::string text_of(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

const nlohmann::json& object_of(const nlohmann::json& object, const char* name) {
  static const nlohmann::json kNone = nlohmann::json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : kNone;
}

void Wire::post(Work work) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return;
    works_.push_back(std::move(work));
  }
  wake_();
}

void Wire::later(int64_t delay_ms, Work work) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return;
    timers_.emplace(steady_ms() + delay_ms, std::move(work));
  }
  wake_();
}

void Wire::listen(std::weak_ptr<Listener> listener) {
  const std::lock_guard<std::mutex> lock(mutex_);
  listeners_.erase(std::remove_if(listeners_.begin(), listeners_.end(), [](const auto& one) { return one.expired(); }),
                   listeners_.end());
  listeners_.push_back(std::move(listener));
}

bool Wire::send(const std::string& subject, const std::string& reply, std::string_view data, const Headers& headers) {
  if (connection_ == nullptr) return false;
  const auto length = static_cast<int>(data.size());
  if (!headers.empty()) {
    natsMsg* made = nullptr;
    natsStatus status =
        natsMsg_Create(&made, subject.c_str(), reply.empty() ? nullptr : reply.c_str(), data.data(), length);
    const MessageRef message(made);
    for (const auto& [name, value] : headers) {
      if (status == NATS_OK) status = natsMsgHeader_Set(made, name.c_str(), value.c_str());
    }
    return status == NATS_OK && natsConnection_PublishMsg(connection_, made) == NATS_OK;
  }
  if (reply.empty()) return natsConnection_Publish(connection_, subject.c_str(), data.data(), length) == NATS_OK;
  return natsConnection_PublishRequest(connection_, subject.c_str(), reply.c_str(), data.data(), length) == NATS_OK;
}

bool Wire::is_connected() const noexcept {
  return connection_ != nullptr && natsConnection_Status(connection_) == NATS_CONN_STATUS_CONNECTED;
}

natsSubscription* Wire::subscribe(const std::string& subject, Take take) {
  if (connection_ == nullptr) return nullptr;
  natsSubscription* made = nullptr;
  auto closure = std::make_unique<Take>(std::move(take));
  if (natsConnection_Subscribe(&made, connection_, subject.c_str(), on_message, closure.get()) != NATS_OK)
    return nullptr;
  (void)natsSubscription_SetOnCompleteCB(made, on_complete, closure.release());
  (void)natsSubscription_SetPendingLimits(made, -1, -1);  // whoever sends here is bounded otherwise
  return made;
}

void Wire::unsubscribe(natsSubscription* subscription) noexcept {
  if (subscription == nullptr) return;
  (void)natsSubscription_Unsubscribe(subscription);
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (reads_) {
      ended_.push_back({kNotCounted, subscription});
      subscription = nullptr;
    }
  } catch (const std::bad_alloc&) {  // better lost than gone too early
    return;
  }
  if (subscription != nullptr) {
    natsSubscription_Destroy(subscription);
    return;
  }
  try {
    post([this] { look_at_ended(); });
  } catch (const std::bad_alloc&) {  // with the next one
  }
}

// The reading thread takes one message after the other, and counts one when it looks its subscription up. So when it has counted more than it had when a
// subscription had ended, it is done with that one. Where nothing comes at all, it is asked for a sign at last.
void Wire::look_at_ended() {
  size_t ended = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended = ended_.size();
  }
  uint64_t count = connection_ == nullptr ? kNotCounted : read_count();
  if (count == kNotCounted) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t i = 0; i < ended; ++i) {
      if (ended_[i].read_count == kNotCounted) ended_[i].read_count = count;
    }
  }
  if (ended > most_ended_ && is_connected()) {
    const bool answered = natsConnection_FlushTimeout(connection_, kEndedMs) == NATS_OK;
    if (answered) ++count;
    most_ended_ = answered ? kMostEnded : ended + kMostEnded;  // who does not answer is not asked each time
  }
  let_go_before(count);
}

uint64_t Wire::read_count() const {
  natsStatistics* statistics = nullptr;
  uint64_t messages = kNotCounted;
  uint64_t ignored = 0;
  if (natsStatistics_Create(&statistics) == NATS_OK && natsConnection_GetStats(connection_, statistics) == NATS_OK)
    (void)natsStatistics_GetCounts(statistics, &messages, &ignored, &ignored, &ignored, &ignored);
  natsStatistics_Destroy(statistics);
  return messages;
}

void Wire::let_go_before(uint64_t read_count) {
  std::vector<Ended> gone;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto kept = std::stable_partition(ended_.begin(), ended_.end(),
                                            [&](const Ended& one) { return one.read_count >= read_count; });
    gone.assign(kept, ended_.end());
    ended_.erase(kept, ended_.end());
  }
  for (const Ended& one : gone) natsSubscription_Destroy(one.subscription);
}

std::string Wire::new_inbox() {
  natsInbox* inbox = nullptr;
  if (natsInbox_Create(&inbox) != NATS_OK) throw std::bad_alloc();
  std::string out = inbox;
  natsInbox_Destroy(inbox);
  return out;
}

void Wire::ask(const std::string& subject, std::string_view data, Answered answered, const Headers& headers) {
  uint64_t number = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return;
    number = ++last_question_;
    questions_[number] = {std::move(answered), steady_ms() + kAnswerMs};
  }
  // One that cannot be sent ends like one that nobody answers: what can be done about it is the same.
  (void)send(subject, answers_inbox_ + "." + std::to_string(number), data, headers);
}

void Wire::take_answer(natsMsg* message) {
  const std::string_view subject = natsMsg_GetSubject(message);
  const uint64_t number = number_in(subject.substr(subject.rfind('.') + 1));
  Answered answered;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = questions_.find(number);
    if (found == questions_.end()) return;
    answered = std::move(found->second.answered);
    questions_.erase(found);
  }
  answered(read_answer(message));
}

// All wait equally long, so the oldest are first.
void Wire::answer_late_ones() {
  Answer none;
  none.error = "JetStream has not answered in time";
  const int64_t now_ms = steady_ms();
  while (true) {
    Answered answered;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (questions_.empty() || questions_.begin()->second.until_ms > now_ms) return;
      answered = std::move(questions_.begin()->second.answered);
      questions_.erase(questions_.begin());
    }
    answered(none);
  }
}

bool Wire::has_work() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !works_.empty() || (!timers_.empty() && timers_.begin()->first < told_due_ms_);
}

bool Wire::next_due(int64_t now_ms, Work& out) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!timers_.empty() && timers_.begin()->first <= now_ms) {
    out = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    return true;
  }
  if (works_.empty()) return false;
  out = std::move(works_.front());
  works_.pop_front();
  return true;
}

int64_t Wire::run() {
  const int64_t now_ms = steady_ms();
  Work work;
  while (next_due(now_ms, work)) {
    work();
    work = nullptr;
  }
  answer_late_ones();
  const std::lock_guard<std::mutex> lock(mutex_);
  int64_t next_ms = timers_.empty() ? INT64_MAX : timers_.begin()->first;
  if (!questions_.empty()) next_ms = std::min(next_ms, questions_.begin()->second.until_ms);
  told_due_ms_ = next_ms;
  return next_ms;
}

void Wire::use(natsConnection* connection) {
  if (answers_ != nullptr) {
    unsubscribe(answers_);
    answers_ = nullptr;
  }
  connection_ = connection;
  if (connection_ == nullptr) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    reads_ = true;
  }
  answers_inbox_ = new_inbox();
  answers_ = subscribe(answers_inbox_ + ".*", [weak = weak_from_this()](MessageRef message) {
    if (const WireRef self = weak.lock()) self->take_answer(message.get());
  });
}

void Wire::connection_closed() {
  std::vector<Ended> gone;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    reads_ = false;
    gone.swap(ended_);
  }
  for (const Ended& one : gone) natsSubscription_Destroy(one.subscription);
}

void Wire::tell_connected() {
  std::vector<std::weak_ptr<Listener>> listeners;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    listeners = listeners_;
  }
  for (const auto& one : listeners) {
    if (const std::shared_ptr<Listener> listener = one.lock()) listener->connected();
  }
}

void Wire::close() {
  std::deque<Work> works;
  std::multimap<int64_t, Work> timers;
  std::map<uint64_t, Question> questions;
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  works.swap(works_);
  timers.swap(timers_);
  questions.swap(questions_);
}

}  // namespace wsb::nats
