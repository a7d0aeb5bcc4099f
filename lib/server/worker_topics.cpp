// Subscriptions of this worker's connections, and publications to them. The trie is used under the gate only, by whichever thread: a
// subscription has effect when the call returns, and a publication costs its worker one short lock and each other worker at most one wake.
#include <new>

#include "server/worker.h"

namespace wsb::server {

// ----------------------------------------------------------------------------------------------------------- subscriptions

int Worker::subscribe(uint64_t id, std::string_view pattern, core::TopicTrie::Change& change, const ResumeWish* wish,
                      ReplayOrder* order) {
  const std::lock_guard<std::mutex> lock(gate_);
  Session* session = find(id);
  if (session == nullptr || !session->is_open()) return WSB_E_CLOSED;
  if (!session->topics) session->topics = std::make_unique<core::TopicMember>(session);
  core::TopicMember& member = *session->topics;
  const bool is_new = !trie_.is_subscribed(member, pattern);
  if (is_new) {
    if (member.size() + session->presence >= context_.config.max_topics_per_connection || !context_.topics.enter())
      return WSB_E_LIMIT;
    try {
      change = trie_.subscribe(member, pattern);
    } catch (...) {
      context_.topics.leave(1);
      throw;
    }
  }
  if (wish == nullptr) return WSB_OK;
  try {
    *order = begin_replay(*session, pattern, wish->after, true);
  } catch (...) {
    if (is_new) {
      (void)trie_.unsubscribe(member, pattern);
      context_.topics.leave(1);
    }
    throw;
  }
  withdraw_replayed(*session, pattern);
  trie_.set_flow(member, pattern, wish->resume ? core::Flow::kPaused : core::Flow::kLive);
  return WSB_OK;
}

// While its on_close runs, a connection is gone for everybody else.
Session* Worker::find_with_gate(uint64_t id) const noexcept {
  Session* session = find(id);
  const bool gone = session == nullptr || (!is_own_thread() && session->public_state() == WSB_STATE_CLOSED);
  return gone ? nullptr : session;
}

int Worker::unsubscribe(uint64_t id, std::string_view pattern, core::TopicTrie::Change& change, uint64_t& forgotten) {
  const std::lock_guard<std::mutex> lock(gate_);
  Session* session = find_with_gate(id);
  if (session == nullptr) return WSB_E_CLOSED;
  if (!session->topics) return WSB_E_NOT_SUBSCRIBED;
  change = trie_.unsubscribe(*session->topics, pattern);
  if (change == core::TopicTrie::Change::kNone) return WSB_E_NOT_SUBSCRIBED;
  context_.topics.leave(1);
  forgotten = end_replay(*session, pattern);
  withdraw_replayed(*session, pattern);
  if (session->topics->size() == 0) session->topics.reset();
  return WSB_OK;
}

int Worker::subscriptions(uint64_t id, std::vector<std::string>& out) {
  const std::lock_guard<std::mutex> lock(gate_);  // even on this thread: another may subscribe it
  const Session* session = find_with_gate(id);
  if (session == nullptr) return WSB_E_CLOSED;
  if (session->topics) out = session->topics->patterns();
  return WSB_OK;
}

// With the gate held. What nobody else here wants is to be told to the backplane without it.
void Worker::drop_subscriptions(Session& session, std::vector<std::string>& wanted_no_more) noexcept {
  if (!session.topics) return;
  core::TopicMember& member = *session.topics;
  context_.topics.leave(member.size());
  try {
    std::string pattern;
    while (context_.backplane.present() && member.size() != 0) {
      if (trie_.drop_one(member, pattern) == core::TopicTrie::Change::kOnly) wanted_no_more.push_back(pattern);
    }
  } catch (const std::bad_alloc&) {  // the backplane goes on bringing some for nobody
  }
  trie_.drop(member);
  session.topics.reset();
}

// ------------------------------------------------------------------------------------------------------------ publications

// With the gate held.
std::vector<Session*> Worker::receivers_of(const Publication& publication) {
  std::vector<Session*> out;
  trie_.match(publication.topic, [&](core::TopicMember& member) {
    auto* session = static_cast<Session*>(member.owner());
    if (session->id != publication.exclude && session->is_open()) out.push_back(session);
  });
  return out;
}

void Worker::publish(const Publication& publication, PublishCounts& counts) {
  if (!is_own_thread()) {
    publish_from_elsewhere(publication, counts);
    return;
  }
  std::vector<Session*> receivers;
  {
    const std::lock_guard<std::mutex> lock(gate_);
    receivers = receivers_of(publication);
  }
  const CallbackScope later;  // who is closed as too slow is told of afterwards
  for (Session* session : receivers) {
    mark_dirty(*session);
    bool reached = false;
    try {
      reached = sent(session->conn.send_message(publication.message, *session, loop_->now())) == WSB_OK;
    } catch (const std::bad_alloc&) {  // refused, then
    }
    ++(reached ? counts.reached : counts.refused);
  }
}

void Worker::publish_from_elsewhere(const Publication& publication, PublishCounts& counts) {
  const std::lock_guard<std::mutex> lock(gate_);
  post_to_all(receivers_of(publication), *publication.message, counts, nullptr);
}

// With the gate held. Whether each receiver takes it is decided here and now; the worker gets one command for all that do. Those whose full queue
// would refuse it go into `behind`, if there is that.
void Worker::post_to_all(const std::vector<Session*>& receivers, core::Buffer& message, PublishCounts& counts,
                         std::vector<Session*>* behind) {
  if (receivers.empty()) return;
  if (behind != nullptr) behind->reserve(behind->size() + receivers.size());
  // Where messages may be dropped to make room, each needs a command of its own.
  const bool together = context_.config.connection.slow_consumer != WSB_SLOW_DROP_OLDEST;
  const size_t shared = mailbox_.size();
  if (together) {
    mailbox_.emplace_back();
    mailbox_[shared].kind = Command::Kind::kPublish;
    mailbox_[shared].receivers.reserve(receivers.size());
    mailbox_[shared].buffer = core::BufferRef::share(&message);
  }
  const bool refuses = context_.config.connection.slow_consumer == WSB_SLOW_REFUSE;
  for (Session* session : receivers) {
    if (behind != nullptr && refuses && is_full_for(*session, message)) {
      behind->push_back(session);
      continue;
    }
    bool reached = false;
    try {
      reached = admit_from_elsewhere(*session, message) == WSB_OK;
      if (reached && together) {
        mailbox_[shared].receivers.push_back(session->id);
      } else if (reached) {
        post_send(*session, core::BufferRef::share(&message));
      }
    } catch (const std::bad_alloc&) {
      reached = false;
    }
    if (reached) session->inflight_bytes.fetch_add(message.size, std::memory_order_relaxed);
    ++(reached ? counts.reached : counts.refused);
  }
  if (together && !mailbox_[shared].receivers.empty()) wake_once();
}

void Worker::hand_out(Command& command) {
  const size_t size = command.buffer ? command.buffer->size : 0;
  for (const uint64_t id : command.receivers) {
    Session* session = find(id);
    if (session == nullptr) {
      metrics_.messages_dropped.add(1);
      continue;
    }
    mark_dirty(*session);
    guarded(*session, [&] {
      (void)sent(session->conn.send_accepted(core::BufferRef::share(command.buffer.get()), *session, loop_->now()));
    });
    session->inflight_bytes.fetch_sub(size, std::memory_order_release);
  }
}

}  // namespace wsb::server
