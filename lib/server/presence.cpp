// What is to be told of a topic is told by one thread at a time, whichever comes first; others leave theirs to it. So nobody waits, and the
// order stays.
#include "server/presence.h"

#include <algorithm>
#include <exception>

#include "core/registry.h"
#include "server/worker.h"

namespace wsb::server {

namespace {

// Changes that a watcher with a full queue has missed; with more it is too slow to watch.
constexpr size_t kMostOwed = 1024;

}  // namespace

Worker* Presence::worker_of(uint64_t id) const noexcept {
  const uint32_t index = core::Registry::worker_of(id);
  return index < workers_.size() ? workers_[index].get() : nullptr;
}

int Presence::join(uint64_t id, std::string_view topic, std::string_view member) {
  Worker* const worker = worker_of(id);
  if (worker == nullptr) return WSB_E_CLOSED;
  Lock lock(mutex_);
  const bool is_new = !table_.has_joined(id, topic);
  const int entered = worker->enter_presence(id, is_new);
  if (entered != WSB_OK) return entered;
  Table::Topic* changed = nullptr;
  try {
    changed = table_.join(id, topic, member);
  } catch (...) {
    if (is_new) (void)worker->leave_presence(id);
    throw;
  }
  if (changed == nullptr) return WSB_OK;
  ++joins_;
  if (!is_new) ++leaves_;
  settle(*changed, lock);
  return WSB_OK;
}

int Presence::leave(uint64_t id, std::string_view topic) {
  Worker* const worker = worker_of(id);
  if (worker == nullptr) return WSB_E_CLOSED;
  Lock lock(mutex_);
  if (!table_.has_joined(id, topic)) return worker->is_there(id) ? WSB_E_NOT_SUBSCRIBED : WSB_E_CLOSED;
  const int left = worker->leave_presence(id);
  if (left != WSB_OK) return left;
  ++leaves_;
  settle(*table_.leave(id, topic), lock);
  return WSB_OK;
}

int Presence::watch(uint64_t id, std::string_view topic) {
  Worker* const worker = worker_of(id);
  if (worker == nullptr) return WSB_E_CLOSED;
  Lock lock(mutex_);
  const bool is_new = !table_.is_watching(id, topic);
  const int entered = worker->enter_presence(id, is_new);
  if (entered != WSB_OK || !is_new) return entered;
  Table::Topic* changed = nullptr;
  try {
    changed = table_.watch(id, topic);
  } catch (...) {
    (void)worker->leave_presence(id);
    throw;
  }
  settle(*changed, lock);
  return WSB_OK;
}

int Presence::unwatch(uint64_t id, std::string_view topic) {
  Worker* const worker = worker_of(id);
  if (worker == nullptr) return WSB_E_CLOSED;
  Lock lock(mutex_);
  if (!table_.is_watching(id, topic)) return worker->is_there(id) ? WSB_E_NOT_SUBSCRIBED : WSB_E_CLOSED;
  const int left = worker->leave_presence(id);
  if (left != WSB_OK) return left;
  settle(*table_.unwatch(id, topic), lock);
  return WSB_OK;
}

std::vector<std::string> Presence::members(std::string_view topic) {
  const Lock lock(mutex_);
  return table_.members(topic);
}

void Presence::elsewhere(uint64_t watch, std::string_view member, bool present) {
  Lock lock(mutex_);
  if (Table::Topic* const changed = table_.elsewhere(watch, member, present)) settle(*changed, lock);
}

void Presence::drop(uint64_t id) noexcept {
  Lock lock(mutex_);
  for (;;) {
    const size_t joined = table_.joined();
    Table::Topic* const changed = table_.drop_one(id);
    if (changed == nullptr) return;
    leaves_ += joined - table_.joined();
    context_.topics.leave(1);
    settle(*changed, lock);
  }
}

void Presence::drained(uint64_t id) noexcept {
  Lock lock(mutex_);
  try {
    // What is refused anew waits for the next time.
    for (size_t rounds = table_.owing_topics(id); rounds != 0; --rounds) {
      if (Table::Topic* const topic = table_.catch_up(id)) settle(*topic, lock);
    }
  } catch (const std::exception&) {
    context_.log(WSB_LOG_ERROR, id, "out of memory: a change of presence was not told");
  }
}

void Presence::add_metrics(wsb_metrics& totals) {
  const Lock lock(mutex_);
  totals.presence_members = table_.present();
  totals.presence_watches = table_.watching();
  totals.presence_joins = joins_;
  totals.presence_leaves = leaves_;
  totals.subscriptions -= std::min<uint64_t>(totals.subscriptions, table_.joined() + table_.watching());
}

// --------------------------------------------------------------------------------------------------------------------- telling

void Presence::settle(Table::Topic& topic, Lock& lock) noexcept {
  if (!Table::hold(topic)) return;
  for (;;) {
    const Table::Tasks task = Table::take_task(topic);
    if (task.empty()) break;
    try {
      carry_out(topic, task.front(), lock);
    } catch (const std::exception&) {
      context_.log(WSB_LOG_ERROR, 0, "out of memory: a change of presence was not told");
    }
    if (!lock.owns_lock()) lock.lock();
  }
  table_.release(topic);
}

void Presence::carry_out(Table::Topic& topic, const core::PresenceTask& task, Lock& lock) {
  using Kind = core::PresenceTask::Kind;
  if (task.kind != Kind::kChange && task.kind != Kind::kCatchUp) {
    lock.unlock();
    tell_backplane(Table::name(topic), task);
    return;
  }
  if (context_.callbacks.on_presence == nullptr) return;
  std::vector<uint64_t> receivers;
  if (task.kind == Kind::kCatchUp) {
    receivers.push_back(task.number);
    tell(topic, task.member, Table::is_present(topic, task.member), receivers, lock);
  } else {
    Table::copy_watchers(topic, receivers);
    tell(topic, task.member, task.present, receivers, lock);
  }
}

void Presence::tell(Table::Topic& topic, const std::string& member, bool present,
                    const std::vector<uint64_t>& receivers, Lock& lock) {
  if (receivers.empty()) return;
  lock.unlock();
  const core::BufferRef message = make_message(Table::name(topic), member, present);
  if (!message) return;
  const std::vector<uint64_t> behind = send(*message.get(), receivers);
  if (!behind.empty()) owe(topic, member, behind, lock);
}

core::BufferRef Presence::make_message(const std::string& topic, const std::string& member, bool present) const {
  const wsb_presence_event event{
      sizeof event, topic.c_str(), topic.size(), member.c_str(), member.size(), present ? 1U : 0U, 0};
  const Worker::CallbackScope scope;
  return core::BufferRef(
      reinterpret_cast<core::Buffer*>(context_.callbacks.on_presence(&event, context_.callbacks.user)));
}

// Returns those whose full queue refused it, by the policy to refuse.
std::vector<uint64_t> Presence::send(core::Buffer& message, const std::vector<uint64_t>& receivers) const {
  std::vector<uint64_t> behind;
  if (workers_.size() == 1) {
    workers_[0]->send_to(receivers, message, behind);
    return behind;
  }
  std::vector<std::vector<uint64_t>> of_worker(workers_.size());
  for (const uint64_t id : receivers) of_worker[core::Registry::worker_of(id)].push_back(id);
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (!of_worker[i].empty()) workers_[i]->send_to(of_worker[i], message, behind);
  }
  return behind;
}

// They get the newest state of this member when their queue has room.
void Presence::owe(Table::Topic& topic, const std::string& member, const std::vector<uint64_t>& behind, Lock& lock) {
  for (const uint64_t id : behind) {
    lock.lock();
    bool owed = false;
    try {
      owed = table_.owe(id, topic, member, kMostOwed);
    } catch (const std::exception&) {  // then it cannot be kept in step
    }
    lock.unlock();
    worker_of(id)->has_fallen_behind(id, owed);
  }
}

void Presence::tell_backplane(const std::string& topic, const core::PresenceTask& task) noexcept {
  using Kind = core::PresenceTask::Kind;
  Backplane& backplane = context_.backplane;
  int result = WSB_OK;
  if (task.kind == Kind::kJoin) result = backplane.join(topic, task.member, task.number);
  if (task.kind == Kind::kLeave) result = backplane.leave(topic, task.number);
  if (task.kind == Kind::kWatch) result = backplane.watch(topic, task.number);
  if (task.kind == Kind::kUnwatch) result = backplane.unwatch(task.number);
  if (result != WSB_OK)
    context_.log(WSB_LOG_WARNING, 0, "the backplane did not take a change of presence: ", wsb_strerror(result));
}

}  // namespace wsb::server
