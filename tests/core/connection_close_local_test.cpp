// We close first: with and without data queued, late data, pings meanwhile, answers of every kind and none, FIN and RST.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "connection_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class ConnectionCloseLocalTest : public ConnectionTest {
 protected:
  ConnectionCloseLocalTest() { config.close_timeout_ms = 5000; }
};

const std::string kBig(5000, 'x');

TEST_F(ConnectionCloseLocalTest, WeClose) {
  open();
  ASSERT_EQ(close(4000, "enough"), Result::kOk);
  EXPECT_EQ(state(), State::kDraining);
  EXPECT_EQ(sent(), ServerFrames{close_frame(4000, "enough")});
  EXPECT_EQ(state(), State::kClosing);
  EXPECT_EQ(log(), Log{}) << "their answer is awaited";
  EXPECT_EQ(shutdowns, 0u);
  receive_close(4000);
  EXPECT_EQ(log(), Log{R"(closed 4000 "" sent 4000 clean local local_close)"});
  EXPECT_EQ(sent(), ServerFrames{}) << "and not answered again";
  expect_fin_and_end();
}

TEST_F(ConnectionCloseLocalTest, WeCloseWithoutACode) {
  open();
  ASSERT_EQ(close(0), Result::kOk);
  EXPECT_EQ(sent(), ServerFrames{close_frame(1005)});
  receive_close(1005);
  EXPECT_EQ(log(), Log{R"(closed 1005 "" sent 1005 clean local local_close)"});
}

TEST_F(ConnectionCloseLocalTest, TheAnswersOwnCodeAndReasonAreTold) {
  open();
  close(1000);
  turn();
  receive_close(3001, "as you like");
  EXPECT_EQ(log(), Log{R"(closed 3001 "as you like" sent 1000 clean local local_close)"});
}

TEST_F(ConnectionCloseLocalTest, QueuedDataLeavesBeforeOurClose) {
  open();
  room = 50;
  send(kBig);
  send("two");
  ASSERT_EQ(close(1000), Result::kOk);
  turn();
  EXPECT_EQ(state(), State::kDraining);
  room = SIZE_MAX;
  EXPECT_EQ(sent(), (ServerFrames{text_frame(kBig), text_frame("two"), close_frame(1000)}));
  EXPECT_EQ(state(), State::kClosing);
  receive_close(1000);
  EXPECT_EQ(log(), Log{R"(closed 1000 "" sent 1000 clean local local_close)"});
  EXPECT_EQ(conn->figures().messages_out.get(), 2u);
  expect_fin_and_end();
}

TEST_F(ConnectionCloseLocalTest, ClosingTwiceAndSendingAfterwardsIsRefused) {
  open();
  ASSERT_EQ(close(1000), Result::kOk);
  EXPECT_EQ(close(1001), Result::kClosed);
  EXPECT_EQ(send("late"), Result::kClosed);
  EXPECT_EQ(ping("late"), Result::kClosed);
  turn();
  EXPECT_EQ(close(1001), Result::kClosed);
  EXPECT_EQ(send("late"), Result::kClosed);
  EXPECT_EQ(take_server_frames(wire), ServerFrames{close_frame(1000)});
}

TEST_F(ConnectionCloseLocalTest, LateDataIsDroppedUnjudged) {
  config.limits.max_message_bytes = 100;
  config.limits.max_fragments = 2;
  open();
  receive(client_frame(1, "begun "));
  close(1000);
  receive(client_frame(0, "more ") + client_frame(0, "and more ") + client_frame(kFin, "\xff not text"));
  receive_text(std::string(1000, 'x'));
  turn();
  receive_text("even later");
  receive_close(1000);
  EXPECT_EQ(log(), Log{R"(closed 1000 "" sent 1000 clean local local_close)"});
  EXPECT_EQ(conn->figures().messages_in.get(), 0u);
}

TEST_F(ConnectionCloseLocalTest, PingsAreAnsweredUntilOurCloseBeginsToLeave) {
  open();
  room = 50;
  send(kBig);
  close(1000);
  turn();
  receive_ping("while draining");
  room = header_size(kBig.size()) + kBig.size() - 50 + 16 + 2;  // the rest, the pong and half of the Close
  EXPECT_EQ(sent(), (ServerFrames{text_frame(kBig), pong_frame("while draining")}));
  room = SIZE_MAX;
  receive_ping("in the middle of the Close");
  EXPECT_EQ(sent(), ServerFrames{close_frame(1000)});
  receive_ping("after the Close");
  receive_pong("after the Close");
  EXPECT_EQ(sent(), ServerFrames{});
  EXPECT_EQ(log(), Log{});
}

TEST_F(ConnectionCloseLocalTest, APeerThatOnlyPingsCannotFillOurMemoryWhileWeDrain) {
  open();
  room = 50;
  send(kBig);
  close(1000);
  turn();
  for (int i = 0; i < 2000; ++i) receive_ping(std::string(125, 'p'));
  EXPECT_LE(conn->outbox().control_bytes(), 64u * 1024 + 127);
}

TEST_F(ConnectionCloseLocalTest, NoAnswerToOurClose) {
  open();
  close(1000);
  run_ms(10);
  turn();
  const TimeUs left = now;
  run_us(from_ms(5000) - 10'000 - 1);
  EXPECT_EQ(log(), Log{});
  run_ms(11);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1000 unclean local close_timeout)"});
  EXPECT_GT(now, left);
  EXPECT_TRUE(conn->dead());
  EXPECT_TRUE(conn->wants_reset());
}

TEST_F(ConnectionCloseLocalTest, TheWaitForTheAnswerBeginsWhenOurCloseHasLeft) {
  open();
  room = 100;
  send(kBig);
  close(1000);
  turn();
  run_ms(4000);
  EXPECT_EQ(state(), State::kDraining);
  room = SIZE_MAX;
  turn();
  EXPECT_EQ(state(), State::kClosing);
  EXPECT_EQ(conn->next_due(), now + from_ms(5000));
  run_us(from_ms(5000) - 1);
  EXPECT_EQ(log(), Log{});
  run_us(1);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1000 unclean local close_timeout)"});
}

TEST_F(ConnectionCloseLocalTest, ASlowButLiveReaderGetsItsQueue) {
  open();
  room = 0;
  send(kBig);
  close(1000);
  for (int i = 0; i < 10; ++i) {
    run_ms(4900);
    ASSERT_EQ(state(), State::kDraining);
    room = 10;
    turn();
  }
  run_us(from_ms(5000) - 1);
  ASSERT_EQ(log(), Log{});
  run_us(1);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 0 unclean local close_timeout)"});
}

TEST_F(ConnectionCloseLocalTest, WritesThatTakeNothingAreNoProgress) {
  open();
  room = 0;
  send("one");
  close(1000);
  for (int i = 0; i < 49; ++i) {
    run_ms(100);
    conn->wrote(0, now, stalled_us, events);
  }
  EXPECT_EQ(log(), Log{});
  run_ms(100);
  EXPECT_EQ(log(), (Log{"dropped 1", R"(closed 1006 "" sent 0 unclean local close_timeout)"}));
}

TEST_F(ConnectionCloseLocalTest, FinInsteadOfAnAnswer) {
  open();
  close(1000);
  turn();
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1000 unclean local local_close)"});
  EXPECT_TRUE(conn->dead());
}

TEST_F(ConnectionCloseLocalTest, TheTransportEndsWhileWeDrain) {
  open();
  room = 0;
  send("one");
  send("two");
  close(1000);
  turn();
  conn->transport_ended(events);
  EXPECT_EQ(log(), (Log{"dropped 2", R"(closed 1006 "" sent 0 unclean network network_error)"}))
      << "what was dropped is told before the end";
}

TEST_F(ConnectionCloseLocalTest, AGarbledAnswerToOurClose) {
  for (const std::string& answer :
       std::vector<std::string>{kUnmasked, client_frame(kFin | 3, ""), client_frame(kFin, "x")}) {
    open();
    close(1000);
    turn();
    receive(answer + client_frame(kFin | 8, "\x03\xe8"));
    EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1000 unclean local local_close)"});
    EXPECT_TRUE(take_server_frames(wire) == ServerFrames{close_frame(1000)});
    EXPECT_EQ(sent(), ServerFrames{}) << "no second Close";
    expect_fin_and_end();
  }
}

TEST_F(ConnectionCloseLocalTest, AnAnswerWithAnIllegalCodeOrReasonIsStillAClose) {
  open();
  close(1000);
  turn();
  receive_close(1006, "made up");
  EXPECT_EQ(log(), Log{R"(closed 1005 "" sent 1000 clean local local_close)"});
  open();
  close(1000);
  turn();
  receive_close(1001, "\xff");
  EXPECT_EQ(log(), Log{R"(closed 1001 "" sent 1000 clean local local_close)"});
  open();
  close(1000);
  turn();
  receive(client_frame(kFin | 8, "x"));
  EXPECT_EQ(log(), Log{R"(closed 1005 "" sent 1000 clean local local_close)"});
}

TEST_F(ConnectionCloseLocalTest, SecondCloseOfThePeerChangesNothing) {
  open();
  close(1000);
  turn();
  receive(client_frame(kFin | 8, "\x03\xe8") + client_frame(kFin | 8, "\x03\xe9"));
  receive_close(1002);
  EXPECT_EQ(log(), Log{R"(closed 1000 "" sent 1000 clean local local_close)"});
  wire.clear();
  EXPECT_EQ(sent(), ServerFrames{});
  expect_fin_and_end();
}

}  // namespace
