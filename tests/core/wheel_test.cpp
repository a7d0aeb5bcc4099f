// Wheel: never early, at most one tick late, and free to be changed from inside.
#include "core/wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

namespace {

using namespace wsb::core;

constexpr TimeUs kTick = Wheel::kTickUs;
constexpr TimeUs kTurn = kTick * Wheel::kSlots;
constexpr TimeUs kStart = 123'456'789;  // not on a tick

struct Timer : WheelNode {
  TimeUs due = kNever;
  size_t fired = 0;
  TimeUs fired_at = 0;
};

class WheelTest : public ::testing::Test {
 protected:
  void schedule(Timer& timer, TimeUs due) {
    timer.due = due;
    wheel.schedule(timer, due);
  }
  void advance(TimeUs to) {
    now = to;
    wheel.advance(now, [&](WheelNode& node) {
      auto& timer = static_cast<Timer&>(node);
      ++timer.fired;
      timer.fired_at = now;
    });
  }
  // As a loop does: sleeps until next_due, for as long as that lies before `end`.
  void run_until(TimeUs end) {
    while (wheel.next_due() <= end) {
      ASSERT_GT(wheel.next_due(), now) << "would spin";
      advance(wheel.next_due());
    }
    advance(end);
  }

  TimeUs now = kStart;
  Wheel wheel{kStart};
};

TEST_F(WheelTest, AnEmptyWheelNeverAsksToBeWoken) {
  EXPECT_EQ(wheel.next_due(), kNever);
  EXPECT_EQ(wheel.size(), 0u);
  run_until(kStart + 3 * kTurn);
  EXPECT_EQ(wheel.next_due(), kNever);
}

TEST_F(WheelTest, WhatWasMovedOrCancelledWakesNobody) {
  Timer moved;
  Timer cancelled;
  schedule(moved, kStart + 20 * kTick);
  schedule(cancelled, kStart + 30 * kTick);
  schedule(moved, kStart + 50 * kTick);
  EXPECT_GT(wheel.next_due(), kStart + 20 * kTick + kTick);
  wheel.cancel(cancelled);
  EXPECT_GE(wheel.next_due(), kStart + 50 * kTick);
  Timer beside;
  schedule(beside, kStart + 50 * kTick);
  wheel.cancel(moved);
  EXPECT_LE(wheel.next_due(), kStart + 51 * kTick) << "another waits in that slot";
  advance(kStart + 51 * kTick);
  EXPECT_EQ(beside.fired, 1u);
  EXPECT_EQ(moved.fired + cancelled.fired, 0u);
}

TEST_F(WheelTest, FiresOnceNeverEarlyAndAtMostOneTickLate) {
  for (const TimeUs delay : std::vector<TimeUs>{1, kTick - 1, kTick, kTick + 1, 1'000'000, kTurn - kTick, kTurn - 1,
                                                kTurn, kTurn + 1, kTurn + kTick, 10 * kTurn, 10 * kTurn + 12'345}) {
    Timer timer;
    const TimeUs due = now + delay;
    schedule(timer, due);
    EXPECT_TRUE(timer.scheduled());
    EXPECT_EQ(wheel.size(), 1u);
    run_until(due + 2 * kTick);
    EXPECT_EQ(timer.fired, 1u) << delay;
    EXPECT_GE(timer.fired_at, due) << delay;
    EXPECT_LT(timer.fired_at, due + kTick) << delay;
    EXPECT_FALSE(timer.scheduled());
    EXPECT_EQ(wheel.size(), 0u);
    EXPECT_EQ(wheel.next_due(), kNever);
  }
}

TEST_F(WheelTest, FiresOnTimeAlsoWhenNothingWasToBeDoneForLong) {
  for (const TimeUs idle : std::vector<TimeUs>{kTurn / 2, kTurn, 7 * kTurn + 12'345}) {
    now += idle;  // nobody advances a wheel on which nothing waits
    Timer timer;
    const TimeUs due = now + 30 * kTick + 1;
    schedule(timer, due);
    EXPECT_LT(wheel.next_due(), due + kTick);
    while (timer.fired == 0) advance(std::max(now, wheel.next_due()));
    EXPECT_GE(timer.fired_at, due);
    EXPECT_LT(timer.fired_at, due + kTick);
  }
}

TEST_F(WheelTest, OnATickExactlyIsNotLateAtAll) {
  Timer timer;
  const TimeUs due = (kStart / kTick + 7) * kTick;
  schedule(timer, due);
  advance(due - 1);
  EXPECT_EQ(timer.fired, 0u);
  advance(due);
  EXPECT_EQ(timer.fired, 1u);
}

TEST_F(WheelTest, WhatIsDueAlreadyFiresOnTheNextTick) {
  Timer past;
  Timer present;
  schedule(past, 0);
  schedule(present, now);
  EXPECT_LE(wheel.next_due(), now + kTick);
  advance(now);
  EXPECT_EQ(past.fired + present.fired, 0u) << "not within the tick in which it was scheduled";
  advance(now + kTick);
  EXPECT_EQ(past.fired, 1u);
  EXPECT_EQ(present.fired, 1u);
}

TEST_F(WheelTest, SchedulingAgainMoves) {
  Timer timer;
  schedule(timer, now + 5 * kTick);
  schedule(timer, now + 50 * kTick);
  EXPECT_EQ(wheel.size(), 1u);
  run_until(now + 40 * kTick);
  EXPECT_EQ(timer.fired, 0u);
  schedule(timer, now + kTick);
  run_until(now + 3 * kTick);
  EXPECT_EQ(timer.fired, 1u);
  run_until(now + 100 * kTick);
  EXPECT_EQ(timer.fired, 1u);
}

TEST_F(WheelTest, CancelledNeverFires) {
  Timer cancelled;
  Timer never;
  Timer untouched;
  schedule(cancelled, now + 5 * kTick);
  schedule(never, now + 5 * kTick);
  wheel.cancel(cancelled);
  wheel.schedule(never, kNever);
  wheel.cancel(untouched);
  EXPECT_FALSE(cancelled.scheduled());
  EXPECT_FALSE(never.scheduled());
  EXPECT_EQ(wheel.size(), 0u);
  EXPECT_EQ(wheel.next_due(), kNever);
  run_until(now + kTurn);
  EXPECT_EQ(cancelled.fired + never.fired + untouched.fired, 0u);
}

TEST_F(WheelTest, NextDueIsExactWithoutCancelledNodes) {
  std::vector<Timer> timers(3);
  schedule(timers[0], now + 700 * kTick);
  EXPECT_EQ(wheel.next_due() / kTick, (timers[0].due + kTick - 1) / kTick);
  schedule(timers[1], now + 4000 * kTick);
  EXPECT_EQ(wheel.next_due() / kTick, (timers[0].due + kTick - 1) / kTick);
  schedule(timers[2], now + 3 * kTick);
  EXPECT_EQ(wheel.next_due() / kTick, (timers[2].due + kTick - 1) / kTick);
}

TEST_F(WheelTest, AfterALongPauseEverythingDueFiresOnceAndNothingElse) {
  std::vector<Timer> due(500);
  std::vector<Timer> later(500);
  for (size_t i = 0; i < due.size(); ++i) {
    schedule(due[i], now + (i + 1) * 2 * kTurn / due.size());
    schedule(later[i], now + 5 * kTurn + i * kTick);
  }
  advance(now + 3 * kTurn);
  for (const Timer& timer : due) ASSERT_EQ(timer.fired, 1u);
  for (const Timer& timer : later) ASSERT_EQ(timer.fired, 0u);
  EXPECT_EQ(wheel.size(), later.size());
}

TEST_F(WheelTest, TheClockMayStandStillOrGoBack) {
  Timer timer;
  schedule(timer, now + kTick);
  advance(now + 3 * kTick);
  EXPECT_EQ(timer.fired, 1u);
  schedule(timer, now + kTick);
  advance(now);
  advance(now - 2 * kTick);
  EXPECT_EQ(timer.fired, 1u);
}

TEST_F(WheelTest, FromInsideANodeMayScheduleItself) {
  Timer timer;
  size_t fired = 0;
  schedule(timer, now + kTick);
  for (int i = 1; i <= 100; ++i) {
    const TimeUs at = kStart + static_cast<TimeUs>(i) * 2 * kTick;
    wheel.advance(at, [&](WheelNode& node) {
      ++fired;
      EXPECT_FALSE(node.scheduled());
      wheel.schedule(node, at);  // due at once: yet not in this advance, which would never end
    });
  }
  EXPECT_EQ(fired, 100u);
}

TEST_F(WheelTest, FromInsideOthersThatAreDueMayBeCancelledAndMoved) {
  Timer first;
  Timer cancelled;
  Timer moved;
  for (Timer* timer : {&first, &cancelled, &moved}) schedule(*timer, now + kTick);
  std::vector<WheelNode*> fired;
  wheel.advance(now + 2 * kTick, [&](WheelNode& node) {
    fired.push_back(&node);
    if (&node == &cancelled) wheel.cancel(first);
    if (&node == &first) wheel.cancel(cancelled);
    if (fired.size() == 1) wheel.schedule(moved, now + 50 * kTick);
  });
  ASSERT_FALSE(fired.empty());
  EXPECT_TRUE(fired == std::vector<WheelNode*>{&first} || fired == std::vector<WheelNode*>{&cancelled});
  EXPECT_TRUE(moved.scheduled());
  EXPECT_EQ(wheel.size(), 1u);
}

TEST_F(WheelTest, AgreesWithAPlainList) {
  std::mt19937_64 random(3);
  std::vector<Timer> timers(200);
  for (int round = 0; round < 30'000; ++round) {
    Timer& timer = timers[random() % timers.size()];
    switch (random() % 8) {
      case 0:
        wheel.cancel(timer);
        timer.due = kNever;
        break;
      case 1:
      case 2:
      case 3:
        schedule(timer, now + random() % (random() % 4 == 0 ? 3 * kTurn : 100 * kTick));
        break;
      default: {
        const TimeUs to = now + random() % (random() % 50 == 0 ? 2 * kTurn : 3 * kTick);
        TimeUs first = kNever;
        size_t waiting = 0;
        for (const Timer& each : timers) {
          first = std::min(first, each.due);
          waiting += each.due != kNever ? 1 : 0;
        }
        ASSERT_EQ(wheel.size(), waiting);
        if (waiting != 0) {
          ASSERT_LT(wheel.next_due(), std::max(first, now) + 2 * kTick);
        } else {
          ASSERT_EQ(wheel.next_due(), kNever);
        }
        wheel.advance(to, [&](WheelNode& node) {
          auto& fired = static_cast<Timer&>(node);
          ASSERT_LE(fired.due, to) << "early";
          fired.due = kNever;
        });
        now = to;
        for (const Timer& each : timers) ASSERT_GT(each.due, now - kTick) << "more than a tick late";
        break;
      }
    }
  }
}

}  // namespace
