// Output: what may be queued, what happens when the queue is full, what follows from bytes that left.
#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "core/connection.h"
#include "wsbeat/wsbeat.h"

namespace wsb::core {

namespace {
constexpr size_t kMaxTrackedPings = 16;
}  // namespace

// A message as large as the limit itself still fits an empty queue: its header does not count then.
bool Connection::has_room(size_t framed) const noexcept {
  return queued_bytes() == 0 || queued_bytes() + framed <= config_.max_queue_bytes;
}

// What the policy does about a full queue. Closes, if that is the policy.
void Connection::make_room(size_t framed, ConnectionEvents& events, TimeUs now) {
  if (config_.slow_consumer == WSB_SLOW_CLOSE) {
    close_slow_consumer(events, now);
  } else if (config_.slow_consumer == WSB_SLOW_DROP_OLDEST) {
    const size_t dropped = outbox_.drop_oldest(framed, config_.max_queue_bytes + answer_left_);
    publish_queue();
    tell_dropped(dropped, events);
  }
}

Connection::Admission Connection::admit(size_t payload, size_t framed, ConnectionEvents& events, TimeUs now) {
  if (state_ != State::kOpen) return Admission::kClosed;
  if (payload > config_.max_queue_bytes) return Admission::kTooBig;
  if (has_room(framed)) return Admission::kYes;
  make_room(framed, events, now);
  if (state_ != State::kOpen) return Admission::kClosed;
  if (has_room(framed)) return Admission::kYes;
  drain_owed_ = true;
  return Admission::kFull;
}

void Connection::close_slow_consumer(ConnectionEvents& events, TimeUs now) {
  if (state_ != State::kOpen) return;
  drop_queue(events);
  fail(WSB_CLOSE_TRY_AGAIN_LATER, "slow consumer", WSB_CAUSE_SLOW_CONSUMER, now, events);
}

bool Connection::queue_data(Opcode opcode, const void* data, size_t n) {
  if (deflate_ && n >= config_.deflate_threshold_bytes) return queue_compressed(opcode, data, n);
  return outbox_.push_frame(opcode, false, data, n);
}

bool Connection::queue_compressed(Opcode opcode, const void* data, size_t n) {
  if (!deflater_) {
    DeflateParams params = *deflate_;
    // A message that may be dropped from the queue must not be what later ones refer to.
    if (config_.slow_consumer == WSB_SLOW_DROP_OLDEST) params.server_no_context_takeover = true;
    deflater_.reset(new (std::nothrow) Deflater(params, config_.deflate.level, config_.deflate.mem_level));
  }
  ByteBuffer compressed;
  if (!deflater_ || !deflater_->deflate(static_cast<const uint8_t*>(data), n, compressed)) {
    return outbox_.push_frame(opcode, false, data, n);
  }
  const bool pushed = outbox_.push_frame(opcode, true, compressed.data(), compressed.size());
  if (!pushed) deflater_.reset();  // nor one that never got into it
  return pushed;
}

bool Connection::queue_message(BufferRef message) {
  if (deflate_ && message->payload_size() >= config_.deflate_threshold_bytes) {
    return queue_compressed(message->opcode, message->payload(), message->payload_size());
  }
  return outbox_.push_message(std::move(message));
}

Connection::Result Connection::queued(bool ok, TimeUs now) noexcept {
  if (!ok) return Result::kNoMemory;
  figures_.messages_out.add(1);
  figures_.message_at.set(now);
  publish_queue();
  return Result::kOk;
}

namespace {
Connection::Result refused(bool full, bool too_big) noexcept {
  if (full) return Connection::Result::kFull;
  return too_big ? Connection::Result::kTooBig : Connection::Result::kClosed;
}
}  // namespace

Connection::Result Connection::send(Opcode opcode, const void* data, size_t n, ConnectionEvents& events, TimeUs now) {
  const Admission admission = admit(n, header_size(n) + n, events, now);
  if (admission != Admission::kYes) return refused(admission == Admission::kFull, admission == Admission::kTooBig);
  return queued(queue_data(opcode, data, n), now);
}

Connection::Result Connection::send_message(Buffer* message, ConnectionEvents& events, TimeUs now) {
  const Admission admission = admit(message->payload_size(), message->size, events, now);
  if (admission != Admission::kYes) return refused(admission == Admission::kFull, admission == Admission::kTooBig);
  return queued(queue_message(BufferRef::share(message)), now);
}

Connection::Result Connection::send_accepted(BufferRef message, ConnectionEvents& events, TimeUs now, bool patient) {
  if (!patient && state_ == State::kOpen && !has_room(message->size)) make_room(message->size, events, now);
  if (state_ != State::kOpen) {
    events.on_dropped(*this, 1);
    return Result::kClosed;
  }
  const Result result = queued(queue_message(std::move(message)), now);
  if (result != Result::kOk) events.on_dropped(*this, 1);
  return result;
}

void Connection::owe_drain(ConnectionEvents& events) {
  drain_owed_ = true;
  maybe_drained(events);
}

Connection::Result Connection::ping(const void* data, size_t n, TimeUs now) {
  (void)now;
  if (state_ != State::kOpen) return Result::kClosed;
  if (outbox_.control_bytes() > kMaxControlQueueBytes) return Result::kFull;
  if (!outbox_.push_control(Opcode::kPing, data, n)) return Result::kNoMemory;
  publish_queue();
  if (!app_pings_) app_pings_ = std::make_unique<std::vector<AppPing>>();
  if (app_pings_->size() >= kMaxTrackedPings) app_pings_->erase(app_pings_->begin());
  AppPing ping;
  const auto* bytes = static_cast<const uint8_t*>(data);
  if (n != 0) ping.payload.assign(bytes, bytes + n);
  ping.position = outbox_.control_queued_position();
  app_pings_->push_back(std::move(ping));
  return Result::kOk;
}

void Connection::mark_pings_left(TimeUs now, TimeUs stalled_us) {
  const uint64_t sent = outbox_.control_sent_position();
  if (ping_position_ != 0 && sent >= ping_position_) {
    ping_position_ = 0;
    heartbeat_.ping_left(now, stalled_us);
  }
  if (!app_pings_) return;
  for (AppPing& ping : *app_pings_) {
    if (ping.left_at == 0 && sent >= ping.position) ping.left_at = now;
  }
}

// Among the control frames: it passes queued messages as they do, at a boundary (all our messages are single frames), and no policy for full
// queues, count of messages or compression knows of it.
bool Connection::queue_beat() {
  const AppBeatText text(app_beat_->interval_ms());
  if (!outbox_.push_control(Opcode::kText, text.data(), text.size())) return false;
  app_beat_->queued(outbox_.control_queued_position(), header_size(text.size()) + text.size());
  publish_queue();
  return true;
}

void Connection::maybe_drained(ConnectionEvents& events) {
  if (!drain_owed_ || state_ != State::kOpen || queued_bytes() > config_.max_queue_bytes / 2) return;
  drain_owed_ = false;
  events.on_drain(*this);
}

void Connection::wrote(size_t n, TimeUs now, TimeUs stalled_us, ConnectionEvents& events) {
  if (n == 0) return;
  outbox_.consume(n);
  const size_t answer = std::min(n, answer_left_);
  answer_left_ -= answer;
  figures_.bytes_out.add(n - answer);
  publish_queue();
  mark_pings_left(now, stalled_us);
  switch (state_) {
    case State::kOpen:
      maybe_drained(events);
      break;
    case State::kDraining:
      // Time runs from the last progress: a slow but live reader gets its queue.
      state_deadline_ = now + from_ms(config_.close_timeout_ms);
      if (outbox_.empty()) enter(State::kClosing);
      break;
    case State::kReplying:
      if (outbox_.empty()) {
        report(code_received_, peer_reason(), true, WSB_INITIATOR_REMOTE, WSB_CAUSE_PEER_CLOSE, events);
        begin_ending(now);
      } else {
        state_deadline_ = now + from_ms(config_.close_timeout_ms);  // as in kDraining
      }
      break;
    case State::kEnding:
      // An HTTP answer may be long and its reader slow.
      if (!assembler_) state_deadline_ = now + from_ms(config_.close_timeout_ms);
      break;
    case State::kHandshake:
    case State::kClosing:
    case State::kDead:
      break;
  }
}

}  // namespace wsb::core
