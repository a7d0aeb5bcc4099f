// Heartbeat: what moves a deadline or does away with it: stalls of ours, suspension, unread input, other settings.
#include <gtest/gtest.h>

#include "core/heartbeat.h"
#include "heartbeat_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

// --------------------------------------------------------------------------------------------------------- stalls

TEST_F(HeartbeatTest, AStallIsForgiven) {
  start();
  beat();
  const TimeUs left = now;
  stalled_us += 5 * kInterval;
  EXPECT_EQ(check_at(left + 5 * kInterval + kTimeout - 1), Verdict::kNothing);
  EXPECT_EQ(heartbeat.next_due(), left + 5 * kInterval + kTimeout);
  EXPECT_EQ(check_at(left + 5 * kInterval + kTimeout), Verdict::kDead);
}

TEST_F(HeartbeatTest, EachStallIsForgivenOnce) {
  start();
  beat();
  const TimeUs left = now;
  for (TimeUs stalls = 1; stalls <= 3; ++stalls) {
    stalled_us += kTimeout;
    EXPECT_EQ(check_at(left + stalls * kTimeout), Verdict::kNothing);
    EXPECT_EQ(check_at(left + stalls * kTimeout + kTimeout - 1), Verdict::kNothing);
  }
  EXPECT_EQ(check_at(left + 4 * kTimeout), Verdict::kDead);
}

TEST_F(HeartbeatTest, AStallBeforeThePingDoesNotCount) {
  start();
  stalled_us = 100 * kInterval;
  beat();
  EXPECT_EQ(check_after(kTimeout), Verdict::kDead);
}

// ------------------------------------------------------------------------------------------------------ suspension

TEST_F(HeartbeatTest, NobodyDiesWhileWeDoNotRead) {
  start();
  beat();
  heartbeat.suspend();
  for (int beats = 0; beats < 20; ++beats) EXPECT_EQ(check_after(kInterval / 2), Verdict::kNothing);
  EXPECT_EQ(heartbeat.figures().pings_sent.get(), 1u) << "nor is another ping sent";
}

TEST_F(HeartbeatTest, ResumingGrantsAFullTimeout) {
  for (const TimeUs suspended_after : {TimeUs{0}, kTimeout - 1}) {
    start();
    beat();
    ASSERT_EQ(check_after(suspended_after), Verdict::kNothing);
    heartbeat.suspend();
    ASSERT_EQ(check_after(3 * kInterval), Verdict::kNothing);
    heartbeat.resume(now);
    const TimeUs resumed = now;
    EXPECT_EQ(check_at(resumed + kTimeout - 1), Verdict::kNothing);
    EXPECT_EQ(check_at(resumed + kTimeout), Verdict::kDead);
  }
}

TEST_F(HeartbeatTest, ResumingWithoutSuspensionGrantsNothing) {
  start();
  beat();
  ASSERT_EQ(check_after(kTimeout - 1), Verdict::kNothing);
  heartbeat.resume(now);
  EXPECT_EQ(check_after(1), Verdict::kDead);
}

TEST_F(HeartbeatTest, SuspensionBeforeThePingHoldsToo) {
  start();
  heartbeat.suspend();
  beat();
  EXPECT_EQ(check_after(kTimeout), Verdict::kNothing);
  EXPECT_EQ(check_after(10 * kInterval), Verdict::kNothing);
  heartbeat.resume(now);
  EXPECT_EQ(check_after(kTimeout), Verdict::kDead);
}

TEST_F(HeartbeatTest, ItAsksToBeCheckedOnlyForWhatMayHappen) {
  start();
  beat();
  heartbeat.suspend();
  EXPECT_EQ(heartbeat.next_due(), kStart + 2 * kInterval) << "not at the deadline";
  heartbeat.resume(now);
  EXPECT_EQ(heartbeat.next_due(), now + kTimeout);
  heartbeat.heard();
  EXPECT_EQ(heartbeat.next_due(), kStart + 2 * kInterval) << "an answer was the end of the deadline";
}

// ---------------------------------------------------------------------------------------------------- unread input

TEST_F(HeartbeatTest, TheVerdictWaitsForInputThatLiesUnread) {
  start();
  beat();
  unread = Unread::kBytes;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(check_at(heartbeat.next_due()), Verdict::kNothing);
    EXPECT_EQ(heartbeat.next_due(), now + kGrace);
  }
  heartbeat.heard();
  unread = Unread::kNothing;
  EXPECT_EQ(check_after(kGrace), Verdict::kNothing);
}

TEST_F(HeartbeatTest, APartOfSomethingLargerProvesLifeOnce) {
  start();
  beat();
  unread = Unread::kPart;
  EXPECT_EQ(check_at(heartbeat.next_due()), Verdict::kNothing);
  EXPECT_FALSE(heartbeat.waiting());
  unread = Unread::kNothing;
  beat();
  EXPECT_EQ(check_after(kTimeout), Verdict::kDead) << "what came before this ping proves nothing";
}

TEST_F(HeartbeatTest, WithLivenessPongAPartIsWaitedForOnce) {
  start(true);
  beat();
  unread = Unread::kPart;
  EXPECT_EQ(check_after(kTimeout), Verdict::kNothing);
  EXPECT_EQ(check_after(kGrace), Verdict::kDead);
}

TEST_F(HeartbeatTest, WithLivenessPongItWaitsOnce) {
  start(true);
  beat();
  unread = Unread::kBytes;
  EXPECT_EQ(check_at(kStart + kInterval + kTimeout), Verdict::kNothing);
  heartbeat.heard();  // it was no pong
  EXPECT_EQ(check_after(kGrace - 1), Verdict::kNothing);
  EXPECT_EQ(check_after(1), Verdict::kDead);
}

TEST_F(HeartbeatTest, WithLivenessPongEachPingIsGrantedTheWait) {
  start(true);
  unread = Unread::kBytes;
  for (int beats = 0; beats < 3; ++beats) {
    beat();
    EXPECT_EQ(check_after(kTimeout), Verdict::kNothing);
    EXPECT_TRUE(pong(payload()));
    EXPECT_EQ(check_after(kGrace), Verdict::kNothing);
  }
}

TEST_F(HeartbeatTest, NobodyIsAskedAboutInputUnlessADeathHangsOnIt) {
  start();
  beat();
  ASSERT_EQ(check_after(kTimeout - 1), Verdict::kNothing);
  heartbeat.heard();
  ASSERT_EQ(check_after(1), Verdict::kNothing);
  beat();
  heartbeat.suspend();
  ASSERT_EQ(check_after(kTimeout), Verdict::kNothing);
  EXPECT_EQ(asked, 0u);
  heartbeat.resume(now);
  ASSERT_EQ(check_after(kTimeout), Verdict::kDead);
  EXPECT_EQ(asked, 1u);
}

// ------------------------------------------------------------------------------------------------- other settings

TEST_F(HeartbeatTest, OtherSettingsBeginAnew) {
  start();
  beat();
  heartbeat.start(now, {100, 50, true}, 32767);
  EXPECT_EQ(heartbeat.settings().interval_ms, 100u);
  EXPECT_EQ(heartbeat.next_due(), now + from_ms(50)) << "half of the new interval";
  beat();
  heartbeat.heard();
  EXPECT_EQ(check_after(from_ms(50)), Verdict::kDead) << "liveness pong now";
}

TEST_F(HeartbeatTest, ThePongOfAPingBeforeTheChangeIsStillOurs) {
  start();
  beat();
  now += 1234;
  heartbeat.start(now, {100, 50, false}, 65535);
  now += 1;
  EXPECT_TRUE(pong(payload()));
  EXPECT_EQ(rtt_us, 1235u);
}

TEST_F(HeartbeatTest, APingThatWaitsInOurQueueOutlivesTheChange) {
  start();
  ASSERT_EQ(check_at(kStart + kInterval), Verdict::kSendPing);
  heartbeat.start(now, {100, 50, false}, 65535);
  EXPECT_EQ(check_after(from_ms(100)), Verdict::kNothing) << "one at a time";
  heartbeat.ping_left(now, stalled_us);
  EXPECT_EQ(check_after(from_ms(50) - 1), Verdict::kNothing);
  EXPECT_EQ(check_after(1), Verdict::kDead) << "the new timeout";
}

TEST_F(HeartbeatTest, SwitchedOffNobodyDies) {
  start();
  beat();
  heartbeat.start(now, {}, 0);
  EXPECT_EQ(check_after(kTimeout), Verdict::kNothing);
  EXPECT_EQ(heartbeat.next_due(), kNever);
  EXPECT_FALSE(heartbeat.waiting());

  start();
  ASSERT_EQ(check_after(kInterval), Verdict::kSendPing);
  heartbeat.start(now, {}, 0);
  heartbeat.ping_left(now, stalled_us);
  EXPECT_EQ(check_after(kTimeout), Verdict::kNothing);
  EXPECT_EQ(heartbeat.next_due(), kNever);
  EXPECT_FALSE(heartbeat.waiting());
  EXPECT_EQ(heartbeat.figures().waiting.get(), 0u);
}

// ------------------------------------------------------------------------------------------------------ for information

TEST_F(HeartbeatTest, TellsWhenTheNextPingOrTheAnswerIsDue) {
  const auto due = [&] { return heartbeat.figures().due_at.get(); };
  heartbeat.start(now, {}, 0);
  EXPECT_EQ(due(), 0U) << "off";
  start();
  EXPECT_EQ(due(), kStart + kInterval);
  beat();
  EXPECT_EQ(heartbeat.figures().waiting.get(), 1);
  EXPECT_EQ(due(), now + kTimeout) << "the answer";
  stalled_us += 5000;
  EXPECT_EQ(check_after(10), Verdict::kNothing);
  EXPECT_EQ(due(), kStart + kInterval + kTimeout + 5000) << "moved by a stall";
  heartbeat.suspend();
  EXPECT_EQ(due(), 0U) << "no deadline runs";
  heartbeat.resume(now);
  EXPECT_EQ(due(), now + kTimeout);
  EXPECT_TRUE(pong(payload()));
  EXPECT_EQ(due(), kStart + 2 * kInterval) << "the next ping";
}

TEST_F(HeartbeatTest, AnAnswerWithoutAPongIsNoticedAtTheDeadline) {
  start();
  beat();
  heartbeat.heard();
  EXPECT_EQ(check_after(kTimeout), Verdict::kNothing);
  EXPECT_EQ(heartbeat.figures().waiting.get(), 0);
  EXPECT_EQ(heartbeat.figures().due_at.get(), kStart + 2 * kInterval);
}

}  // namespace
