// The heartbeat's rules.
#include "core/heartbeat.h"

#include <algorithm>
#include <cstring>

namespace wsb::core {

void Heartbeat::start(TimeUs now, const HeartbeatSettings& settings, uint16_t phase) noexcept {
  settings_ = settings;
  deadline_ = kNever;  // the last ping's pong would still tell a round trip
  const TimeUs interval = from_ms(settings.interval_ms);
  next_ping_ = enabled() ? now + interval * (phase + 1U) / 65536 : kNever;
  figures_.interval_ms.set(settings.interval_ms);
  figures_.timeout_ms.set(settings.timeout_ms);
  figures_.waiting.set(0);
  publish();
}

// What anyone may know about the next event.
void Heartbeat::publish() noexcept {
  const TimeUs due = figures_.waiting.get() == 0 ? next_ping_ : suspended_ ? kNever : deadline_;
  figures_.due_at.set(due == kNever ? 0 : due);
}

bool Heartbeat::pong(const uint8_t* payload, size_t n, TimeUs now, uint32_t& rtt_us) noexcept {
  if (!ping_out_ || pong_seen_ || n != kPayloadBytes || std::memcmp(payload, payload_, n) != 0) return false;
  pong_seen_ = true;
  figures_.waiting.set(0);
  publish();
  figures_.pongs_received.add(1);
  const TimeUs rtt = now > left_at_ ? now - left_at_ : 1;
  rtt_us = static_cast<uint32_t>(std::min<TimeUs>(rtt, UINT32_MAX));
  figures_.rtt_last_us.set(rtt_us);
  const uint32_t smoothed = figures_.rtt_smoothed_us.get();
  const int64_t difference = static_cast<int64_t>(rtt_us) - smoothed;
  figures_.rtt_smoothed_us.set(smoothed == 0 ? rtt_us : static_cast<uint32_t>(smoothed + difference / 8));
  const uint32_t least = figures_.rtt_min_us.get();
  if (least == 0 || rtt_us < least) figures_.rtt_min_us.set(rtt_us);
  return true;
}

void Heartbeat::ping_left(TimeUs now, TimeUs stalled_us) noexcept {
  if (!ping_queued_) return;
  ping_queued_ = false;
  ping_out_ = true;
  pong_seen_ = false;
  heard_since_ping_ = false;
  grace_used_ = false;
  left_at_ = now;
  stalled_at_ping_ = stalled_us;
  figures_.pings_sent.add(1);
  if (!enabled()) return;
  deadline_ = now + from_ms(settings_.timeout_ms);
  figures_.waiting.set(1);
  publish();
}

void Heartbeat::suspend() noexcept {
  suspended_ = true;
  publish();
}

void Heartbeat::resume(TimeUs now) noexcept {
  if (!suspended_) return;
  suspended_ = false;
  if (deadline_ != kNever) deadline_ = now + from_ms(settings_.timeout_ms);
  publish();
}

bool Heartbeat::is_overdue(TimeUs now, TimeUs stalled_us) noexcept {
  if (deadline_ == kNever) return false;
  if (answered()) {
    deadline_ = kNever;
    figures_.waiting.set(0);
    publish();
    return false;
  }
  if (suspended_) return false;
  if (stalled_us != stalled_at_ping_) {
    deadline_ += stalled_us - stalled_at_ping_;
    stalled_at_ping_ = stalled_us;
    publish();
  }
  return now >= deadline_;
}

bool Heartbeat::ping_falls_due(TimeUs now) noexcept {
  if (now < next_ping_) return false;
  const TimeUs interval = from_ms(settings_.interval_ms);
  next_ping_ += interval * ((now - next_ping_) / interval + 1);  // beats that were slept through are left out
  publish();
  // One ping at a time: the last may still wait in our queue or, while we do not read or after a stall, for its answer.
  if (ping_queued_ || deadline_ != kNever) return false;
  uint64_t serial = 0;
  std::memcpy(&serial, payload_, sizeof serial);
  serial = (serial ^ now) * 0x9E3779B97F4A7C15ULL + 1;  // distinct per ping; no secret
  std::memcpy(payload_, &serial, sizeof serial);
  ping_queued_ = true;
  ping_out_ = false;
  return true;
}

TimeUs Heartbeat::next_due() const noexcept {
  if (!enabled()) return kNever;
  if (suspended_ || !waiting()) return next_ping_;
  return std::min(next_ping_, deadline_);
}

}  // namespace wsb::core
