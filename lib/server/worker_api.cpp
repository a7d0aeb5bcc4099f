// What the application asks of a connection: done at once on the worker's own thread, posted to it from any other.
#include <algorithm>
#include <new>

#include "server/copy_text.h"
#include "server/worker.h"

namespace wsb::server {

namespace {

using State = core::Connection::State;
using Result = core::Connection::Result;

uint64_t since(uint64_t now, uint64_t then) noexcept {
  return now > then ? now - then : 0;
}

}  // namespace

template <typename Outcome, typename Use>
Outcome Worker::with_session(uint64_t id, Outcome missing, Use&& use) {
  if (is_own_thread()) {
    Session* session = find(id);
    return session != nullptr ? use(*session) : missing;
  }
  const std::lock_guard<std::mutex> lock(gate_);
  Session* session = find(id);
  // While its on_close runs, a connection is gone for everybody else.
  return session != nullptr && session->public_state() != WSB_STATE_CLOSED ? use(*session) : missing;
}

int Worker::result_of(Result result) noexcept {
  switch (result) {
    case Result::kOk:
      return WSB_OK;
    case Result::kClosed:
      return WSB_E_CLOSED;
    case Result::kFull:
      return WSB_E_FULL;
    case Result::kTooBig:
      return WSB_E_TOO_BIG;
    case Result::kNoMemory:
      break;
  }
  return WSB_E_NOMEM;
}

// ----------------------------------------------------------------------------------------------------------------- sending

int Worker::send(uint64_t id, core::Opcode opcode, const void* data, size_t n) {
  if (n > context_.config.connection.max_queue_bytes) {
    return with_session(id, int{WSB_E_CLOSED},
                        [](Session& session) -> int { return session.is_open() ? WSB_E_TOO_BIG : WSB_E_CLOSED; });
  }
  if (!is_own_thread()) {
    core::BufferRef message(core::Buffer::create_message(opcode, data, n));
    return message ? send_from_elsewhere(id, std::move(message)) : WSB_E_NOMEM;
  }
  Session* session = find(id);
  if (session == nullptr) return WSB_E_CLOSED;
  mark_dirty(*session);
  if (const core::BufferRef delivered = share_delivered(opcode, data, n)) {
    return sent(session->conn.send_message(delivered.get(), *session, loop_->now()));
  }
  return sent(session->conn.send(opcode, data, n, *session, loop_->now()));
}

int Worker::send_message(uint64_t id, core::Buffer* message) {
  if (!is_own_thread()) return send_from_elsewhere(id, core::BufferRef::share(message));
  Session* session = find(id);
  if (session == nullptr) return WSB_E_CLOSED;
  mark_dirty(*session);
  return sent(session->conn.send_message(message, *session, loop_->now()));
}

int Worker::sent(Result result) noexcept {
  if (result == Result::kOk) metrics_.messages_out.add(1);
  if (result == Result::kFull) metrics_.queue_refused.add(1);
  return result_of(result);
}

int Worker::send_from_elsewhere(uint64_t id, core::BufferRef message) {
  const std::lock_guard<std::mutex> lock(gate_);
  return post_message(id, std::move(message));
}

void Worker::send_many(Posting* postings, size_t count) {
  const bool own = is_own_thread();
  std::unique_lock<std::mutex> lock(gate_, std::defer_lock);
  if (!own) lock.lock();
  const uint64_t call = ++(own ? own_calls_ : other_calls_);
  for (Posting* posting = postings; posting != postings + count; ++posting) {
    if (posting->worker != this) continue;
    posting->worker = nullptr;
    Session* const session = find(posting->conn);
    if (session == nullptr) {
      posting->result = WSB_E_CLOSED;
      continue;
    }
    uint64_t& full_in = own ? session->full_in_own_call : session->full_in_other_call;
    if (full_in == call) {
      posting->result = WSB_E_FULL;
      continue;
    }
    if (!own) sending_many_ = true;
    try {
      posting->result = own ? send_message(posting->conn, posting->message.get())
                            : post_message(posting->conn, std::move(posting->message));
    } catch (const std::bad_alloc&) {
      posting->result = WSB_E_NOMEM;
    }
    if (!own) sending_many_ = false;
    if (posting->result == WSB_E_FULL) full_in = call;
  }
  if (!own && !mailbox_.empty()) wake_once();
}

// With the gate held.
int Worker::post_message(uint64_t id, core::BufferRef message) {
  Session* session = find(id);
  if (session == nullptr || !session->is_open()) return WSB_E_CLOSED;
  const size_t size = message->size;
  const int admitted = admit_from_elsewhere(*session, *message.get());
  if (admitted != WSB_OK) return admitted;
  post_send(*session, std::move(message));
  session->inflight_bytes.fetch_add(size, std::memory_order_relaxed);
  return WSB_OK;
}

int Worker::ping(uint64_t id, const void* data, size_t n) {
  return with_session(id, int{WSB_E_CLOSED}, [&](Session& session) -> int {
    if (is_own_thread()) {
      mark_dirty(session);
      return result_of(session.conn.ping(data, n, loop_->now()));
    }
    if (!session.is_open()) return WSB_E_CLOSED;
    const uint64_t waiting =
        session.inflight_control_bytes.load(std::memory_order_acquire) + session.conn.figures().control_bytes.get();
    if (waiting > core::Connection::kMaxControlQueueBytes) return WSB_E_FULL;
    Command command;
    command.kind = Command::Kind::kPing;
    command.conn = id;
    if (n != 0) command.text.assign(static_cast<const char*>(data), n);
    post(std::move(command));
    session.inflight_control_bytes.fetch_add(ping_frame_bytes(n), std::memory_order_relaxed);
    return WSB_OK;
  });
}

// ----------------------------------------------------------------------------------------------------------------- closing

int Worker::close_connection(uint64_t id, uint32_t code, std::string_view reason) {
  return with_session(id, int{WSB_E_CLOSED}, [&](Session& session) -> int {
    if (is_own_thread()) {
      mark_dirty(session);
      return result_of(session.conn.close(code, reason, WSB_CAUSE_LOCAL_CLOSE, loop_->now()));
    }
    if (!session.is_open()) return WSB_E_CLOSED;
    Command command;
    command.kind = Command::Kind::kClose;
    command.conn = id;
    command.code = code;
    command.text = reason;
    post(std::move(command));
    session.remote_closing.store(true, std::memory_order_relaxed);
    return WSB_OK;
  });
}

int Worker::abort_connection(uint64_t id) {
  return with_session(id, int{WSB_E_CLOSED}, [&](Session& session) -> int {
    if (session.conn.state() == State::kDead) return WSB_E_CLOSED;
    if (is_own_thread()) {
      mark_dirty(session);
      const CallbackScope later;  // the end is told after the call that ordered it
      session.conn.abort(WSB_CAUSE_LOCAL_CLOSE, session);
      return WSB_OK;
    }
    if (session.remote_aborting) return WSB_E_CLOSED;
    Command command;
    command.kind = Command::Kind::kAbort;
    command.conn = id;
    post(std::move(command));
    session.remote_closing.store(true, std::memory_order_relaxed);
    session.remote_aborting = true;
    return WSB_OK;
  });
}

int Worker::order(uint64_t id, Command::Kind kind, const core::HeartbeatSettings* heartbeat) {
  return with_session(id, int{WSB_E_CLOSED}, [&](Session& session) -> int {
    if (session.public_state() == WSB_STATE_CLOSED) return WSB_E_CLOSED;
    Command command;
    command.kind = kind;
    command.conn = id;
    if (heartbeat != nullptr) command.heartbeat = *heartbeat;
    if (is_own_thread()) {
      apply(session, command);
    } else {
      post(std::move(command));
    }
    return WSB_OK;
  });
}

void Worker::events_released(uint64_t id, uint32_t events, uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(gate_);
  Session* session = find(id);
  if (session == nullptr) return;
  QueueAccount& account = session->queue;
  account.events.fetch_sub(events);
  account.bytes.fetch_sub(bytes);
  if (!account.blocked.load() || !account.is_low(context_.config)) return;
  Command command;
  command.kind = Command::Kind::kEventsReleased;
  command.conn = id;
  post(std::move(command));
}

// ---------------------------------------------------------------------------------------------------------------- questions

int64_t Worker::buffered_amount(uint64_t id) {
  return with_session(id, int64_t{WSB_E_CLOSED}, [](Session& session) {
    return static_cast<int64_t>(session.conn.figures().queued_bytes.get() +
                                session.inflight_bytes.load(std::memory_order_relaxed));
  });
}

int Worker::set_user(uint64_t id, void* user) {
  return with_session(id, int{WSB_E_CLOSED}, [&](Session& session) -> int {
    session.user.store(user, std::memory_order_relaxed);
    return WSB_OK;
  });
}

void* Worker::user(uint64_t id) {
  return with_session(id, static_cast<void*>(nullptr),
                      [](Session& session) { return session.user.load(std::memory_order_relaxed); });
}

int64_t Worker::text(uint64_t id, uint32_t which, char* buffer, size_t capacity) {
  return with_session(id, int64_t{WSB_E_CLOSED},
                      [&](Session& session) { return copy_text(session.text(which), buffer, capacity); });
}

int Worker::info(uint64_t id, wsb_conn_info& out) {
  const core::TimeUs now = net::Loop::clock();
  return with_session(id, int{WSB_E_CLOSED}, [&](Session& session) -> int {
    const core::Connection::Figures& figures = session.conn.figures();
    const core::Heartbeat::Figures& heartbeat = session.conn.heartbeat_figures();
    out.conn = id;
    out.state = session.public_state();
    out.worker = index_;
    out.authenticated = figures.authenticated.get();
    out.paused = figures.paused.get();
    out.tls = session.tls ? 1 : 0;
    out.deflate = session.conn.deflate() != nullptr ? 1 : 0;
    out.peer_port = session.peer_port;
    out.heartbeat_interval_ms = heartbeat.interval_ms.get() != 0 ? heartbeat.interval_ms.get() : WSB_OFF;
    out.heartbeat_timeout_ms = heartbeat.timeout_ms.get();
    out.heartbeat_waiting = heartbeat.waiting.get();
    out.open_us = since(now, figures.opened_at.get());
    out.idle_in_us = since(now, figures.heard_at.get());
    out.idle_message_us = since(now, figures.message_at.get());
    out.app_beat_ms = figures.app_beat_ms.get();
    out.bytes_in = figures.bytes_in.get();
    out.bytes_out = figures.bytes_out.get();
    out.messages_in = figures.messages_in.get();
    out.messages_out = figures.messages_out.get();
    out.buffered_bytes = figures.queued_bytes.get() + session.inflight_bytes.load(std::memory_order_relaxed);
    out.pings_sent = heartbeat.pings_sent.get();
    out.pongs_received = heartbeat.pongs_received.get();
    out.rtt_last_us = heartbeat.rtt_last_us.get();
    out.rtt_smoothed_us = heartbeat.rtt_smoothed_us.get();
    out.rtt_min_us = heartbeat.rtt_min_us.get();
    const core::TimeUs due_at = heartbeat.due_at.get();
    out.heartbeat_due_us = due_at > now ? due_at - now : 0;
    std::unique_lock<std::mutex> lock(gate_, std::defer_lock);
    if (is_own_thread()) lock.lock();
    out.topics = session.topics ? session.topics->size() : 0;
    return WSB_OK;
  });
}

void Worker::list_connections(std::vector<uint64_t>& out) {
  const std::lock_guard<std::mutex> lock(gate_);
  out.reserve(out.size() + registry_.size());
  registry_.for_each([&](uint64_t id, void*) { out.push_back(id); });
}

void Worker::add_metrics(MetricsSum& sum) {
  sum.add(metrics_, net::Loop::clock());
  sum.totals.queue_refused += refused_elsewhere_.load(std::memory_order_relaxed);
  sum.totals.messages_dropped += dropped_elsewhere_.load(std::memory_order_relaxed);
  const std::lock_guard<std::mutex> lock(gate_);
  // There from the beginning, so that a rate sees the first of them.
  for (const uint32_t cause : {WSB_CAUSE_HEARTBEAT_TIMEOUT, WSB_CAUSE_NETWORK_ERROR})
    sum.closes[{cause, WSB_CLOSE_ABNORMAL}] += 0;
  for (const auto& [key, count] : close_counts_) sum.closes[key] += count;
}

}  // namespace wsb::server
