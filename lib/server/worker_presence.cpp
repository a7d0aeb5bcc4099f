// What presence needs of a worker: its limits, sending to those that watch, and the ends of its connections.
#include <new>

#include "server/presence.h"
#include "server/worker.h"

namespace wsb::server {

int Worker::enter_presence(uint64_t id, bool is_new) {
  const std::lock_guard<std::mutex> lock(gate_);
  Session* session = find(id);
  if (session == nullptr || !session->is_open()) return WSB_E_CLOSED;
  if (!is_new) return WSB_OK;
  const size_t topics = session->presence + (session->topics ? session->topics->size() : 0);
  if (topics >= context_.config.max_topics_per_connection || !context_.topics.enter()) return WSB_E_LIMIT;
  ++session->presence;
  return WSB_OK;
}

int Worker::leave_presence(uint64_t id) {
  const std::lock_guard<std::mutex> lock(gate_);
  Session* session = find_with_gate(id);
  if (session == nullptr) return WSB_E_CLOSED;
  --session->presence;
  context_.topics.leave(1);
  return WSB_OK;
}

bool Worker::is_there(uint64_t id) {
  const std::lock_guard<std::mutex> lock(gate_);
  return find_with_gate(id) != nullptr;
}

// Nobody can join any more: the connection is not open.
void Worker::end_presence(Session& session) noexcept {
  bool any = false;
  {
    const std::lock_guard<std::mutex> lock(gate_);
    any = session.presence != 0;
  }
  if (any) context_.presence->drop(session.id);
}

void Worker::send_to(const std::vector<uint64_t>& ids, core::Buffer& message, std::vector<uint64_t>& behind) {
  behind.reserve(behind.size() + ids.size());
  if (!is_own_thread()) {
    const std::lock_guard<std::mutex> lock(gate_);
    std::vector<Session*> receivers;
    receivers.reserve(ids.size());
    for (const uint64_t id : ids) {
      Session* session = find(id);
      if (session != nullptr && session->is_open()) receivers.push_back(session);
    }
    PublishCounts counts;
    std::vector<Session*> full;
    post_to_all(receivers, message, counts, &full);
    for (const Session* session : full) behind.push_back(session->id);
    return;
  }
  const CallbackScope later;  // who is closed as too slow is told of afterwards
  for (const uint64_t id : ids) {
    Session* session = find(id);
    if (session == nullptr || !session->is_open()) continue;
    mark_dirty(*session);
    int result = WSB_E_FULL;
    try {
      result = sent(session->conn.send_message(&message, *session, loop_->now()));
    } catch (const std::bad_alloc&) {  // as if it were full
      session->conn.owe_drain(*session);
    }
    if (result == WSB_E_FULL) behind.push_back(id);
  }
}

// On its own thread a refusal has seen to it that a drain follows.
void Worker::has_fallen_behind(uint64_t id, bool can_catch_up) {
  const bool own = is_own_thread();
  if (own && can_catch_up) return;
  std::unique_lock<std::mutex> lock(gate_, std::defer_lock);
  if (!own) lock.lock();
  Session* session = find(id);
  if (session == nullptr || !session->is_open()) return;
  if (own) {
    const CallbackScope later;
    mark_dirty(*session);
    session->conn.close_slow_consumer(*session, loop_->now());
    return;
  }
  Command command;
  command.conn = id;
  command.kind = can_catch_up ? Command::Kind::kOweDrain : Command::Kind::kSlowConsumer;
  post(std::move(command));
  if (!can_catch_up) session->remote_closing.store(true, std::memory_order_relaxed);
}

}  // namespace wsb::server
