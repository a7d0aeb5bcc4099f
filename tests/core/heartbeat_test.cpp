// Heartbeat: when it pings, what it takes for an answer, what it measures; alone and on a wheel.
#include "core/heartbeat.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/wheel.h"
#include "heartbeat_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

// ---------------------------------------------------------------------------------------------------------- pings

TEST_F(HeartbeatTest, OffDoesNothing) {
  heartbeat.start(now, {}, 1000);
  EXPECT_FALSE(heartbeat.enabled());
  EXPECT_EQ(heartbeat.next_due(), kNever);
  EXPECT_EQ(check_after(100 * kInterval), Verdict::kNothing);
  EXPECT_EQ(heartbeat.next_due(), kNever);
}

TEST_F(HeartbeatTest, PingsOnceEachInterval) {
  start();
  for (TimeUs beats = 1; beats <= 50; ++beats) {
    const TimeUs due = kStart + beats * kInterval;
    EXPECT_EQ(heartbeat.next_due(), due);
    EXPECT_EQ(check_at(due - 1), Verdict::kNothing);
    EXPECT_EQ(check_at(due), Verdict::kSendPing);
    EXPECT_EQ(check_at(due), Verdict::kNothing) << "once";
    heartbeat.ping_left(now, stalled_us);
    heartbeat.heard();
    EXPECT_EQ(check_at(due + kTimeout), Verdict::kNothing);
  }
}

TEST_F(HeartbeatTest, ALateCheckDoesNotMoveTheBeat) {
  start();
  ASSERT_EQ(check_at(kStart + kInterval + 7777), Verdict::kSendPing);
  heartbeat.ping_left(now, stalled_us);
  heartbeat.heard();
  EXPECT_EQ(check_at(now + kTimeout), Verdict::kNothing);
  EXPECT_EQ(heartbeat.next_due(), kStart + 2 * kInterval);
}

TEST_F(HeartbeatTest, ThePhaseSaysWhenTheFirstPingIsDue) {
  for (const uint16_t phase : std::vector<uint16_t>{0, 1, 16383, 32767, 65535}) {
    start(false, phase);
    const TimeUs due = kStart + kInterval * (phase + 1U) / 65536;
    EXPECT_EQ(heartbeat.next_due(), due);
    EXPECT_GT(due, kStart);
    EXPECT_LE(due, kStart + kInterval);
  }
}

TEST_F(HeartbeatTest, PhasesAreSpreadOverTheInterval) {
  constexpr size_t kConnections = 1000;
  std::array<size_t, 10> first_tenths{};
  std::array<size_t, 10> third_tenths{};
  for (size_t i = 0; i < kConnections; ++i) {
    now = kStart;
    start(false, static_cast<uint16_t>(i * 65536 / kConnections));
    ++first_tenths[(heartbeat.next_due() - 1 - kStart) * 10 / kInterval];
    for (int beats = 0; beats < 2; ++beats) {
      beat();
      heartbeat.heard();
      ASSERT_EQ(check_after(kTimeout / 2), Verdict::kNothing);
    }
    ++third_tenths[(heartbeat.next_due() - 1 - kStart - 2 * kInterval) * 10 / kInterval];
  }
  for (const size_t count : first_tenths) EXPECT_EQ(count, kConnections / 10);
  EXPECT_EQ(third_tenths, first_tenths) << "and they stay spread";
}

TEST_F(HeartbeatTest, BeatsThatWereSleptThroughAreLeftOut) {
  start();
  EXPECT_EQ(check_at(kStart + 10 * kInterval + 5), Verdict::kSendPing);
  EXPECT_EQ(check_at(now), Verdict::kNothing);
  EXPECT_EQ(heartbeat.next_due(), kStart + 11 * kInterval);
}

TEST_F(HeartbeatTest, OnePingAtATime) {
  start();
  ASSERT_EQ(check_at(kStart + kInterval), Verdict::kSendPing);
  const std::string first = payload();
  for (TimeUs beats = 2; beats < 6; ++beats) {
    EXPECT_EQ(check_at(kStart + beats * kInterval), Verdict::kNothing) << "the first has not left yet";
  }
  heartbeat.ping_left(now, stalled_us);
  EXPECT_EQ(payload(), first);
  EXPECT_TRUE(pong(first));
  EXPECT_EQ(check_at(kStart + 6 * kInterval), Verdict::kSendPing);
}

TEST_F(HeartbeatTest, APingThatCouldNotBeQueuedIsTriedAgainAtTheNextBeat) {
  start();
  ASSERT_EQ(check_at(kStart + kInterval), Verdict::kSendPing);
  heartbeat.ping_not_queued();
  EXPECT_EQ(check_after(kTimeout), Verdict::kNothing);
  EXPECT_EQ(check_at(kStart + 2 * kInterval), Verdict::kSendPing);
  heartbeat.ping_left(now, stalled_us);
  EXPECT_EQ(check_after(kTimeout), Verdict::kDead);
}

TEST_F(HeartbeatTest, PayloadsDiffer) {
  std::set<std::string> seen;
  for (uint64_t serial = 0; serial < 4; ++serial) {
    Heartbeat each;
    each.start(now + serial, {1000, 400, false}, 65535);
    for (TimeUs beats = 1; beats <= 250; ++beats) {
      const TimeUs due = now + serial + beats * kInterval;
      ASSERT_EQ(each.check(due, 0, [] { return Unread::kNothing; }), Verdict::kSendPing);
      each.ping_left(due, 0);
      each.heard();
      EXPECT_TRUE(seen.insert(std::string(view_of(each.payload(), Heartbeat::kPayloadBytes))).second);
    }
  }
}

// -------------------------------------------------------------------------------------------------------- answers

TEST_F(HeartbeatTest, SilenceIsDeathAtTheDeadlineAndNotBefore) {
  start();
  beat();
  EXPECT_EQ(heartbeat.next_due(), kStart + kInterval + kTimeout);
  EXPECT_EQ(check_at(kStart + kInterval + kTimeout - 1), Verdict::kNothing);
  EXPECT_EQ(check_at(kStart + kInterval + kTimeout), Verdict::kDead);
}

TEST_F(HeartbeatTest, AnyByteAfterThePingProvesLife) {
  start();
  beat();
  EXPECT_EQ(check_after(kTimeout - 1), Verdict::kNothing);
  heartbeat.heard();
  EXPECT_EQ(check_after(1), Verdict::kNothing);
  EXPECT_EQ(heartbeat.next_due(), kStart + 2 * kInterval);
}

TEST_F(HeartbeatTest, BytesBeforeThePingProveNothing) {
  start();
  heartbeat.heard();
  ASSERT_EQ(check_at(kStart + kInterval), Verdict::kSendPing);
  heartbeat.heard();  // while it waits in our queue
  heartbeat.ping_left(now, stalled_us);
  EXPECT_EQ(check_after(kTimeout), Verdict::kDead);
}

TEST_F(HeartbeatTest, EachPingIsToBeAnsweredAnew) {
  start();
  beat();
  heartbeat.heard();
  ASSERT_EQ(check_after(kTimeout), Verdict::kNothing);
  beat();
  EXPECT_EQ(check_after(kTimeout), Verdict::kDead);
}

TEST_F(HeartbeatTest, TheClockStartsWhenThePingLeaves) {
  start();
  ASSERT_EQ(check_at(kStart + kInterval), Verdict::kSendPing);
  EXPECT_EQ(check_after(7 * kInterval), Verdict::kNothing) << "it waits in our queue";
  heartbeat.ping_left(now, stalled_us);
  const TimeUs left = now;
  EXPECT_EQ(check_at(left + kTimeout - 1), Verdict::kNothing);
  EXPECT_EQ(check_at(left + kTimeout), Verdict::kDead);
}

TEST_F(HeartbeatTest, WithLivenessPongOtherBytesProveNothing) {
  start(true);
  beat();
  heartbeat.heard();
  EXPECT_FALSE(pong("12345678"));
  EXPECT_EQ(check_after(kTimeout), Verdict::kDead);
}

TEST_F(HeartbeatTest, WithLivenessPongTheMatchingPongDoes) {
  start(true);
  beat();
  now += 100;
  EXPECT_TRUE(pong(payload()));
  EXPECT_EQ(check_after(kTimeout), Verdict::kNothing);
  EXPECT_EQ(heartbeat.next_due(), kStart + 2 * kInterval);
}

TEST_F(HeartbeatTest, OnlyTheLastPingsPayloadMatches) {
  start(true);
  EXPECT_FALSE(pong(std::string(8, '\0'))) << "before any ping";
  ASSERT_EQ(check_at(kStart + kInterval), Verdict::kSendPing);
  EXPECT_FALSE(pong(payload())) << "before it has left nobody can know it";
  heartbeat.ping_left(now, stalled_us);
  const std::string first = payload();
  EXPECT_FALSE(pong(first.substr(0, 7)));
  EXPECT_FALSE(pong(first + "x"));
  EXPECT_FALSE(pong(""));
  EXPECT_TRUE(pong(first));
  EXPECT_FALSE(pong(first)) << "an echo of the echo";
  beat();
  EXPECT_FALSE(pong(first)) << "of the ping before";
  EXPECT_TRUE(pong(payload()));
  EXPECT_EQ(heartbeat.figures().pongs_received.get(), 2u);
}

// --------------------------------------------------------------------------------------------------------- figures

TEST_F(HeartbeatTest, RoundTripTimes) {
  start();
  const auto round_trip = [&](TimeUs us) {
    beat();
    now += us;
    EXPECT_TRUE(pong(payload()));
    EXPECT_EQ(check_after(1), Verdict::kNothing);
  };
  const Heartbeat::Figures& figures = heartbeat.figures();
  round_trip(800);
  EXPECT_EQ(rtt_us, 800u);
  EXPECT_EQ(figures.rtt_last_us.get(), 800u);
  EXPECT_EQ(figures.rtt_smoothed_us.get(), 800u) << "the first counts whole";
  EXPECT_EQ(figures.rtt_min_us.get(), 800u);
  round_trip(1600);
  EXPECT_EQ(figures.rtt_last_us.get(), 1600u);
  EXPECT_EQ(figures.rtt_smoothed_us.get(), 900u);
  EXPECT_EQ(figures.rtt_min_us.get(), 800u);
  round_trip(100);
  EXPECT_EQ(figures.rtt_smoothed_us.get(), 800u);
  EXPECT_EQ(figures.rtt_min_us.get(), 100u);
  round_trip(0);
  EXPECT_EQ(rtt_us, 1u) << "0 would say: unknown";
  EXPECT_EQ(figures.pings_sent.get(), 4u);
  EXPECT_EQ(figures.pongs_received.get(), 4u);
}

TEST_F(HeartbeatTest, ARoundTripLongerThanItsNumberHolds) {
  heartbeat.start(now, {86'400'000, 86'399'999, false}, 65535);
  beat();
  now += from_ms(80'000'000);
  EXPECT_TRUE(pong(payload()));
  EXPECT_EQ(rtt_us, UINT32_MAX);
}

TEST_F(HeartbeatTest, FiguresTellWhatIsInForceAndWhetherAnAnswerIsDue) {
  start();
  const Heartbeat::Figures& figures = heartbeat.figures();
  EXPECT_EQ(figures.interval_ms.get(), 1000u);
  EXPECT_EQ(figures.timeout_ms.get(), 400u);
  ASSERT_EQ(check_after(kInterval), Verdict::kSendPing);
  EXPECT_EQ(figures.waiting.get(), 0u) << "it has not left";
  heartbeat.ping_left(now, stalled_us);
  EXPECT_EQ(figures.waiting.get(), 1u);
  EXPECT_TRUE(heartbeat.waiting());
  EXPECT_TRUE(pong(payload()));
  EXPECT_EQ(figures.waiting.get(), 0u);
  EXPECT_FALSE(heartbeat.waiting());
  heartbeat.start(now, {}, 0);
  EXPECT_EQ(figures.interval_ms.get(), 0u);
}

// ------------------------------------------------------------------------------------------------------ on a wheel

// 200 peers that fall silent at some moment among 200 that never do, on one wheel, with answers that take a while.
TEST(HeartbeatOnAWheel, DeathIsNeverEarlyAndAtMostOneTickLate) {
  struct Peer : WheelNode {
    Heartbeat heartbeat;
    TimeUs silent_from = kNever;
    TimeUs answer_at = kNever;
    TimeUs left_at = 0;
    TimeUs dead_at = kNever;
  };
  constexpr TimeUs kEnd = kStart + from_ms(20'000);
  std::mt19937 random(11);
  Wheel wheel(kStart);
  std::vector<Peer> peers(400);
  for (size_t i = 0; i < peers.size(); ++i) {
    Peer& peer = peers[i];
    peer.heartbeat.start(kStart, {1000, 400, i % 3 == 0}, static_cast<uint16_t>(random()));
    if (i % 2 == 0) peer.silent_from = kStart + random() % from_ms(15'000);
    wheel.schedule(peer, peer.heartbeat.next_due());
  }
  const auto answer = [](Peer& peer) {
    uint32_t rtt_us = 0;
    peer.heartbeat.heard();
    EXPECT_TRUE(peer.heartbeat.pong(peer.heartbeat.payload(), Heartbeat::kPayloadBytes, peer.answer_at, rtt_us));
    peer.answer_at = kNever;
  };
  while (wheel.next_due() <= kEnd) {
    const TimeUs now = wheel.next_due();
    for (Peer& peer : peers) {
      if (peer.answer_at <= now) answer(peer);
    }
    wheel.advance(now, [&](WheelNode& node) {
      auto& peer = static_cast<Peer&>(node);
      const Verdict verdict = peer.heartbeat.check(now, 0, [] { return Unread::kNothing; });
      if (verdict == Verdict::kDead) {
        peer.dead_at = now;
        return;
      }
      if (verdict == Verdict::kSendPing) {
        peer.left_at = now;
        peer.heartbeat.ping_left(now, 0);
        if (now < peer.silent_from) peer.answer_at = now + random() % (kTimeout - Wheel::kTickUs);
      }
      wheel.schedule(peer, peer.heartbeat.next_due());
    });
  }
  for (const Peer& peer : peers) {
    if (peer.silent_from == kNever) {
      EXPECT_EQ(peer.dead_at, kNever) << "a healthy one";
      continue;
    }
    ASSERT_NE(peer.dead_at, kNever) << "a silent one";
    EXPECT_GE(peer.dead_at, peer.left_at + kTimeout) << "early";
    EXPECT_LT(peer.dead_at, peer.left_at + kTimeout + Wheel::kTickUs) << "late";
    EXPECT_LT(peer.dead_at, peer.silent_from + kInterval + kTimeout + 2 * Wheel::kTickUs);
  }
}

}  // namespace
