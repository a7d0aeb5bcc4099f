// Deadlines: what is due now, and when to ask again.
#include <algorithm>

#include "core/connection.h"
#include "wsbeat/wsbeat.h"

namespace wsb::core {

TimeUs Connection::idle_due() const noexcept {
  if (config_.idle_timeout_ms == 0 || state_ != State::kOpen) return kNever;
  return figures_.message_at.get() + from_ms(config_.idle_timeout_ms);
}

TimeUs Connection::next_due() const noexcept {
  TimeUs due =
      std::min({state_deadline_, auth_deadline_, deaf_since_ == kNever ? message_deadline_ : kNever, idle_due()});
  if (state_ == State::kOpen) {
    due = std::min(due, heartbeat_.next_due());
    if (throttled_until_ != 0) due = std::min(due, throttled_until_);
  }
  return state_ == State::kDead ? kNever : due;
}

void Connection::on_state_deadline(ConnectionEvents& events) {
  switch (state_) {
    case State::kDraining:
    case State::kClosing:
      if (cause_ == WSB_CAUSE_LOCAL_CLOSE) cause_ = WSB_CAUSE_CLOSE_TIMEOUT;
      die(true, events);
      break;
    case State::kReplying:
    case State::kEnding:
      die(!outbox_.empty(), events);
      break;
    case State::kOpen:
    case State::kHandshake:  // the session answers 408
    case State::kDead:
      break;
  }
}

bool Connection::on_limits_due(TimeUs now, ConnectionEvents& events) {
  if (now >= auth_deadline_) {
    close(WSB_CLOSE_POLICY_VIOLATION, "authentication timeout", WSB_CAUSE_AUTH_TIMEOUT, now);
    return true;
  }
  if (deaf_since_ == kNever && now >= message_deadline_) {
    fail(WSB_CLOSE_POLICY_VIOLATION, "message took too long", WSB_CAUSE_PROTOCOL_ERROR, now, events);
    return true;
  }
  if (now >= idle_due()) {
    close(WSB_CLOSE_GOING_AWAY, "idle timeout", WSB_CAUSE_IDLE_TIMEOUT, now);
    return true;
  }
  return false;
}

void Connection::on_time(TimeUs now, TimeUs stalled_us, ConnectionEvents& events) {
  if (now >= state_deadline_) on_state_deadline(events);
  if (state_ != State::kOpen) return;
  end_throttle(now);
  const bool reading_now = reading(now);
  if (on_limits_due(now, events)) return;
  switch (heartbeat_.check(now, stalled_us, [&] { return reading_now && events.input_waiting(*this); })) {
    case Heartbeat::Verdict::kNothing:
      break;
    case Heartbeat::Verdict::kSendPing:
      if (outbox_.push_control(Opcode::kPing, heartbeat_.payload(), Heartbeat::kPayloadBytes)) {
        ping_position_ = outbox_.control_queued_position();
        publish_queue();
      } else {
        heartbeat_.ping_not_queued();
      }
      break;
    case Heartbeat::Verdict::kDead:
      drop_queue(events);
      fail(WSB_CLOSE_INTERNAL_ERROR, "heartbeat timeout", WSB_CAUSE_HEARTBEAT_TIMEOUT, now, events);
      enter(State::kDead);  // the Close is tried once, nothing is awaited
      break;
  }
}

void Connection::set_heartbeat(const HeartbeatSettings& settings, uint16_t phase, TimeUs now) noexcept {
  heartbeat_.start(now, settings, phase);
}

void Connection::set_authenticated() noexcept {
  figures_.authenticated.set(1);
  auth_deadline_ = kNever;
}

}  // namespace wsb::core
