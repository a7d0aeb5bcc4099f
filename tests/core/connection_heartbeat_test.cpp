// The heartbeat of a connection: pings that pass the queue, pongs, death by silence, and when silence is no death.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "connection_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class ConnectionHeartbeatTest : public ConnectionTest {
 protected:
  ConnectionHeartbeatTest() { config.heartbeat = {1000, 400, false}; }
  void open_pong_only() {
    config.heartbeat.pong_only = true;
    open();
  }
  // Up to a ping that has just left; its payload.
  std::string next_ping() {
    wire.clear();
    for (int i = 0; i < 3 && wire.empty(); ++i) run_us(conn->next_due() - now);
    const ServerFrames frames = take_server_frames(wire);
    EXPECT_EQ(frames.size(), 1u);
    if (frames.size() != 1) return {};
    EXPECT_EQ(frames[0].opcode, 9);
    EXPECT_EQ(frames[0].payload.size(), Heartbeat::kPayloadBytes);
    return frames[0].payload;
  }
  void expect_death_in_us(TimeUs us) {
    run_us(us - 1);
    EXPECT_EQ(log(), Log{});
    EXPECT_FALSE(conn->dead());
    run_us(1);
    EXPECT_EQ(log(), Log{kDeath});
    EXPECT_TRUE(conn->dead());
  }
  void expect_death_in_ms(uint64_t ms) { expect_death_in_us(from_ms(ms)); }

  static constexpr const char* kDeath = R"(closed 1006 "" sent 1011 unclean local heartbeat_timeout)";
};

const std::string kBig(5000, 'x');

// ---------------------------------------------------------------------------------------------------------- the ping

TEST_F(ConnectionHeartbeatTest, PingsEachIntervalAndTellsThePong) {
  open();
  const TimeUs opened = now;
  for (TimeUs beats = 1; beats <= 5; ++beats) {
    const std::string payload = next_ping();
    EXPECT_EQ(now, opened + beats * from_ms(1000));
    EXPECT_EQ(conn->heartbeat_figures().waiting.get(), 1u);
    run_us(700);
    receive_pong(payload);
    EXPECT_EQ(log(), Log{"heartbeat pong 700us"});
    EXPECT_EQ(conn->heartbeat_figures().waiting.get(), 0u);
  }
  EXPECT_EQ(conn->heartbeat_figures().pings_sent.get(), 5u);
  EXPECT_EQ(conn->heartbeat_figures().pongs_received.get(), 5u);
  EXPECT_EQ(conn->heartbeat_figures().rtt_smoothed_us.get(), 700u);
}

TEST_F(ConnectionHeartbeatTest, OffNeverPings) {
  config.heartbeat = {};
  open();
  run_ms(1'000'000);
  EXPECT_EQ(sent(), ServerFrames{});
  EXPECT_EQ(state(), State::kOpen);
}

TEST_F(ConnectionHeartbeatTest, ThePingPassesQueuedDataAtTheNextBoundary) {
  open();
  room = 100;
  send(kBig);
  send("two");
  turn();
  run_ms(1000);
  room = SIZE_MAX;
  const ServerFrames frames = sent();
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0], text_frame(kBig));
  EXPECT_EQ(frames[1].opcode, 9);
  EXPECT_EQ(frames[2], text_frame("two"));
}

TEST_F(ConnectionHeartbeatTest, TheClockStartsWhenThePingLeaves) {
  open();
  room = 0;
  run_ms(60'000);
  EXPECT_EQ(state(), State::kOpen) << "a full socket is no death";
  EXPECT_EQ(conn->heartbeat_figures().pings_sent.get(), 0u);
  room = 9;
  turn();
  run_ms(5000);
  EXPECT_EQ(state(), State::kOpen) << "not with its first bytes either";
  room = 1;
  turn();
  EXPECT_EQ(conn->heartbeat_figures().pings_sent.get(), 1u);
  expect_death_in_ms(400);
}

TEST_F(ConnectionHeartbeatTest, TheRoundTripCountsFromThen) {
  open();
  room = 0;
  run_ms(1300);
  room = SIZE_MAX;
  turn();
  const ServerFrames frames = take_server_frames(wire);
  ASSERT_EQ(frames.size(), 1u) << "one ping at a time";
  run_us(250);
  receive_pong(frames[0].payload);
  EXPECT_EQ(log(), Log{"heartbeat pong 250us"});
}

TEST_F(ConnectionHeartbeatTest, BehindALongQueueOfPongsItWaitsItsTurn) {
  open();
  room = 0;
  for (int i = 0; i < 10; ++i) receive_ping(std::string(98, 'p'));
  run_ms(1000);
  room = 1000;
  turn();
  run_ms(5000);
  EXPECT_EQ(state(), State::kOpen);
  room = SIZE_MAX;
  turn();
  expect_death_in_ms(400);
}

// ------------------------------------------------------------------------------------------------------------- death

TEST_F(ConnectionHeartbeatTest, SilenceIsDeath) {
  open();
  next_ping();
  expect_death_in_ms(400);
  EXPECT_EQ(take_server_frames(wire), ServerFrames{close_frame(1011, "heartbeat timeout")}) << "tried once";
  EXPECT_FALSE(conn->wants_reset());
  EXPECT_EQ(conn->next_due(), kNever);
  EXPECT_EQ(send("late"), Result::kClosed);
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{});
}

TEST_F(ConnectionHeartbeatTest, WhatIsQueuedIsDroppedButForTheFrameThatHasBegun) {
  open();
  next_ping();
  room = 10;
  send(kBig);
  send("two");
  turn();
  run_ms(400);
  EXPECT_EQ(log(), (Log{"dropped 1", kDeath}));
  EXPECT_TRUE(conn->dead());
  room = SIZE_MAX;
  write();
  EXPECT_EQ(take_server_frames(wire), (ServerFrames{text_frame(kBig), close_frame(1011, "heartbeat timeout")}));
}

TEST_F(ConnectionHeartbeatTest, AnyByteProvesLife) {
  open();
  for (const std::string& bytes : {client_frame(kFin | 1, "text"), client_frame(kFin | 9, ""),
                                   client_frame(kFin | 10, "x"), client_frame(kFin | 1, "half").substr(0, 3)}) {
    next_ping();
    run_us(from_ms(400) - 1);
    receive(bytes);
    run_ms(300);
    EXPECT_EQ(state(), State::kOpen);
    turn();
  }
}

TEST_F(ConnectionHeartbeatTest, WithLivenessPongOnlyThePongDoes) {
  open_pong_only();
  receive_pong(next_ping());
  EXPECT_EQ(log(), Log{"heartbeat pong 1us"});
  next_ping();
  for (int i = 0; i < 39; ++i) {
    receive_text("alive, but no pong");
    run_ms(10);
  }
  receive_pong("12345678");
  log();
  expect_death_in_ms(10);
}

TEST_F(ConnectionHeartbeatTest, ALatePongIsAnUnsolicitedOneNextTime) {
  open();
  const std::string first = next_ping();
  receive_text("alive");
  const std::string second = next_ping();
  EXPECT_NE(first, second);
  log();
  receive(client_frame(kFin | 10, first));
  receive_pong(second);
  const Log lines = log();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "pong " + first + " 0us");
  EXPECT_EQ(lines[1], "heartbeat pong 1us");
}

TEST_F(ConnectionHeartbeatTest, NoPingsOnceItCloses) {
  config.close_timeout_ms = 60'000;
  open();
  close(1000);
  turn();
  wire.clear();
  run_ms(30'000);
  EXPECT_EQ(wire, "");
  EXPECT_EQ(state(), State::kClosing) << "and no death: the close timeout sees to the end";
}

TEST_F(ConnectionHeartbeatTest, ADeadlineBehindACloseIsForgotten) {
  open();
  next_ping();
  close(1000);
  turn();
  run_ms(1000);
  EXPECT_EQ(log(), Log{});
  receive_close(1000);
  EXPECT_EQ(log(), Log{R"(closed 1000 "" sent 1000 clean local local_close)"});
}

// ------------------------------------------------------------------------------------------------ silence that is ours

TEST_F(ConnectionHeartbeatTest, WhilePausedNobodyDies) {
  open();
  next_ping();
  run_ms(300);
  conn->pause();
  turn();
  run_ms(60'000);
  EXPECT_EQ(state(), State::kOpen);
  conn->resume();
  turn();
  expect_death_in_ms(400);
}

TEST_F(ConnectionHeartbeatTest, NorWhileTheEventQueueIsFull) {
  open();
  next_ping();
  conn->set_queue_blocked(true);
  turn();
  run_ms(60'000);
  EXPECT_EQ(state(), State::kOpen);
  conn->set_queue_blocked(false);
  turn();
  expect_death_in_ms(400);
}

TEST_F(ConnectionHeartbeatTest, NorWhileThePeerIsThrottled) {
  config.max_messages_per_second = 1;
  open_pong_only();
  next_ping();
  receive_text("one");
  EXPECT_EQ(log(), Log{"text one"});
  turn();
  EXPECT_FALSE(conn->reading(now));
  run_us(from_ms(1000) - 1);
  EXPECT_EQ(state(), State::kOpen);
  run_us(1);
  EXPECT_TRUE(conn->reading(now));
  expect_death_in_ms(400);
}

TEST_F(ConnectionHeartbeatTest, NorWhileItsPongsBlockReading) {
  open();
  next_ping();
  room = 0;
  const std::string ping = client_frame(kFin | 9, std::string(125, 'p'));
  while (conn->reading(now)) receive(ping);
  run_ms(60'000);
  EXPECT_EQ(state(), State::kOpen);
}

TEST_F(ConnectionHeartbeatTest, APongThatWaitsInTheKeptInputCounts) {
  open_pong_only();
  const std::string payload = next_ping();
  conn->pause();
  turn();
  receive_pong(payload);
  run_ms(10'000);
  conn->resume();
  turn();
  EXPECT_EQ(log().size(), 1u);
  run_ms(500);
  EXPECT_EQ(state(), State::kOpen);
}

TEST_F(ConnectionHeartbeatTest, AStallOfThisProcessIsForgiven) {
  open();
  next_ping();
  now += from_ms(30'000);
  stalled_us += from_ms(30'000);
  conn->on_time(now, stalled_us, events);
  turn();
  EXPECT_EQ(log(), Log{});
  expect_death_in_ms(400);
}

TEST_F(ConnectionHeartbeatTest, TheVerdictWaitsForInputThatLiesUnread) {
  open();
  next_ping();
  events.unread_now = Unread::kBytes;
  run_ms(400);
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_EQ(events.unread_asked, 1u);
  run_ms(19);
  receive_text("I was there all the time");
  events.unread_now = Unread::kNothing;
  run_ms(400);
  EXPECT_EQ(log(), Log{"text I was there all the time"});
  EXPECT_EQ(state(), State::kOpen);
}

TEST_F(ConnectionHeartbeatTest, AndFallsIfThereWasNothing) {
  open();
  next_ping();
  events.unread_now = Unread::kBytes;
  run_ms(400);
  events.unread_now = Unread::kNothing;
  expect_death_in_ms(20);
}

TEST_F(ConnectionHeartbeatTest, WithLivenessPongItWaitsOnce) {
  open_pong_only();
  next_ping();
  events.unread_now = Unread::kBytes;
  run_ms(400);
  expect_death_in_ms(20);
}

// ----------------------------------------------------------------------------------------------------- other settings

TEST_F(ConnectionHeartbeatTest, OtherSettingsForOneConnection) {
  open();
  next_ping();
  conn->set_heartbeat({100, 30, true}, 65535, now);
  EXPECT_EQ(conn->heartbeat_settings().interval_ms, 100u);
  EXPECT_EQ(conn->heartbeat_figures().interval_ms.get(), 100u);
  EXPECT_EQ(conn->heartbeat_figures().timeout_ms.get(), 30u);
  const TimeUs changed = now;
  next_ping();
  EXPECT_EQ(now, changed + from_ms(100));
  expect_death_in_ms(30);
}

TEST_F(ConnectionHeartbeatTest, SwitchedOffAndOnAgain) {
  open();
  next_ping();
  conn->set_heartbeat({}, 0, now);
  run_ms(60'000);
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_EQ(sent(), ServerFrames{});
  conn->set_heartbeat({1000, 400, false}, 32767, now);
  const TimeUs changed = now;
  next_ping();
  EXPECT_EQ(now, changed + from_ms(500)) << "by its phase";
  expect_death_in_ms(400);
}

TEST_F(ConnectionHeartbeatTest, WhilePausedOtherSettingsKeepTheSuspension) {
  open();
  conn->pause();
  turn();
  conn->set_heartbeat({100, 50, false}, 65535, now);
  run_ms(60'000);
  EXPECT_EQ(state(), State::kOpen);
  conn->resume();
  turn();
  expect_death_in_ms(50);
}

}  // namespace
