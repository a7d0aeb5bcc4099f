// For the heartbeat_*_test programs: a Heartbeat with a fake clock.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "client_frames.h"
#include "core/heartbeat.h"

namespace wsb::core::testing {

using Verdict = Heartbeat::Verdict;

inline constexpr TimeUs kStart = 1'000'000'000;
inline constexpr TimeUs kInterval = from_ms(1000);
inline constexpr TimeUs kTimeout = from_ms(400);
inline constexpr TimeUs kGrace = from_ms(20);

class HeartbeatTest : public ::testing::Test {
 protected:
  void start(bool pong_only = false, uint16_t phase = 65535) { heartbeat.start(now, {1000, 400, pong_only}, phase); }
  Verdict check_at(TimeUs time) {
    now = time;
    return heartbeat.check(now, stalled_us, [&] {
      ++asked;
      return unread;
    });
  }
  Verdict check_after(TimeUs us) { return check_at(now + us); }
  // The next ping falls due and leaves at once.
  void beat() {
    ASSERT_EQ(check_at(heartbeat.next_due()), Verdict::kSendPing);
    heartbeat.ping_left(now, stalled_us);
  }
  std::string payload() const { return std::string(view_of(heartbeat.payload(), Heartbeat::kPayloadBytes)); }
  bool pong(std::string_view data) {
    heartbeat.heard();
    rtt_us = 0;
    return heartbeat.pong(bytes_of(data), data.size(), now, rtt_us);
  }

  Heartbeat heartbeat;
  TimeUs now = kStart;
  TimeUs stalled_us = 0;
  uint32_t rtt_us = 0;
  Unread unread = Unread::kNothing;
  size_t asked = 0;
};

}  // namespace wsb::core::testing
