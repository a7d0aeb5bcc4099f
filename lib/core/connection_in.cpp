// Bytes in: frames to events, pauses in the middle of a read, stream errors.
#include <algorithm>

#include "core/connection.h"
#include "wsbeat/wsbeat.h"

namespace wsb::core {

namespace {

// A peer that pings without reading its pongs is not read further beyond this.
constexpr size_t kMaxControlBacklogBytes = 64 * 1024;
constexpr TimeUs kSecondUs = 1'000'000;

struct Failure {
  uint32_t code;
  uint32_t cause;
};

Failure failure_for(StreamError error) noexcept {
  switch (error) {
    case StreamError::kInvalidText:
      return {WSB_CLOSE_INVALID_DATA, WSB_CAUSE_INVALID_TEXT};
    case StreamError::kCorruptDeflate:
      return {WSB_CLOSE_INVALID_DATA, WSB_CAUSE_PROTOCOL_ERROR};
    case StreamError::kTooBig:
      return {WSB_CLOSE_MESSAGE_TOO_BIG, WSB_CAUSE_MESSAGE_TOO_BIG};
    case StreamError::kTooManyFragments:
      return {WSB_CLOSE_POLICY_VIOLATION, WSB_CAUSE_MESSAGE_TOO_BIG};
    case StreamError::kNoMemory:
      return {WSB_CLOSE_INTERNAL_ERROR, WSB_CAUSE_MESSAGE_TOO_BIG};
    case StreamError::kNone:
    case StreamError::kProtocol:
      break;
  }
  return {WSB_CLOSE_PROTOCOL_ERROR, WSB_CAUSE_PROTOCOL_ERROR};
}

}  // namespace

// In states other than open input goes on being read: the peer's Close is awaited, the rest thrown away.
bool Connection::takes_input() const noexcept {
  if (state_ != State::kOpen) return true;
  return !paused_ && !queue_blocked_ && throttled_until_ == 0 && outbox_.control_bytes() < kMaxControlBacklogBytes;
}

bool Connection::reading(TimeUs now) noexcept {
  const bool takes = takes_input();
  if (takes) {
    heartbeat_.resume(now);
    if (deaf_since_ != kNever && message_deadline_ != kNever) message_deadline_ += now - deaf_since_;
    deaf_since_ = kNever;
  } else {
    heartbeat_.suspend();
    if (deaf_since_ == kNever) deaf_since_ = now;
  }
  return takes;
}

void Connection::receive(uint8_t* bytes, size_t n, TimeUs now, ConnectionEvents& events) {
  if (n != 0) {
    heartbeat_.heard();
    figures_.heard_at.set(now);
    figures_.bytes_in.add(n);
  }
  if (processing_)
    return;  // a callback resumed the connection that is being processed: the loop below goes on by itself
  if (pending_input_.empty()) {
    process(bytes, n, now, events);
    return;
  }
  std::vector<uint8_t> input = std::move(pending_input_);
  pending_input_.clear();
  if (n != 0) input.insert(input.end(), bytes, bytes + n);
  process(input.data(), input.size(), now, events);
}

void Connection::process(uint8_t* bytes, size_t n, TimeUs now, ConnectionEvents& events) {
  processing_ = true;
  while (n != 0 && state_ != State::kDead && state_ != State::kEnding && state_ != State::kReplying) {
    if (!takes_input()) {
      pending_input_.insert(pending_input_.end(), bytes, bytes + n);
      break;
    }
    size_t consumed = 0;
    EventData data;
    const Event event = assembler_->next(bytes, n, consumed, data);
    bytes += consumed;
    n -= consumed;
    if (!dispatch(event, data, now, events)) break;
  }
  processing_ = false;
  if (state_ != State::kOpen || !assembler_->in_message()) {
    message_deadline_ = kNever;
  } else if (message_deadline_ == kNever && config_.message_timeout_ms != 0) {
    message_deadline_ = now + from_ms(config_.message_timeout_ms);
  }
}

bool Connection::dispatch(Event event, const EventData& data, TimeUs now, ConnectionEvents& events) {
  switch (event) {
    case Event::kNeedMore:
      return false;
    case Event::kMessage:
      message_deadline_ = kNever;
      count_message_in(now);
      events.on_message(*this, data.text, data.data, data.length);
      return true;
    case Event::kFragment:
      if (data.last) {
        message_deadline_ = kNever;
        count_message_in(now);
      }
      events.on_fragment(*this, data);
      return true;
    case Event::kPing:
      answer_ping(data, events);
      return true;
    case Event::kPong:
      on_pong_frame(data, now, events);
      return true;
    case Event::kClose:
      on_close_frame(data, now, events);
      return false;
    case Event::kError:
      on_stream_error(now, events);
      return false;
  }
  return false;
}

void Connection::answer_ping(const EventData& data, ConnectionEvents& events) {
  // After our own Close nothing may be sent any more (RFC 6455, 5.5.1); before it a long queue may take its time to drain.
  const bool may_answer = state_ == State::kOpen || (state_ == State::kDraining && !outbox_.close_begun() &&
                                                     outbox_.control_bytes() < kMaxControlBacklogBytes);
  if (!may_answer) return;
  if (!outbox_.push_control(Opcode::kPong, data.data, data.length)) abort(WSB_CAUSE_NETWORK_ERROR, events);
  publish_queue();
}

void Connection::count_message_in(TimeUs now) {
  figures_.messages_in.add(1);
  figures_.message_at.set(now);
  const uint32_t rate = config_.max_messages_per_second;
  if (rate == 0) return;
  fill_tokens(now);
  if (tokens_ != 0) --tokens_;
  if (tokens_ == 0) throttled_until_ = tokens_at_ + (kSecondUs + rate - 1) / rate;
}

// A bucket that holds one second's worth of messages and fills evenly, in steps as large as the time since the last.
void Connection::fill_tokens(TimeUs now) noexcept {
  const uint64_t rate = config_.max_messages_per_second;
  const uint64_t earned = std::min(now - tokens_at_, kSecondUs) * rate / kSecondUs;
  if (earned == 0) return;
  tokens_ = static_cast<uint32_t>(std::min(rate, tokens_ + earned));
  tokens_at_ = tokens_ == rate ? now : tokens_at_ + (earned * kSecondUs + rate - 1) / rate;
}

void Connection::end_throttle(TimeUs now) noexcept {
  if (throttled_until_ == 0 || now < throttled_until_) return;
  throttled_until_ = 0;
  fill_tokens(now);
}

void Connection::on_pong_frame(const EventData& data, TimeUs now, ConnectionEvents& events) {
  uint32_t rtt_us = 0;
  const bool ours = heartbeat_.pong(data.data, data.length, now, rtt_us);
  if (!ours && app_pings_) {
    const auto found = std::find_if(app_pings_->begin(), app_pings_->end(), [&](const AppPing& ping) {
      return ping.left_at != 0 &&
             std::equal(ping.payload.begin(), ping.payload.end(), data.data, data.data + data.length);
    });
    if (found != app_pings_->end()) {
      rtt_us =
          static_cast<uint32_t>(std::clamp<TimeUs>(now > found->left_at ? now - found->left_at : 1, 1, UINT32_MAX));
      app_pings_->erase(app_pings_->begin(), found + 1);  // pongs come in order: older ones will not be answered
    }
  }
  if (state_ == State::kOpen) events.on_pong(*this, data.data, data.length, ours, rtt_us);
}

void Connection::on_stream_error(TimeUs now, ConnectionEvents& events) {
  if (state_ != State::kOpen) {
    // Our Close is out or queued already; a peer that answers it with garbage will not close properly.
    report(WSB_CLOSE_ABNORMAL, {}, false, WSB_INITIATOR_LOCAL, cause_, events);
    begin_ending(now);
    return;
  }
  const Failure failure = failure_for(assembler_->error());
  fail(failure.code, assembler_->error_text(), failure.cause, now, events);
}

void Connection::transport_ended(ConnectionEvents& events) {
  drop_queue(events);
  outbox_.clear();
  answer_left_ = 0;
  publish_queue();
  switch (state_) {
    case State::kOpen:
    case State::kDraining:
      report(WSB_CLOSE_ABNORMAL, {}, false, WSB_INITIATOR_NETWORK, WSB_CAUSE_NETWORK_ERROR, events);
      break;
    case State::kClosing:  // our Close was sent, theirs never came
      report(WSB_CLOSE_ABNORMAL, {}, false, WSB_INITIATOR_LOCAL, cause_, events);
      break;
    case State::kReplying:
      report(code_received_, peer_reason(), false, WSB_INITIATOR_REMOTE, WSB_CAUSE_PEER_CLOSE, events);
      break;
    case State::kHandshake:
    case State::kEnding:
    case State::kDead:
      break;
  }
  enter(State::kDead);
}

}  // namespace wsb::core
