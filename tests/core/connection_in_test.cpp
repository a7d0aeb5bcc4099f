// Bytes in: messages, fragments, pings and pongs; reading that stops in the middle of a read and goes on.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "connection_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class ConnectionInTest : public ConnectionTest {};

std::string text(std::string_view data) {
  return client_frame(kFin | 1, data);
}

TEST_F(ConnectionInTest, MessagesArriveInOrder) {
  open();
  receive(text("one") + client_frame(kFin | 2, "two") + client_frame(1, "thr") + client_frame(kFin, "ee"));
  receive_text("");
  EXPECT_EQ(log(), (Log{"text one", "binary two", "text three", "text "}));
  EXPECT_EQ(conn->figures().messages_in.get(), 4u);
}

TEST_F(ConnectionInTest, AnyCutOfTheBytesGivesTheSameMessages) {
  const std::string bytes = text("one") + client_frame(1, "tw") + client_frame(kFin | 9, "p") +
                            client_frame(kFin, "o") + client_frame(kFin | 2, std::string(300, 'x')) +
                            client_frame(kFin | 8, "\x03\xe8");
  for (size_t each = 1; each < bytes.size(); each += each < 10 ? 1 : 37) {
    open();
    for (size_t at = 0; at < bytes.size(); at += each) receive(std::string_view(bytes).substr(at, each));
    EXPECT_EQ(sent(), (ServerFrames{pong_frame("p"), close_frame(1000)}));
    EXPECT_EQ(log(),
              (Log{"text one", "text two", "binary 300 bytes", R"(closed 1000 "" sent 1000 clean remote peer_close)"}));
    EXPECT_EQ(conn->figures().bytes_in.get(), bytes.size());
  }
}

TEST_F(ConnectionInTest, EveryPingHasItsPongInOrder) {
  open();
  std::string bytes;
  ServerFrames expected;
  for (const size_t size : std::vector<size_t>{0, 1, 64, 124, 125}) {
    const std::string payload(size, static_cast<char>('a' + size % 26));
    bytes += client_frame(kFin | 9, payload);
    expected.push_back(pong_frame(payload));
  }
  receive(bytes);
  EXPECT_EQ(sent(), expected);
  EXPECT_EQ(log(), Log{}) << "the application has nothing to do with pings";
}

TEST_F(ConnectionInTest, PongsPassQueuedData) {
  open();
  room = 10;
  send(std::string(1000, 'x'));
  send("two");
  turn();
  receive_ping("now");
  room = SIZE_MAX;
  EXPECT_EQ(sent(), (ServerFrames{text_frame(std::string(1000, 'x')), pong_frame("now"), text_frame("two")}));
}

TEST_F(ConnectionInTest, UnsolicitedPongsAreTold) {
  open();
  receive(client_frame(kFin | 10, "who asked") + client_frame(kFin | 10, ""));
  EXPECT_EQ(log(), (Log{"pong who asked 0us", "pong  0us"}));
}

TEST_F(ConnectionInTest, FiguresOfTheInput) {
  open();
  EXPECT_EQ(conn->figures().opened_at.get(), now);
  run_ms(100);
  const std::string bytes = text("one") + client_frame(1, "half");
  receive(bytes);
  EXPECT_EQ(conn->figures().bytes_in.get(), bytes.size());
  EXPECT_EQ(conn->figures().messages_in.get(), 1u);
  EXPECT_EQ(conn->figures().heard_at.get(), now);
  EXPECT_EQ(conn->figures().message_at.get(), now);
  const TimeUs message_at = now;
  run_ms(100);
  receive(client_frame(kFin | 9, "p"));
  EXPECT_EQ(conn->figures().heard_at.get(), now);
  EXPECT_EQ(conn->figures().message_at.get(), message_at) << "a ping is no message";
}

// ------------------------------------------------------------------------------------------------------- streaming

TEST_F(ConnectionInTest, StreamingGivesPiecesAsTheyCome) {
  config.streaming = true;
  open();
  const std::string frame = client_frame(1, "abcdef");
  receive(frame.substr(0, 8));
  EXPECT_EQ(log(), Log{"piece text @0 ab"});
  receive(frame.substr(8));
  receive(client_frame(0, "gh") + client_frame(kFin | 9, "p") + client_frame(kFin, "i") +
          client_frame(kFin | 2, "next"));
  EXPECT_EQ(log(), (Log{"piece text @2 cdef", "piece text @6 gh", "last text @8 i", "last binary @0 next"}));
  EXPECT_EQ(conn->figures().messages_in.get(), 2u);
  EXPECT_EQ(sent(), ServerFrames{pong_frame("p")});
}

TEST_F(ConnectionInTest, StreamingEndsAMessageWithAnEmptyPieceIfNeedBe) {
  config.streaming = true;
  open();
  receive(client_frame(2, "all") + client_frame(kFin, ""));
  EXPECT_EQ(log(), (Log{"piece binary @0 all", "last binary @3 "}));
}

TEST_F(ConnectionInTest, PausingBetweenPieces) {
  config.streaming = true;
  events.when_piece = [](Connection& connection) { connection.pause(); };
  open();
  receive(client_frame(1, "one ") + client_frame(0, "two ") + client_frame(kFin, "three"));
  EXPECT_EQ(log(), Log{"piece text @0 one "});
  turn();
  EXPECT_EQ(log(), Log{});
  conn->resume();
  turn();
  EXPECT_EQ(log(), Log{"piece text @4 two "});
  conn->resume();
  turn();
  EXPECT_EQ(log(), Log{"last text @8 three"});
}

// -------------------------------------------------------------------------------------------------- pause and resume

TEST_F(ConnectionInTest, NoMessageIsDeliveredAfterPauseReturns) {
  events.when_message = [](Connection& connection) { connection.pause(); };
  open();
  receive(text("one") + text("two") + client_frame(kFin | 9, "p") + text("three"));
  EXPECT_EQ(log(), Log{"text one"});
  EXPECT_TRUE(conn->paused());
  EXPECT_EQ(conn->figures().paused.get(), 1u);
  EXPECT_FALSE(conn->reading(now));
  EXPECT_TRUE(conn->has_pending_input());
  run_ms(1000);
  turn();
  EXPECT_EQ(log(), Log{});
  conn->resume();
  EXPECT_EQ(conn->figures().paused.get(), 0u);
  EXPECT_TRUE(conn->reading(now));
  turn();
  EXPECT_EQ(log(), Log{"text two"}) << "which paused again";
  events.when_message = nullptr;
  conn->resume();
  EXPECT_EQ(sent(), ServerFrames{pong_frame("p")});
  EXPECT_EQ(log(), Log{"text three"});
  EXPECT_FALSE(conn->has_pending_input());
}

TEST_F(ConnectionInTest, WhatIsReadWhilePausedWaitsInOrder) {
  open();
  conn->pause();
  conn->pause();  // pausing twice is pausing once
  const std::string bytes = text("one") + text("two") + text("three");
  for (size_t at = 0; at < bytes.size(); at += 5) receive(std::string_view(bytes).substr(at, 5));
  EXPECT_EQ(log(), Log{});
  conn->resume();
  receive_text("four");
  EXPECT_EQ(log(), (Log{"text one", "text two", "text three", "text four"})) << "before what comes later";
  turn();
  EXPECT_FALSE(conn->has_pending_input());
}

TEST_F(ConnectionInTest, PausedInTheMiddleOfAMessage) {
  open();
  const std::string frame = text("a message in two reads");
  receive(frame.substr(0, 12));
  conn->pause();
  receive(frame.substr(12) + text("next"));
  conn->resume();
  turn();
  EXPECT_EQ(log(), (Log{"text a message in two reads", "text next"}));
}

TEST_F(ConnectionInTest, PauseAndResumeInsideOneCallbackDoNothing) {
  events.when_message = [this](Connection& connection) {
    connection.pause();
    connection.resume();
    connection.receive(nullptr, 0, now, events);  // must not deliver anything inside the callback
    EXPECT_EQ(log().size(), 1u);
  };
  open();
  receive(text("one") + text("two") + text("three"));
  EXPECT_FALSE(conn->has_pending_input());
  EXPECT_EQ(conn->figures().messages_in.get(), 3u);
}

TEST_F(ConnectionInTest, WhilePausedNeitherCloseNorPongIsSeen) {
  open();
  conn->pause();
  receive(client_frame(kFin | 10, "p") + client_frame(kFin | 8, "\x03\xe8"));
  turn();
  EXPECT_EQ(log(), Log{});
  conn->resume();
  turn();
  EXPECT_EQ(log(), (Log{"pong p 0us", R"(closed 1000 "" sent 1000 clean remote peer_close)"}));
}

TEST_F(ConnectionInTest, ClosingEndsAPause) {
  open();
  conn->pause();
  receive(text("never delivered") + client_frame(kFin | 8, "\x03\xe9"));
  close(1000);
  EXPECT_TRUE(conn->reading(now)) << "their Close is awaited";
  turn();
  EXPECT_EQ(log(), Log{R"(closed 1001 "" sent 1001 clean remote peer_close)"});
}

TEST_F(ConnectionInTest, AbortForgetsWhatWasKept) {
  open();
  conn->pause();
  receive(text("never delivered"));
  conn->abort(WSB_CAUSE_LOCAL_CLOSE, events);
  conn->resume();
  conn->receive(nullptr, 0, now, events);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 0 unclean local local_close)"});
}

TEST_F(ConnectionInTest, AFullEventQueueStopsReadingJustTheSame) {
  events.when_message = [](Connection& connection) { connection.set_queue_blocked(true); };
  open();
  receive(text("one") + text("two"));
  EXPECT_EQ(log(), Log{"text one"});
  EXPECT_FALSE(conn->reading(now));
  EXPECT_FALSE(conn->paused());
  conn->pause();
  conn->set_queue_blocked(false);
  EXPECT_FALSE(conn->reading(now)) << "the application's pause is another matter";
  conn->resume();
  turn();
  EXPECT_EQ(log(), Log{"text two"});
}

TEST_F(ConnectionInTest, APeerThatPingsButDoesNotReadIsNotReadFurther) {
  open();
  room = 0;
  const std::string ping = client_frame(kFin | 9, std::string(125, 'p'));
  for (int i = 0; i < 1000; ++i) receive(ping);
  EXPECT_FALSE(conn->reading(now));
  EXPECT_LE(conn->outbox().control_bytes(), 64u * 1024 + 127);
  EXPECT_GE(conn->outbox().control_bytes(), 64u * 1024);
  room = SIZE_MAX;
  EXPECT_TRUE(take_server_frames(wire).empty());
  ServerFrames frames;
  for (int i = 0; i < 3; ++i) {
    const ServerFrames more = sent();
    frames.insert(frames.end(), more.begin(), more.end());
  }
  EXPECT_EQ(frames.size(), 1000u) << "each is answered in the end";
  EXPECT_TRUE(conn->reading(now));
}

// ---------------------------------------------------------------------------------------------- messages per second

TEST_F(ConnectionInTest, ABurstOfOneSecondsWorthPassesAndThenReadingSlows) {
  config.max_messages_per_second = 10;
  open();
  std::string bytes;
  for (int i = 0; i < 25; ++i) bytes += text(std::to_string(i));
  receive(bytes);
  EXPECT_EQ(log().size(), 10u);
  EXPECT_FALSE(conn->reading(now));
  EXPECT_EQ(conn->next_due(), now + from_ms(100));
  run_us(from_ms(100) - 1);
  EXPECT_EQ(log(), Log{});
  run_us(1);
  EXPECT_EQ(log(), Log{"text 10"});
  run_ms(1000);
  EXPECT_EQ(log().size(), 10u);
  run_ms(1000);
  EXPECT_EQ(log().size(), 4u) << "the rest";
  EXPECT_TRUE(conn->reading(now));
}

TEST_F(ConnectionInTest, ABucketThatWasNotEmptiedFillsUpToOneSecondsWorth) {
  config.max_messages_per_second = 10;
  open();
  for (int i = 0; i < 9; ++i) receive_text("x");
  run_ms(60'000);
  for (int i = 0; i < 30; ++i) receive_text("x");
  EXPECT_EQ(log().size(), 9u + 10u);
}

TEST_F(ConnectionInTest, FragmentsAndControlFramesAreNoMessages) {
  config.max_messages_per_second = 2;
  open();
  receive(client_frame(1, "a") + client_frame(0, "b") + client_frame(0, "c") + client_frame(kFin, "d"));
  for (int i = 0; i < 10; ++i) receive_ping("p");
  EXPECT_TRUE(conn->reading(now));
  receive_text("second");
  EXPECT_FALSE(conn->reading(now));
}

struct Rate {
  uint32_t per_second;
  TimeUs tick_us;  // deadlines are seen on ticks
};

class ConnectionRateTest : public ConnectionTest, public ::testing::WithParamInterface<Rate> {};
INSTANTIATE_TEST_SUITE_P(Rates, ConnectionRateTest,
                         ::testing::Values(Rate{1, 10'000}, Rate{3, 10'000}, Rate{100, 10'000}, Rate{999, 10'000},
                                           Rate{1000, 1}, Rate{1000, 10'000}, Rate{1000, 500'000}, Rate{70'000, 10'000},
                                           Rate{300'000, 10'000}),
                         [](const auto& rate) {
                           return std::to_string(rate.param.per_second) + "Every" + std::to_string(rate.param.tick_us) +
                                  "us";
                         });

// A peer that always has more to say gets the rate, neither more nor noticeably less, however coarse the ticks are.
TEST_P(ConnectionRateTest, IsKept) {
  config.max_messages_per_second = GetParam().per_second;
  open();
  const uint64_t rate = GetParam().per_second;
  const TimeUs span = rate > 10'000 ? 200'000 : 10'000'000;
  const TimeUs begin = now;
  std::string frame = client_frame(kFin | 2, "");
  uint64_t messages = 0;
  const auto supply = [&] {
    while (conn->reading(now)) {
      frame = client_frame(kFin | 2, "");
      conn->receive(bytes_of(frame), frame.size(), now, events);
      ++messages;
    }
    log();
  };
  supply();
  EXPECT_EQ(messages, rate) << "one second's worth at once";
  while (now < begin + span) {
    const TimeUs due = conn->next_due();
    now = (due + GetParam().tick_us - 1) / GetParam().tick_us * GetParam().tick_us;
    conn->on_time(now, stalled_us, events);
    supply();
    ASSERT_LE(messages, rate + (now - begin) * rate / 1'000'000) << "more than the rate";
  }
  EXPECT_GE(messages, rate + span * rate / 1'000'000 * 98 / 100 - 1) << "less than the rate";
}

}  // namespace
