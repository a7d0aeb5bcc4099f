// What other threads ask of a connection waits here for its worker: whether it may, how it gets there, and what is then done.
#include <utility>

#include "server/worker.h"

namespace wsb::server {

namespace {

constexpr size_t kKeptCommands = 1024;  // room in an empty mailbox that is kept

using Result = core::Connection::Result;

}  // namespace

size_t Worker::ping_frame_bytes(size_t payload) noexcept {
  return payload + core::header_size(payload);
}

// With the gate held.
void Worker::post(Command command) {
  mailbox_.push_back(std::move(command));
  wake_once();
}

void Worker::wake_once() noexcept {
  if (awake_ || sending_many_ || !open_) return;
  awake_ = true;
  loop_->wake();
}

// The queue as another thread sees it: what is in the outbox and what is on its way there, together under the limit.
uint64_t Worker::waiting_bytes(const Session& session) const noexcept {
  return session.inflight_bytes.load(std::memory_order_acquire) + session.conn.figures().queued_bytes.get();
}

// Now, that is: not if it can never fit.
bool Worker::is_full_for(const Session& session, const core::Buffer& message) const noexcept {
  const size_t limit = context_.config.connection.max_queue_bytes;
  const uint64_t waiting = waiting_bytes(session);
  return waiting != 0 && waiting + message.size > limit && message.payload_size() <= limit;
}

int Worker::admit_from_elsewhere(Session& session, const core::Buffer& message) {
  const core::ConnectionConfig& config = context_.config.connection;
  if (message.payload_size() > config.max_queue_bytes) return WSB_E_TOO_BIG;
  if (!is_full_for(session, message)) return WSB_OK;
  const uint64_t inflight = session.inflight_bytes.load(std::memory_order_acquire);
  if (config.slow_consumer != WSB_SLOW_DROP_OLDEST) return refuse_from_elsewhere(session);
  if (inflight + message.size > config.max_queue_bytes) drop_oldest_inflight(session, message.size);
  return WSB_OK;
}

void Worker::post_send(Session& session, core::BufferRef message) {
  Command command;
  command.kind = Command::Kind::kSend;
  command.conn = session.id;
  command.buffer = std::move(message);
  post(std::move(command));
}

int Worker::refuse_from_elsewhere(Session& session) {
  Command command;
  command.conn = session.id;
  if (context_.config.connection.slow_consumer == WSB_SLOW_CLOSE) {
    command.kind = Command::Kind::kSlowConsumer;
    post(std::move(command));
    session.remote_closing.store(true, std::memory_order_relaxed);
    return WSB_E_CLOSED;
  }
  // Once in each mailbox is enough, however often a sender tries.
  if (session.drain_asked_in != mailbox_number_) {
    command.kind = Command::Kind::kOweDrain;
    post(std::move(command));
    session.drain_asked_in = mailbox_number_;
  }
  refused_elsewhere_.fetch_add(1, std::memory_order_relaxed);
  return WSB_E_FULL;
}

// Messages that the worker has not taken yet make room, oldest first. The search goes on where the last one ended.
void Worker::drop_oldest_inflight(Session& session, size_t needed) {
  if (session.mailbox_seen != mailbox_number_) {
    session.mailbox_seen = mailbox_number_;
    session.first_inflight = 0;
  }
  uint64_t inflight = session.inflight_bytes.load(std::memory_order_acquire);
  for (size_t& i = session.first_inflight;
       i < mailbox_.size() && inflight + needed > context_.config.connection.max_queue_bytes; ++i) {
    Command& command = mailbox_[i];
    if (command.conn != session.id || command.kind != Command::Kind::kSend || !command.buffer) continue;
    inflight -= command.buffer->size;
    session.inflight_bytes.fetch_sub(command.buffer->size, std::memory_order_relaxed);
    command.buffer = core::BufferRef();
    dropped_elsewhere_.fetch_add(1, std::memory_order_relaxed);
  }
}

void Worker::on_wake() {
  std::optional<StopOrder> stop;
  std::shared_ptr<const net::Credentials> credentials;
  {
    const std::lock_guard<std::mutex> lock(gate_);
    awake_ = false;
    taken_.swap(mailbox_);
    ++mailbox_number_;
    stop.swap(new_stop_);
    credentials.swap(new_credentials_);
    if (credentials) loop_->use_credentials(credentials);
  }
  if (credentials) credentials_taken_.notify_all();
  for (Command& command : taken_) {
    Session* session = find(command.conn);
    if (command.kind == Command::Kind::kPublish) {
      hand_out(command);
    } else if (session != nullptr) {
      guarded(*session, [&] { apply(*session, command); });
    } else if (command.buffer) {
      metrics_.messages_dropped.add(1);
    }
  }
  taken_.clear();
  if (taken_.capacity() > kKeptCommands) taken_.shrink_to_fit();
  if (stop) begin_stop(std::move(*stop));
}

void Worker::apply(Session& session, Command& command) {
  mark_dirty(session);
  core::Connection& conn = session.conn;
  switch (command.kind) {
    case Command::Kind::kSend:
    case Command::Kind::kReplayed: {
      if (!command.buffer) return;  // dropped to make room
      const size_t size = command.buffer->size;
      const bool patient = command.kind == Command::Kind::kReplayed;
      (void)sent(conn.send_accepted(std::move(command.buffer), session, loop_->now(), patient));
      session.inflight_bytes.fetch_sub(size, std::memory_order_release);
      return;
    }
    case Command::Kind::kResumed:
      tell_resumed(session, command.ticket);
      return;
    case Command::Kind::kPublish:  // has no connection of its own
      return;
    case Command::Kind::kOweDrain:
      conn.owe_drain(session);
      return;
    case Command::Kind::kSlowConsumer:
      conn.close_slow_consumer(session, loop_->now());
      return;
    case Command::Kind::kPing:
      (void)conn.ping(command.text.data(), command.text.size(), loop_->now());
      session.inflight_control_bytes.fetch_sub(ping_frame_bytes(command.text.size()), std::memory_order_release);
      return;
    case Command::Kind::kClose:
      // It was promised: without memory for a Close it ends without one.
      if (conn.close(command.code, command.text, WSB_CAUSE_LOCAL_CLOSE, loop_->now()) == Result::kNoMemory) {
        conn.abort(WSB_CAUSE_LOCAL_CLOSE, session);
      }
      return;
    case Command::Kind::kAbort:
      conn.abort(WSB_CAUSE_LOCAL_CLOSE, session);
      return;
    case Command::Kind::kPause:
      conn.pause();
      return;
    case Command::Kind::kResume:
      conn.resume();
      return;
    case Command::Kind::kHeartbeat:
      heed_heartbeat(command.heartbeat);
      conn.set_heartbeat(command.heartbeat, next_phase(command.heartbeat.interval_ms, loop_->now()), loop_->now());
      return;
    case Command::Kind::kAuthenticate:
      conn.set_authenticated();
      return;
    case Command::Kind::kEventsReleased:
      session.queue.blocked.store(false);
      conn.set_queue_blocked(false);
      return;
  }
}

}  // namespace wsb::server
