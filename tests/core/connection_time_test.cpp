// Deadlines other than the heartbeat's: authentication, idleness, messages that take too long; and that a deadline which
// was seen to is never due again.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "connection_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class ConnectionTimeTest : public ConnectionTest {
 protected:
  // Nothing happens for `ms` but its last microsecond, and then something does.
  void expect_quiet_for_ms(uint64_t ms) {
    run_us(from_ms(ms) - 1);
    EXPECT_EQ(log(), Log{});
    EXPECT_EQ(state(), State::kOpen);
    run_us(1);
  }
};

TEST_F(ConnectionTimeTest, WithAllLimitsOffNothingIsEverDue) {
  config.message_timeout_ms = 0;
  open();
  EXPECT_EQ(conn->next_due(), kNever);
  receive(client_frame(1, "a message without an end"));
  EXPECT_EQ(conn->next_due(), kNever);
}

// ----------------------------------------------------------------------------------------------------- authentication

class ConnectionAuthTest : public ConnectionTimeTest {
 protected:
  ConnectionAuthTest() { config.auth_timeout_ms = 3000; }
};

TEST_F(ConnectionAuthTest, ClosesWith1008) {
  open();
  EXPECT_EQ(conn->next_due(), now + from_ms(3000));
  expect_quiet_for_ms(3000);
  EXPECT_EQ(sent(), ServerFrames{close_frame(1008, "authentication timeout")});
  receive_close(1008);
  EXPECT_EQ(log(), Log{R"(closed 1008 "" sent 1008 clean local auth_timeout)"});
  expect_fin_and_end();
}

TEST_F(ConnectionAuthTest, TrafficIsNoProof) {
  open();
  for (int i = 0; i < 29; ++i) {
    receive_text("let me in");
    send("who are you");
    run_ms(100);
  }
  EXPECT_EQ(state(), State::kOpen);
  run_ms(100);
  EXPECT_EQ(state(), State::kClosing);
}

TEST_F(ConnectionAuthTest, APeerThatDoesNotAnswerKeepsTheCause) {
  open();
  run_ms(3000);
  run_ms(config.close_timeout_ms);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1008 unclean local auth_timeout)"});
  EXPECT_TRUE(conn->wants_reset());
}

TEST_F(ConnectionAuthTest, InTime) {
  open();
  EXPECT_EQ(conn->figures().authenticated.get(), 0u);
  run_us(from_ms(3000) - 1);
  conn->set_authenticated();
  EXPECT_EQ(conn->figures().authenticated.get(), 1u);
  run_ms(100'000);
  EXPECT_EQ(state(), State::kOpen);
}

TEST_F(ConnectionAuthTest, AuthenticatedByItsHandshake) {
  open(true);
  EXPECT_EQ(conn->figures().authenticated.get(), 1u);
  run_ms(100'000);
  EXPECT_EQ(state(), State::kOpen);
}

TEST_F(ConnectionAuthTest, TooLateOrWithoutALimitItDoesNoHarm) {
  open();
  run_ms(3000);
  EXPECT_EQ(state(), State::kClosing);
  conn->set_authenticated();
  EXPECT_EQ(state(), State::kClosing);
  config.auth_timeout_ms = 0;
  open();
  conn->set_authenticated();
  EXPECT_EQ(conn->next_due(), kNever);
}

TEST_F(ConnectionAuthTest, ACloseThatHasBegunIsNotOvertaken) {
  open();
  close(1000);
  turn();
  run_ms(3000);
  receive_close(1000);
  EXPECT_EQ(log(), Log{R"(closed 1000 "" sent 1000 clean local local_close)"});
}

// --------------------------------------------------------------------------------------------------------------- idle

class ConnectionIdleTest : public ConnectionTimeTest {
 protected:
  ConnectionIdleTest() { config.idle_timeout_ms = 2000; }
};

TEST_F(ConnectionIdleTest, ClosesWith1001) {
  open();
  expect_quiet_for_ms(2000);
  EXPECT_EQ(sent(), ServerFrames{close_frame(1001, "idle timeout")});
  receive_close(1001);
  EXPECT_EQ(log(), Log{R"(closed 1001 "" sent 1001 clean local idle_timeout)"});
}

TEST_F(ConnectionIdleTest, MessagesEitherWayPutItOff) {
  open();
  run_ms(1500);
  receive_text("in");
  EXPECT_EQ(log().size(), 1u);
  run_ms(1500);
  send("out");
  turn();
  wire.clear();
  expect_quiet_for_ms(2000);
  EXPECT_EQ(state(), State::kClosing);
}

TEST_F(ConnectionIdleTest, RefusedOnesPingsAndHalvesDoNot) {
  config.max_queue_bytes = 1;
  open();
  run_ms(1000);
  receive_ping("p");
  receive(client_frame(1, "half"));
  ping("p");
  send("too big");
  turn();
  wire.clear();
  expect_quiet_for_ms(1000);
  EXPECT_EQ(sent(), ServerFrames{close_frame(1001, "idle timeout")});
}

TEST_F(ConnectionIdleTest, APeerThatDoesNotAnswerKeepsTheCause) {
  open();
  run_ms(2000);
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1001 unclean local idle_timeout)"});
}

// ---------------------------------------------------------------------------------------------- time for one message

class ConnectionMessageTimeTest : public ConnectionTimeTest {
 protected:
  ConnectionMessageTimeTest() { config.message_timeout_ms = 1000; }
  void expect_failed() {
    EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1008 unclean local protocol_error)"});
    EXPECT_EQ(take_server_frames(wire), ServerFrames{close_frame(1008, "message took too long")});
    expect_fin_and_end();
  }
};

TEST_F(ConnectionMessageTimeTest, ClosesWith1008) {
  open();
  receive(client_frame(1, "begun"));
  EXPECT_EQ(conn->next_due(), now + from_ms(1000));
  expect_quiet_for_ms(1000);
  expect_failed();
}

TEST_F(ConnectionMessageTimeTest, BeginsWithTheFirstByteOfTheHeader) {
  open();
  receive(client_frame(kFin | 1, "x").substr(0, 1));
  expect_quiet_for_ms(1000);
  expect_failed();
}

TEST_F(ConnectionMessageTimeTest, SlowBytesControlFramesAndFragmentsDoNotPutItOff) {
  open();
  receive(client_frame(2, "begun"));
  for (int i = 0; i < 9; ++i) {
    run_ms(100);
    receive(i % 2 == 0 ? client_frame(kFin | 9, "") : client_frame(0, "more"));
    turn();
    wire.clear();
  }
  expect_quiet_for_ms(100);
  expect_failed();
}

TEST_F(ConnectionMessageTimeTest, EndsWithTheLastByteAndBeginsAnewWithTheNextMessage) {
  open();
  receive(client_frame(2, "begun"));
  run_ms(999);
  receive(client_frame(kFin, "") + client_frame(2, "the next"));
  EXPECT_EQ(conn->next_due(), now + from_ms(1000));
  run_ms(999);
  receive(client_frame(kFin, ""));
  EXPECT_EQ(conn->next_due(), kNever);
  EXPECT_EQ(log().size(), 2u);
}

TEST_F(ConnectionMessageTimeTest, ALongControlFrameIsNoMessage) {
  open();
  receive(client_frame(kFin | 9, "half a ping").substr(0, 9));
  EXPECT_EQ(conn->next_due(), kNever);
}

TEST_F(ConnectionMessageTimeTest, HoldsForStreaming) {
  config.streaming = true;
  open();
  receive(client_frame(2, "piece"));
  log();
  expect_quiet_for_ms(1000);
  expect_failed();
}

// It is not the peer's fault that we do not read.
TEST_F(ConnectionMessageTimeTest, StandsStillWhileWeDoNotRead) {
  const auto stop_reading = [this](int how) {
    if (how == 0) conn->pause();
    if (how == 1) conn->set_queue_blocked(true);
    turn();
    EXPECT_FALSE(conn->reading(now));
  };
  for (const int how : {0, 1}) {
    open();
    receive(client_frame(1, "begun"));
    run_ms(400);
    stop_reading(how);
    run_ms(50'000);
    EXPECT_EQ(state(), State::kOpen);
    conn->resume();
    conn->set_queue_blocked(false);
    turn();
    expect_quiet_for_ms(600);
    expect_failed();
  }
}

TEST_F(ConnectionMessageTimeTest, StandsStillWhileThePeerIsThrottled) {
  config.max_messages_per_second = 1;
  config.message_timeout_ms = 200;
  open();
  receive(client_frame(kFin | 1, "one") + client_frame(1, "two begun"));
  for (int i = 0; i < 5; ++i) {
    run_ms(1000);
    receive(client_frame(kFin, "") + client_frame(1, "the next begun"));
  }
  EXPECT_EQ(state(), State::kOpen);
  EXPECT_EQ(log().size(), 6u);
}

TEST_F(ConnectionMessageTimeTest, ADeadlineThatPassedBeforeReadingStoppedHasPassed) {
  open();
  receive(client_frame(1, "begun"));
  now += from_ms(1500);
  conn->pause();
  EXPECT_FALSE(conn->reading(now));
  now += from_ms(100);
  conn->resume();
  conn->on_time(now, stalled_us, events);
  EXPECT_GT(conn->next_due(), now);
  turn();
  expect_failed();
}

// -------------------------------------------------------------------------------------------- nothing is due for ever

TEST_F(ConnectionMessageTimeTest, MessagesBegunAfterOurCloseAreOfNoInterest) {
  open();
  close(1000);
  turn();
  receive(client_frame(1, "late and never finished"));
  run_ms(config.close_timeout_ms);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1000 unclean local close_timeout)"});
}

TEST_F(ConnectionMessageTimeTest, NorAreThoseInWhichThePeerFailed) {
  open();
  receive(client_frame(1, "begun") + client_frame(kFin | 8, "\x03"));
  receive(client_frame(0, "more"));
  run_ms(config.close_timeout_ms);
  EXPECT_TRUE(conn->dead());
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1002 unclean local protocol_error)"});
}

TEST_F(ConnectionTimeTest, AllAtOnceGivesOneEnd) {
  config.auth_timeout_ms = config.idle_timeout_ms = config.message_timeout_ms = 1000;
  config.heartbeat = {1000, 500, false};
  open();
  receive(client_frame(1, "begun"));
  now += from_ms(5000);
  conn->on_time(now, stalled_us, events);
  EXPECT_GT(conn->next_due(), now);
  EXPECT_EQ(sent(), ServerFrames{close_frame(1008, "authentication timeout")});
  run_ms(config.close_timeout_ms);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1008 unclean local auth_timeout)"});
}

TEST_F(ConnectionTimeTest, AskingTooEarlyChangesNothing) {
  config.auth_timeout_ms = config.idle_timeout_ms = config.message_timeout_ms = 1000;
  config.max_messages_per_second = 1;
  config.heartbeat = {1500, 500, false};
  open();
  receive(client_frame(kFin | 1, "one") + client_frame(1, "begun"));
  const TimeUs due = conn->next_due();
  for (; now < due; now += 50'000) {
    conn->on_time(now, stalled_us, events);
    ASSERT_EQ(conn->next_due(), due);
  }
  EXPECT_EQ(log(), Log{"text one"});
  EXPECT_TRUE(conn->outbox().empty());
}

}  // namespace
