// Output: what is queued, what a full queue does under each policy, drains.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "connection_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class ConnectionOutTest : public ConnectionTest {
 protected:
  ConnectionOutTest() { config.max_queue_bytes = 1000; }

  // 100 bytes on the wire.
  Result send_letter(char letter) { return send(letters(letter)); }
  static std::string letters(char letter) { return std::string(98, letter); }
  static ServerFrames letter_frames(std::string_view text) {
    ServerFrames frames;
    for (const char letter : text) frames.push_back(text_frame(letters(letter)));
    return frames;
  }
  BufferRef message(std::string_view data, Opcode opcode = Opcode::kText) {
    return BufferRef(Buffer::create_message(opcode, data.data(), data.size()));
  }
  Result send_accepted(std::string_view data) { return conn->send_accepted(message(data), events, now); }
};

TEST_F(ConnectionOutTest, MessagesLeaveInOrder) {
  open();
  EXPECT_EQ(send("one"), Result::kOk);
  EXPECT_EQ(send("two", Opcode::kBinary), Result::kOk);
  EXPECT_EQ(conn->send_message(message("three").get(), events, now), Result::kOk);
  EXPECT_EQ(send_accepted("four"), Result::kOk);
  EXPECT_EQ(conn->figures().messages_out.get(), 4u);
  EXPECT_EQ(conn->figures().queued_bytes.get(), 5u + 5u + 7u + 6u);
  EXPECT_EQ(conn->queued_bytes(), 5u + 5u + 7u + 6u);
  EXPECT_EQ(sent(), (ServerFrames{text_frame("one"), binary_frame("two"), text_frame("three"), text_frame("four")}));
  EXPECT_EQ(conn->figures().queued_bytes.get(), 0u);
  EXPECT_EQ(conn->figures().bytes_out.get(), 5u + 5u + 7u + 6u);
  EXPECT_EQ(conn->figures().message_at.get(), now);
}

TEST_F(ConnectionOutTest, TheAnswerToTheHandshakeIsNotCountedAndNotPassed) {
  conn = std::make_unique<Connection>(config, pool, now);
  ASSERT_TRUE(conn->open(kAnswer, deflate, false, 0, now));
  EXPECT_EQ(conn->queued_bytes(), 0u);
  EXPECT_EQ(send(std::string(1000, 'x')), Result::kOk) << "as into an empty queue";
  EXPECT_EQ(ping("p"), Result::kOk);
  room = 10;
  write();
  EXPECT_EQ(conn->figures().queued_bytes.get(), 1004u + 3u);
  EXPECT_EQ(conn->figures().bytes_out.get(), 0u);
  room = SIZE_MAX;
  write();
  ASSERT_EQ(wire.substr(0, kAnswer.size()), kAnswer);
  wire.erase(0, kAnswer.size());
  EXPECT_EQ(sent(), (ServerFrames{ping_frame("p"), text_frame(std::string(1000, 'x'))}));
  EXPECT_EQ(conn->figures().bytes_out.get(), 1004u + 3u);
}

TEST_F(ConnectionOutTest, SharedMessagesAreNotCopied) {
  config.max_queue_bytes = 1 << 20;
  open();
  const BufferRef shared = message(std::string(5000, 'x'));
  room = 0;
  EXPECT_EQ(conn->send_message(shared.get(), events, now), Result::kOk);
  EXPECT_EQ(shared->references.load(), 2u);
  room = SIZE_MAX;
  turn();
  EXPECT_EQ(shared->references.load(), 1u);
}

// ------------------------------------------------------------------------------------------------- the queue's limit

TEST_F(ConnectionOutTest, WhatCanNeverFitIsTooBig) {
  for (const uint32_t policy : {WSB_SLOW_REFUSE, WSB_SLOW_CLOSE, WSB_SLOW_DROP_OLDEST}) {
    config.slow_consumer = policy;
    open();
    EXPECT_EQ(send(std::string(1001, 'x')), Result::kTooBig);
    EXPECT_EQ(conn->send_message(message(std::string(1001, 'x')).get(), events, now), Result::kTooBig);
    EXPECT_EQ(state(), State::kOpen);
    EXPECT_EQ(conn->queued_bytes(), 0u);
    send_letter('a');
    EXPECT_EQ(send(std::string(1001, 'x')), Result::kTooBig) << "also behind others";
    EXPECT_EQ(sent(), letter_frames("a")) << "and nothing is dropped for it";
    EXPECT_EQ(log(), Log{}) << "nor will a drain make room for it";
  }
}

TEST_F(ConnectionOutTest, AMessageOfExactlyTheLimitFitsAnEmptyQueue) {
  open();
  EXPECT_EQ(send(std::string(1000, 'x')), Result::kOk);
  EXPECT_EQ(send(""), Result::kFull);
  EXPECT_EQ(sent(), ServerFrames{text_frame(std::string(1000, 'x'))});
}

TEST_F(ConnectionOutTest, TheQueueHoldsItsLimitExactly) {
  open();
  for (const char letter : std::string("abcdefghij")) ASSERT_EQ(send_letter(letter), Result::kOk);
  EXPECT_EQ(conn->queued_bytes(), 1000u);
  EXPECT_EQ(send(""), Result::kFull);
  room = 2;
  turn();
  EXPECT_EQ(send(""), Result::kOk) << "two bytes for a frame of two";
  EXPECT_EQ(send(""), Result::kFull);
}

// ------------------------------------------------------------------------------------------------------------- refuse

TEST_F(ConnectionOutTest, RefusedThenDrainedOnceAtHalf) {
  open();
  room = 0;
  for (const char letter : std::string("abcdefghij")) send_letter(letter);
  EXPECT_EQ(send_letter('k'), Result::kFull);
  EXPECT_EQ(send_letter('k'), Result::kFull);
  EXPECT_EQ(conn->queued_bytes(), 1000u) << "nothing was queued";
  EXPECT_EQ(conn->figures().messages_out.get(), 10u);
  room = 499;
  turn();
  EXPECT_EQ(log(), Log{});
  room = 1;
  turn();
  EXPECT_EQ(log(), Log{"drain"});
  room = SIZE_MAX;
  turn();
  EXPECT_EQ(log(), Log{}) << "once";
  EXPECT_EQ(take_server_frames(wire), letter_frames("abcdefghij"));
}

TEST_F(ConnectionOutTest, NoDrainWithoutARefusal) {
  open();
  for (const char letter : std::string("abcdefghij")) send_letter(letter);
  turn();
  EXPECT_EQ(log(), Log{});
}

TEST_F(ConnectionOutTest, EachRefusalIsFollowedByADrain) {
  open();
  for (int round = 0; round < 5; ++round) {
    while (send_letter('x') == Result::kOk) {
    }
    turn();
    EXPECT_EQ(log(), Log{"drain"});
  }
}

TEST_F(ConnectionOutTest, SendingFromOnDrainUntilFullAgain) {
  open();
  size_t accepted = 0;
  events.when_drain = [&](Connection&) {
    while (accepted < 100 && send_letter('x') == Result::kOk) ++accepted;
  };
  while (send_letter('x') == Result::kOk) ++accepted;
  for (int turns = 0; turns < 100 && accepted < 100; ++turns) {
    room = 300;
    turn();
  }
  room = SIZE_MAX;
  turn();
  EXPECT_EQ(take_server_frames(wire), letter_frames(std::string(100, 'x')));
}

TEST_F(ConnectionOutTest, ARefusalWithTheQueueBelowHalfIsFollowedByADrainToo) {
  open();
  room = 0;
  send(std::string(300, 'x'));
  ASSERT_EQ(send(std::string(800, 'y')), Result::kFull);
  EXPECT_EQ(log(), Log{});
  room = SIZE_MAX;
  turn();
  EXPECT_EQ(log(), Log{"drain"});
  EXPECT_EQ(send(std::string(800, 'y')), Result::kOk);
}

TEST_F(ConnectionOutTest, ADrainOwedToAnotherThread) {
  open();
  conn->owe_drain(events);
  EXPECT_EQ(log(), Log{"drain"}) << "at once if there is room again";
  room = 0;
  for (const char letter : std::string("abcdefghij")) send_letter(letter);
  conn->owe_drain(events);
  EXPECT_EQ(log(), Log{});
  room = 500;
  turn();
  EXPECT_EQ(log(), Log{"drain"});
}

TEST_F(ConnectionOutTest, NoDrainOnceItCloses) {
  open();
  for (const char letter : std::string("abcdefghij")) send_letter(letter);
  ASSERT_EQ(send_letter('k'), Result::kFull);
  close(1000);
  turn();
  conn->owe_drain(events);
  EXPECT_EQ(log(), Log{});
}

TEST_F(ConnectionOutTest, WhatAnotherThreadWasPromisedIsQueuedWhateverTheLimit) {
  open();
  room = 0;
  for (const char letter : std::string("abcdefghij")) send_letter(letter);
  EXPECT_EQ(send_accepted(letters('k')), Result::kOk);
  EXPECT_EQ(conn->queued_bytes(), 1100u);
  room = SIZE_MAX;
  EXPECT_EQ(sent(), letter_frames("abcdefghijk"));
  EXPECT_EQ(log(), Log{}) << "nobody was refused";
}

TEST_F(ConnectionOutTest, WhatIsPatientNeverMakesRoomForItself) {
  for (const uint32_t policy : {WSB_SLOW_REFUSE, WSB_SLOW_CLOSE, WSB_SLOW_DROP_OLDEST}) {
    config.slow_consumer = policy;
    open();
    room = 0;
    for (const char letter : std::string("abcdefghij")) send_letter(letter);
    EXPECT_EQ(conn->send_accepted(message(letters('k')), events, now, true), Result::kOk);
    EXPECT_EQ(conn->queued_bytes(), 1100u);
    room = SIZE_MAX;
    EXPECT_EQ(sent(), letter_frames("abcdefghijk"));
    EXPECT_EQ(log(), Log{});
  }
}

TEST_F(ConnectionOutTest, WhatWasPromisedToAClosedConnectionCountsAsDropped) {
  open();
  close(1000);
  EXPECT_EQ(send_accepted("late"), Result::kClosed);
  EXPECT_EQ(log(), Log{"dropped 1"});
  EXPECT_EQ(sent(), ServerFrames{close_frame(1000)});
  EXPECT_EQ(conn->figures().messages_out.get(), 0u);
}

// -------------------------------------------------------------------------------------------------------------- close

TEST_F(ConnectionOutTest, PolicyClose) {
  config.slow_consumer = WSB_SLOW_CLOSE;
  open();
  room = 30;
  for (const char letter : std::string("abcdefghij")) ASSERT_EQ(send_letter(letter), Result::kOk);
  turn();
  EXPECT_EQ(send_letter('k'), Result::kClosed);
  EXPECT_EQ(log(), (Log{"dropped 9", R"(closed 1006 "" sent 1013 unclean local slow_consumer)"}));
  EXPECT_EQ(send_letter('l'), Result::kClosed);
  room = SIZE_MAX;
  EXPECT_EQ(sent(), (ServerFrames{text_frame(letters('a')), close_frame(1013, "slow consumer")}))
      << "what was half written is finished";
  EXPECT_EQ(log(), Log{});
  expect_fin_and_end();
}

TEST_F(ConnectionOutTest, PolicyCloseForAMessageOfAnotherThread) {
  config.slow_consumer = WSB_SLOW_CLOSE;
  open();
  room = 0;
  for (const char letter : std::string("abcdefghij")) send_letter(letter);
  EXPECT_EQ(send_accepted(letters('k')), Result::kClosed);
  EXPECT_EQ(log(), (Log{"dropped 10", R"(closed 1006 "" sent 1013 unclean local slow_consumer)", "dropped 1"}))
      << "the message that was promised is among the dropped";
}

// -------------------------------------------------------------------------------------------------------- drop oldest

TEST_F(ConnectionOutTest, PolicyDropOldest) {
  config.slow_consumer = WSB_SLOW_DROP_OLDEST;
  open();
  room = 0;
  for (const char letter : std::string("abcdefghij")) ASSERT_EQ(send_letter(letter), Result::kOk);
  EXPECT_EQ(send_letter('k'), Result::kOk);
  EXPECT_EQ(log(), Log{"dropped 1"});
  EXPECT_EQ(send(std::string(250, 'l')), Result::kOk);
  EXPECT_EQ(log(), Log{"dropped 3"});
  EXPECT_EQ(conn->figures().messages_out.get(), 8u);
  room = SIZE_MAX;
  ServerFrames expected = letter_frames("efghijk");
  expected.push_back(text_frame(std::string(250, 'l')));
  EXPECT_EQ(sent(), expected);
  EXPECT_EQ(log(), Log{}) << "no drain: nothing was refused";
}

TEST_F(ConnectionOutTest, DropOldestNeverDropsWhatHasBegun) {
  config.slow_consumer = WSB_SLOW_DROP_OLDEST;
  open();
  room = 1;
  for (const char letter : std::string("abcdefghij")) send_letter(letter);
  turn();
  EXPECT_EQ(send_letter('k'), Result::kOk);
  EXPECT_EQ(log(), Log{"dropped 1"});
  room = SIZE_MAX;
  EXPECT_EQ(sent(), letter_frames("acdefghijk"));
}

TEST_F(ConnectionOutTest, DropOldestRefusesWhatDoesNotFitBesideTheMessageThatHasBegun) {
  config.slow_consumer = WSB_SLOW_DROP_OLDEST;
  open();
  room = 1;
  send(std::string(900, 'a'));
  send("b");
  turn();
  EXPECT_EQ(send_letter('c'), Result::kFull);
  EXPECT_EQ(log(), Log{"dropped 1"});
  room = SIZE_MAX;
  EXPECT_EQ(sent(), ServerFrames{text_frame(std::string(900, 'a'))});
  EXPECT_EQ(log(), Log{"drain"});
}

TEST_F(ConnectionOutTest, DropOldestKeepsAPromiseToAnotherThread) {
  config.slow_consumer = WSB_SLOW_DROP_OLDEST;
  open();
  room = 1;
  send(std::string(900, 'a'));
  turn();
  EXPECT_EQ(send_accepted(letters('b')), Result::kOk) << "nothing to drop, yet it was accepted";
  EXPECT_EQ(send_accepted(letters('c')), Result::kOk);
  EXPECT_EQ(log(), Log{"dropped 1"}) << "the one before it";
  room = SIZE_MAX;
  EXPECT_EQ(sent(), (ServerFrames{text_frame(std::string(900, 'a')), text_frame(letters('c'))}));
  EXPECT_EQ(log(), Log{}) << "nobody was refused, so there is no drain";
}

TEST_F(ConnectionOutTest, DropOldestKeepsControlFramesAndTheAnswer) {
  config.slow_consumer = WSB_SLOW_DROP_OLDEST;
  conn = std::make_unique<Connection>(config, pool, now);
  ASSERT_TRUE(conn->open(kAnswer, deflate, false, 0, now));
  ping("p");
  for (const char letter : std::string("abcdefghijklmnopq")) ASSERT_EQ(send_letter(letter), Result::kOk);
  turn();
  ASSERT_EQ(wire.substr(0, kAnswer.size()), kAnswer);
  wire.erase(0, kAnswer.size());
  ServerFrames expected{ping_frame("p")};
  for (const ServerFrame& frame : letter_frames("ijklmnopq")) expected.push_back(frame);
  EXPECT_EQ(take_server_frames(wire), expected);
  EXPECT_EQ(events.dropped_count, 8u);
}

}  // namespace
