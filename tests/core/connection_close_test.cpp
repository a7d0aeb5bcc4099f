// The peer closes first, or at the same time, or the transport ends without a Close: with and without data queued, late
// data, FIN and RST. When we close first: connection_close_local_test.cpp.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "connection_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class ConnectionCloseTest : public ConnectionTest {
 protected:
  ConnectionCloseTest() { config.close_timeout_ms = 5000; }
};

const std::string kBig(5000, 'x');

// ---------------------------------------------------------------------------------------------- the peer closes first

TEST_F(ConnectionCloseTest, PeerCloses) {
  open();
  receive_close(1000, "bye");
  EXPECT_EQ(state(), State::kReplying);
  EXPECT_EQ(log(), Log{}) << "not before our answer has left";
  EXPECT_EQ(sent(), ServerFrames{close_frame(1000)}) << "the code alone is echoed";
  EXPECT_EQ(log(), Log{R"(closed 1000 "bye" sent 1000 clean remote peer_close)"});
  expect_fin_and_end();
}

TEST_F(ConnectionCloseTest, PeerClosesWithoutACode) {
  open();
  receive_close(1005);
  EXPECT_EQ(sent(), ServerFrames{close_frame(1005)});
  EXPECT_EQ(log(), Log{R"(closed 1005 "" sent 1005 clean remote peer_close)"});
  expect_fin_and_end();
}

TEST_F(ConnectionCloseTest, EveryCodeThatMayComeIsEchoed) {
  for (const uint32_t code : std::vector<uint32_t>{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
                                                   1014, 3000, 3999, 4000, 4999}) {
    open();
    receive_close(code);
    EXPECT_EQ(sent(), ServerFrames{close_frame(code)});
    const std::string number = std::to_string(code);
    EXPECT_EQ(log(), Log{"closed " + number + " \"\" sent " + number + " clean remote peer_close"});
  }
}

TEST_F(ConnectionCloseTest, PeerClosesWithDataQueuedThatHasNotBegun) {
  open();
  ASSERT_EQ(send("one"), Result::kOk);
  ASSERT_EQ(send("two"), Result::kOk);
  receive_close(1001);
  EXPECT_EQ(sent(), ServerFrames{close_frame(1001)});
  EXPECT_EQ(log(), (Log{"dropped 2", R"(closed 1001 "" sent 1001 clean remote peer_close)"}));
  EXPECT_EQ(conn->figures().messages_out.get(), 0u) << "dropped ones are not counted";
  expect_fin_and_end();
}

TEST_F(ConnectionCloseTest, PeerClosesWhileAFrameIsHalfWritten) {
  open();
  room = 100;
  ASSERT_EQ(send(kBig), Result::kOk);
  ASSERT_EQ(send("two"), Result::kOk);
  ASSERT_EQ(send("three"), Result::kOk);
  EXPECT_EQ(sent(), ServerFrames{});
  receive_close(1000);
  EXPECT_EQ(log(), Log{"dropped 2"});
  room = SIZE_MAX;
  EXPECT_EQ(sent(), (ServerFrames{text_frame(kBig), close_frame(1000)}));
  EXPECT_EQ(log(), Log{R"(closed 1000 "" sent 1000 clean remote peer_close)"});
  EXPECT_EQ(conn->figures().messages_out.get(), 1u);
  expect_fin_and_end();
}

TEST_F(ConnectionCloseTest, WhatFollowsThePeersCloseIsNotHeard) {
  open();
  receive(client_frame(kFin | 1, "before") + client_frame(kFin | 8, "\x03\xe8") + client_frame(kFin | 1, "behind") +
          client_frame(kFin | 8, "\x03\xe9") + "garbage");
  receive_text("late");
  receive_close(1002);
  receive("garbage");
  EXPECT_EQ(sent(), ServerFrames{close_frame(1000)});
  receive_text("very late");
  EXPECT_EQ(log(), (Log{"text before", R"(closed 1000 "" sent 1000 clean remote peer_close)"}));
  expect_fin_and_end();
}

TEST_F(ConnectionCloseTest, NothingCanBeSentAfterThePeersClose) {
  open();
  receive_close(1000);
  EXPECT_EQ(send("late"), Result::kClosed);
  EXPECT_EQ(ping("late"), Result::kClosed);
  EXPECT_EQ(close(1000), Result::kClosed);
  EXPECT_EQ(sent(), ServerFrames{close_frame(1000)});
}

TEST_F(ConnectionCloseTest, PeerClosesAndIsGoneBeforeTheAnswer) {
  open();
  room = 0;
  receive_close(1000, "bye");
  turn();
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{R"(closed 1000 "bye" sent 0 unclean remote peer_close)"});
  EXPECT_TRUE(conn->dead());
}

TEST_F(ConnectionCloseTest, PeerClosesButDoesNotTakeTheAnswer) {
  open();
  room = 0;
  receive_close(1000, "bye");
  run_ms(4999);
  EXPECT_EQ(log(), Log{});
  run_ms(1);
  EXPECT_EQ(log(), Log{R"(closed 1000 "bye" sent 0 unclean remote peer_close)"});
  EXPECT_TRUE(conn->dead());
  EXPECT_TRUE(conn->wants_reset());
}

TEST_F(ConnectionCloseTest, PeerClosesButNeverSendsItsFin) {
  open();
  receive_close(1000);
  turn();
  EXPECT_EQ(shutdowns, 1u);
  log();
  run_ms(4999);
  EXPECT_EQ(state(), State::kEnding);
  run_ms(1);
  EXPECT_TRUE(conn->dead());
  EXPECT_FALSE(conn->wants_reset()) << "all has been said";
  EXPECT_EQ(log(), Log{});
  EXPECT_EQ(shutdowns, 1u);
}

TEST_F(ConnectionCloseTest, AbortAfterThePeersClose) {
  open();
  room = 0;
  receive_close(1000, "bye");
  conn->abort(WSB_CAUSE_SERVER_STOP, events);
  EXPECT_EQ(log(), Log{R"(closed 1000 "bye" sent 0 unclean remote peer_close)"});
  EXPECT_TRUE(conn->wants_reset());
}

// ----------------------------------------------------------------------------------------------------------- crossing

TEST_F(ConnectionCloseTest, TheirCloseComesWhileOursWaitsBehindData) {
  open();
  room = 10;
  send(kBig);
  send("two");
  close(1000, "ours");
  turn();
  receive_close(1001, "theirs");
  room = SIZE_MAX;
  EXPECT_EQ(sent(), (ServerFrames{text_frame(kBig), close_frame(1001)})) << "ours gives way to the answer";
  EXPECT_EQ(log(), (Log{"dropped 1", R"(closed 1001 "theirs" sent 1001 clean remote peer_close)"}));
  expect_fin_and_end();
}

TEST_F(ConnectionCloseTest, TheirCloseComesWhileOursIsHalfWritten) {
  open();
  room = 3;
  close(1000, "ours");
  turn();
  receive_close(1001, "theirs");
  room = SIZE_MAX;
  EXPECT_EQ(sent(), ServerFrames{close_frame(1000, "ours")}) << "one Close is enough";
  EXPECT_EQ(log(), Log{R"(closed 1001 "theirs" sent 1000 clean remote peer_close)"});
  expect_fin_and_end();
}

TEST_F(ConnectionCloseTest, TheirsComesWhileOursIsHalfWrittenAndTheRestNeverLeaves) {
  open();
  room = 3;
  close(1000, "ours");
  turn();
  receive_close(1001, "theirs");
  turn();
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{R"(closed 1001 "theirs" sent 0 unclean remote peer_close)"});
}

TEST_F(ConnectionCloseTest, TheirIllegalCloseWhileOursWaits) {
  open();
  room = 0;
  send("one");
  close(1000);
  receive_close(999, "no such code");
  room = SIZE_MAX;
  EXPECT_EQ(sent(), ServerFrames{close_frame(1005)});
  EXPECT_EQ(log(), (Log{"dropped 1", R"(closed 1005 "" sent 1005 clean remote peer_close)"}));
}

// ----------------------------------------------------------------------------------------------------- without a Close

TEST_F(ConnectionCloseTest, TheTransportEndsWithoutAnyClose) {
  open();
  receive_text("hello");
  send("never leaves");
  conn->transport_ended(events);
  conn->transport_ended(events);
  EXPECT_EQ(log(), (Log{"text hello", "dropped 1", R"(closed 1006 "" sent 0 unclean network network_error)"}));
  EXPECT_TRUE(conn->dead());
  EXPECT_EQ(conn->next_due(), kNever);
  EXPECT_EQ(send("late"), Result::kClosed);
  EXPECT_EQ(close(1000), Result::kClosed);
}

// What we did not read may hold the peer's last word.
TEST_F(ConnectionCloseTest, TheTransportEndsWithACloseThatWasNotTaken) {
  open();
  conn->pause();
  receive(client_frame(kFin | 1, "unheard") + client_frame(kFin | 9, "p") +
          client_frame(kFin | 8, close_frame(4001, "bye").payload));
  EXPECT_EQ(log(), Log{});
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{R"(closed 4001 "bye" sent 0 unclean remote peer_close)"});
  EXPECT_TRUE(conn->dead());
}

TEST_F(ConnectionCloseTest, TheTransportEndsWithPartOfACloseThatWasNotTaken) {
  for (const size_t cut : {size_t{1}, size_t{5}, size_t{8}}) {
    open();
    conn->pause();
    receive(client_frame(kFin | 8, close_frame(4001, "bye").payload).substr(0, cut));
    conn->transport_ended(events);
    EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 0 unclean network network_error)"});
  }
}

TEST_F(ConnectionCloseTest, TheTransportEndsWithRubbishThatWasNotTaken) {
  open();
  conn->pause();
  receive(kUnmasked + client_frame(kFin | 8, close_frame(4001, "bye").payload));
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 0 unclean network network_error)"});
}

// The peer may have shut its side down: seeing that before our answer has left would cut the answer off.
TEST_F(ConnectionCloseTest, NothingIsReadBetweenTheirCloseAndTheAnswer) {
  open();
  room = 100;
  ASSERT_EQ(send(kBig), Result::kOk);
  turn();
  receive_close(1000);
  EXPECT_FALSE(conn->reading(now));
  room = SIZE_MAX;
  turn();
  EXPECT_TRUE(conn->reading(now)) << "their FIN is awaited";
  EXPECT_EQ(log(), Log{R"(closed 1000 "" sent 1000 clean remote peer_close)"});
}

TEST_F(ConnectionCloseTest, AReaderThatTakesTheLastFrameSlowlyGetsIt) {
  open();
  room = 100;
  ASSERT_EQ(send(kBig), Result::kOk);
  turn();
  receive_close(1000);
  for (int i = 0; i < 5; ++i) {
    run_ms(4000);
    room = 800;
    turn();
    EXPECT_EQ(state(), State::kReplying);
  }
  room = SIZE_MAX;
  turn();
  EXPECT_EQ(log(), Log{R"(closed 1000 "" sent 1000 clean remote peer_close)"});
}

TEST_F(ConnectionCloseTest, TheTransportEndsInTheMiddleOfAMessage) {
  open();
  receive(client_frame(1, "half of "));
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 0 unclean network network_error)"});
}

}  // namespace
