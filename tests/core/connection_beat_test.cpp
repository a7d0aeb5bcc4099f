// Application beats of a connection: to whom, when, and that nothing else notices them.
#include <gtest/gtest.h>

#include <string>

#include "connection_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

const ServerFrame kBeat = text_frame("\0261000");

class ConnectionBeatTest : public ConnectionTest {
 protected:
  // A beat a second, at whole seconds from now; the one that greets has left.
  void open_with_beats() {
    open();
    ASSERT_TRUE(conn->start_app_beat(1000, 65535, now));
    ASSERT_EQ(sent(), ServerFrames{kBeat}) << "the one that greets";
  }
  ServerFrames after_ms(uint64_t ms) {
    run_ms(ms);
    return take_server_frames(wire);
  }
};

TEST_F(ConnectionBeatTest, NobodyWhoDidNotAskGetsOne) {
  config.app_beat_ms = 1000;
  open();
  EXPECT_EQ(after_ms(10'000), ServerFrames{});
  EXPECT_EQ(conn->next_due(), kNever);
  EXPECT_EQ(conn->figures().app_beat_ms.get(), 0u);
}

TEST_F(ConnectionBeatTest, GreetsRightBehindTheAnswer) {
  conn = std::make_unique<Connection>(config, pool, now);
  ASSERT_TRUE(conn->open(kAnswer, deflate, false, 65535, now));
  ASSERT_TRUE(conn->start_app_beat(1000, 65535, now));
  EXPECT_EQ(conn->queued_bytes(), 0u) << "neither is the application's";
  ASSERT_EQ(send("first message"), Result::kOk);
  write();
  ASSERT_EQ(wire.substr(0, kAnswer.size()), kAnswer);
  wire.erase(0, kAnswer.size());
  EXPECT_EQ(take_server_frames(wire), (ServerFrames{kBeat, text_frame("first message")}));
  EXPECT_EQ(conn->figures().app_beat_ms.get(), 1000u);
}

TEST_F(ConnectionBeatTest, OneEachInterval) {
  open_with_beats();
  EXPECT_EQ(after_ms(999), ServerFrames{});
  EXPECT_EQ(after_ms(1), ServerFrames{kBeat});
  EXPECT_EQ(after_ms(3000), (ServerFrames{kBeat, kBeat, kBeat}));
}

TEST_F(ConnectionBeatTest, MessagesOfOurPeerDoNotReplaceIt) {
  open_with_beats();
  run_ms(900);
  receive_text("hello");
  EXPECT_EQ(after_ms(100), ServerFrames{kBeat}) << "what we heard tells the peer nothing";
}

TEST_F(ConnectionBeatTest, PingAndBeatOfOneMomentLeaveTogether) {
  config.heartbeat = {1000, 400, false};
  open_with_beats();
  const ServerFrames frames = after_ms(1000);
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0], kBeat);
  EXPECT_EQ(frames[1].opcode, 9);
}

TEST_F(ConnectionBeatTest, IsInNoCount) {
  open_with_beats();
  after_ms(5000);
  EXPECT_EQ(conn->figures().messages_out.get(), 0u);
  EXPECT_EQ(conn->figures().bytes_out.get(), 6u * 7) << "but it is on the wire";
  EXPECT_EQ(log(), Log{});
}

TEST_F(ConnectionBeatTest, DoesNotKeepAnIdleConnection) {
  config.idle_timeout_ms = 2500;
  open_with_beats();
  EXPECT_EQ(after_ms(2500), (ServerFrames{kBeat, kBeat, close_frame(1001, "idle timeout")}));
}

TEST_F(ConnectionBeatTest, IsLeftOutWhileMessagesWait) {
  open_with_beats();
  room = 0;
  send("waits");
  run_ms(3000);
  room = SIZE_MAX;
  EXPECT_EQ(sent(), ServerFrames{text_frame("waits")}) << "sign enough when it arrives";
  EXPECT_EQ(after_ms(1000), ServerFrames{kBeat});
}

TEST_F(ConnectionBeatTest, OneWaitsAtMost) {
  open_with_beats();
  room = 3;
  run_ms(1000);
  EXPECT_EQ(wire.size(), 3u) << "it has begun to leave";
  run_ms(4000);
  room = SIZE_MAX;
  EXPECT_EQ(sent(), ServerFrames{kBeat});
  EXPECT_EQ(after_ms(1000), ServerFrames{kBeat});
}

TEST_F(ConnectionBeatTest, StandsBetweenMessagesOnly) {
  open_with_beats();
  room = 5;
  run_ms(1000);
  send("one");
  send("two");
  room = 6;  // the end of the beat, and into the first message
  turn();
  room = SIZE_MAX;
  EXPECT_EQ(sent(), (ServerFrames{kBeat, text_frame("one"), text_frame("two")}));
}

TEST_F(ConnectionBeatTest, TakesNoRoomInTheQueue) {
  config.max_queue_bytes = 1024;
  open_with_beats();
  room = 0;
  run_ms(1000);
  EXPECT_EQ(conn->queued_bytes(), 0u);
  EXPECT_EQ(conn->figures().queued_bytes.get(), 0u);
  EXPECT_EQ(send(std::string(1024, 'm')), Result::kOk) << "the largest message still fits, as in an empty queue";
  EXPECT_EQ(send("m"), Result::kFull);
  room = SIZE_MAX;
  EXPECT_EQ(sent(), (ServerFrames{kBeat, text_frame(std::string(1024, 'm'))}));
  EXPECT_EQ(log(), Log{"drain"});
}

TEST_F(ConnectionBeatTest, IsNeverDroppedForMessages) {
  config.max_queue_bytes = 1024;
  config.slow_consumer = WSB_SLOW_DROP_OLDEST;
  open_with_beats();
  room = 0;
  run_ms(1000);
  send(std::string(600, 'a'));
  EXPECT_EQ(send(std::string(600, 'b')), Result::kOk);
  EXPECT_EQ(log(), Log{"dropped 1"});
  room = SIZE_MAX;
  EXPECT_EQ(sent(), (ServerFrames{kBeat, text_frame(std::string(600, 'b'))}));
}

TEST_F(ConnectionBeatTest, GoesOnWhileWeDoNotRead) {
  open_with_beats();
  conn->pause();
  EXPECT_EQ(after_ms(2000), (ServerFrames{kBeat, kBeat}));
}

TEST_F(ConnectionBeatTest, EndsWithTheConnection) {
  open_with_beats();
  run_ms(900);
  close(1000);
  EXPECT_EQ(sent(), ServerFrames{close_frame(1000)});
  EXPECT_EQ(after_ms(3000), ServerFrames{});
  receive_close(1000);
  expect_fin_and_end();
}

TEST_F(ConnectionBeatTest, AnEndWithABeatInTheQueue) {
  open_with_beats();
  room = 0;
  run_ms(1000);
  conn->transport_ended(events);
  EXPECT_EQ(conn->queued_bytes(), 0u);
  EXPECT_EQ(events.closed_count, 1u);
  EXPECT_EQ(events.dropped_count, 0u) << "it is no message";
  EXPECT_EQ(conn->next_due(), kNever);
}

TEST_F(ConnectionBeatTest, IsNotCompressed) {
  deflate.agreed = true;
  config.deflate_threshold_bytes = 1;
  open_with_beats();
  const ServerFrames frames = after_ms(1000);
  EXPECT_EQ(frames, ServerFrames{kBeat});
  send(std::string(300, 'c'));
  EXPECT_TRUE(sent().at(0).rsv1) << "as messages are";
}

}  // namespace
