// How a connection begins and ends: open, Close in both directions, failure, abort; the one report of the end.
#include <algorithm>
#include <cstring>
#include <new>

#include "core/connection.h"
#include "core/utf8.h"
#include "wsbeat/wsbeat.h"

namespace wsb::core {

Connection::Connection(const ConnectionConfig& config, BufferPool& pool, TimeUs now) noexcept
    : config_(config), outbox_(pool), state_deadline_(now + from_ms(config.handshake_timeout_ms)) {
  outbox_.set_keep_apart(config.slow_consumer == WSB_SLOW_DROP_OLDEST);
}

Connection::~Connection() = default;

bool Connection::open(std::string_view answer, const DeflateParams& deflate, bool authenticated, uint16_t phase,
                      TimeUs now) {
  if (deflate.agreed) deflate_ = std::make_unique<DeflateParams>(deflate);
  assembler_ = std::make_unique<Assembler>(config_.limits, config_.streaming, deflate_.get());
  if (!outbox_.push_raw(answer.data(), answer.size())) return false;
  answer_left_ = answer.size();
  enter(State::kOpen);
  state_deadline_ = kNever;
  figures_.opened_at.set(now);
  figures_.heard_at.set(now);
  figures_.message_at.set(now);
  figures_.authenticated.set(authenticated ? 1 : 0);
  if (config_.auth_timeout_ms != 0 && !authenticated) auth_deadline_ = now + from_ms(config_.auth_timeout_ms);
  tokens_ = config_.max_messages_per_second;
  tokens_at_ = now;
  heartbeat_.start(now, config_.heartbeat, phase);
  return true;
}

void Connection::answer_and_end(std::string_view answer, TimeUs now) {
  if (!answer.empty() && !outbox_.push_raw(answer.data(), answer.size())) {
    enter(State::kDead);
    return;
  }
  reported_ = true;
  begin_ending(now);
}

void Connection::give_up() noexcept {
  reported_ = reset_ = true;
  enter(State::kDead);
}

Connection::Result Connection::close(uint32_t code, std::string_view reason, uint32_t cause, TimeUs now) {
  if (state_ != State::kOpen) return Result::kClosed;
  if (!outbox_.push_close(code, reason)) return Result::kNoMemory;
  publish_queue();
  cause_ = cause;
  code_sent_ = static_cast<uint16_t>(code == 0 ? uint32_t{WSB_CLOSE_NO_STATUS} : code);
  enter(State::kDraining);
  state_deadline_ = now + from_ms(config_.close_timeout_ms);
  auth_deadline_ = message_deadline_ = kNever;
  assembler_->discard_data();
  return Result::kOk;
}

void Connection::on_close_frame(const EventData& data, TimeUs now, ConnectionEvents& events) {
  ClosePayload payload;
  switch (parse_close(data.data, data.length, payload)) {
    case CloseResult::kOk:
      break;
    case CloseResult::kTooShort:
    case CloseResult::kBadCode:
      if (state_ == State::kOpen) {
        fail(WSB_CLOSE_PROTOCOL_ERROR, "invalid close code", WSB_CAUSE_PROTOCOL_ERROR, now, events);
        return;
      }
      payload = ClosePayload{WSB_CLOSE_NO_STATUS, {}};
      break;
    case CloseResult::kBadReason:
      if (state_ == State::kOpen) {
        fail(WSB_CLOSE_INVALID_DATA, "close reason is not UTF-8", WSB_CAUSE_INVALID_TEXT, now, events);
        return;
      }
      payload.reason = {};
      break;
  }
  if (state_ == State::kClosing) {
    report(payload.code, payload.reason, true, WSB_INITIATOR_LOCAL, cause_, events);
    begin_ending(now);
    return;
  }
  // Their Close came before ours had left, so they are first: ours gives way to the answer, what is queued is dropped.
  const bool ours_begun = outbox_.close_begun();
  drop_queue(events);
  code_received_ = static_cast<uint16_t>(payload.code);
  if (!payload.reason.empty()) peer_reason_ = std::make_unique<std::string>(payload.reason);
  enter(State::kReplying);
  state_deadline_ = now + from_ms(config_.close_timeout_ms);
  auth_deadline_ = message_deadline_ = kNever;
  if (!ours_begun) {
    code_sent_ = code_received_;
    // The code alone is echoed: an empty payload for 1005, which is never on the wire.
    if (!outbox_.push_close(payload.code, {})) {
      die(false, events);
      return;
    }
  }
  publish_queue();
}

void Connection::drop_queue(ConnectionEvents& events) {
  const size_t dropped = outbox_.drop_queued();
  publish_queue();
  tell_dropped(dropped, events);
}

void Connection::tell_dropped(size_t messages, ConnectionEvents& events) {
  if (messages == 0) return;
  figures_.messages_out.sub(messages);
  events.on_dropped(*this, messages);
}

void Connection::fail(uint32_t code, std::string_view reason, uint32_t cause, TimeUs now, ConnectionEvents& events) {
  if (outbox_.push_close(code, reason.substr(0, kMaxCloseReason))) code_sent_ = static_cast<uint16_t>(code);
  publish_queue();
  begin_ending(now);
  report(WSB_CLOSE_ABNORMAL, {}, false, WSB_INITIATOR_LOCAL, cause, events);
}

void Connection::report(uint32_t code, std::string_view reason, bool clean, uint32_t initiator, uint32_t cause,
                        ConnectionEvents& events) {
  if (reported_) return;
  reported_ = true;
  CloseInfo info;
  info.code = code;
  // A Close that still waits behind data was not sent.
  info.code_sent = state_ == State::kDraining || (state_ == State::kReplying && !clean) ? 0 : code_sent_;
  try {
    info.reason = reason;
  } catch (const std::bad_alloc&) {  // told without it
  }
  info.clean = clean;
  info.initiator = initiator;
  info.cause = cause;
  if (state_ != State::kDead) enter(State::kEnding);  // nothing is open any more for whoever is told
  events.on_closed(*this, info);
}

void Connection::begin_ending(TimeUs now) noexcept {
  if (state_ == State::kDead) return;
  enter(State::kEnding);
  state_deadline_ = now + from_ms(config_.close_timeout_ms);
  auth_deadline_ = message_deadline_ = kNever;
  pending_input_ = {};
}

void Connection::die(bool reset, ConnectionEvents& events) {
  reset_ = reset;
  drop_queue(events);
  if (!reported_ && state_ != State::kHandshake) {
    if (state_ == State::kReplying) {
      report(code_received_, peer_reason(), false, WSB_INITIATOR_REMOTE, WSB_CAUSE_PEER_CLOSE, events);
    } else {
      report(WSB_CLOSE_ABNORMAL, {}, false, WSB_INITIATOR_LOCAL, cause_, events);
    }
  }
  enter(State::kDead);
}

void Connection::abort(uint32_t cause, ConnectionEvents& events) {
  if (state_ == State::kDead) return;
  if (state_ == State::kOpen || cause_ == 0) cause_ = cause;
  // What has been closed properly and only waits for the peer's FIN is not turned into a reset.
  die(state_ != State::kEnding || !outbox_.empty(), events);
}

bool Connection::take_shutdown() noexcept {
  if (shutdown_done_ || state_ != State::kEnding || !outbox_.empty()) return false;
  shutdown_done_ = true;
  return true;
}

}  // namespace wsb::core
