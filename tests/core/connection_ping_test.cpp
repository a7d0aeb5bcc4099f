// Pings of the application: ahead of queued messages, with their round trips.
#include <gtest/gtest.h>

#include <string>

#include "connection_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class ConnectionPingTest : public ConnectionTest {};

TEST_F(ConnectionPingTest, PassesQueuedDataAndTellsItsRoundTrip) {
  open();
  room = 0;
  send("data");
  EXPECT_EQ(ping("are you there"), Result::kOk);
  run_ms(50);
  room = SIZE_MAX;
  EXPECT_EQ(sent(), (ServerFrames{ping_frame("are you there"), text_frame("data")}));
  run_us(1234);
  receive_pong("are you there");
  EXPECT_EQ(log(), Log{"pong are you there 1234us"}) << "from when it left, not from when it was queued";
  receive_pong("are you there");
  EXPECT_EQ(log(), Log{"pong are you there 0us"}) << "unsolicited";
}

TEST_F(ConnectionPingTest, SeveralAtOnce) {
  open();
  ping("1");
  turn();
  run_us(100);
  ping("2");
  ping("");
  turn();
  run_us(100);
  receive_pong("1");
  run_us(100);
  receive_pong("2");
  receive_pong("");
  EXPECT_EQ(log(), (Log{"pong 1 200us", "pong 2 200us", "pong  200us"}));
}

TEST_F(ConnectionPingTest, APongAnswersTheEarlierPingsToo) {
  open();
  ping("1");
  ping("2");
  ping("3");
  turn();
  run_us(100);
  receive_pong("2");  // RFC 6455, 5.5.3: only the most recent need be answered
  receive_pong("1");
  receive_pong("3");
  EXPECT_EQ(log(), (Log{"pong 2 100us", "pong 1 0us", "pong 3 100us"}));
}

TEST_F(ConnectionPingTest, APongBeforeThePingHasLeftIsUnsolicited) {
  open();
  room = 3;
  ping("early");
  turn();
  receive_pong("early");
  EXPECT_EQ(log(), Log{"pong early 0us"});
}

TEST_F(ConnectionPingTest, OnlyTheLastSixteenAreTracked) {
  open();
  for (int i = 0; i < 17; ++i) ping(std::to_string(i));
  turn();
  run_us(10);
  receive_pong("0");
  receive_pong("1");
  EXPECT_EQ(log(), (Log{"pong 0 0us", "pong 1 10us"}));
}

TEST_F(ConnectionPingTest, FullWhen64KiBOfControlFramesWait) {
  open();
  room = 0;
  size_t queued = 0;
  while (queued < 2000 && ping(std::string(125, 'p')) == Result::kOk) ++queued;
  EXPECT_EQ(queued, 64u * 1024 / 127 + 1);
  EXPECT_EQ(state(), State::kOpen);
  room = SIZE_MAX;
  turn();
  EXPECT_EQ(take_server_frames(wire).size(), queued);
  EXPECT_EQ(ping("again"), Result::kOk);
}

}  // namespace
