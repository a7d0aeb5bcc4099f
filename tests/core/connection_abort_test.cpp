// Ends that do not wait: aborts in every state and from inside callbacks, ends for the server's own reasons, and
// connections that never opened.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "connection_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class ConnectionAbortTest : public ConnectionTest {
 protected:
  void abort(uint32_t cause = WSB_CAUSE_LOCAL_CLOSE) { conn->abort(cause, events); }
  // Nothing more comes of it, whatever happens.
  void expect_dead(bool reset) {
    EXPECT_TRUE(conn->dead());
    EXPECT_EQ(conn->wants_reset(), reset);
    EXPECT_EQ(conn->next_due(), kNever);
    log();
    abort();
    receive_text("late");
    conn->transport_ended(events);
    EXPECT_EQ(conn->wants_reset(), reset);
    EXPECT_EQ(log(), Log{});
  }
};

const std::string kBig(5000, 'x');

TEST_F(ConnectionAbortTest, OpenConnection) {
  open();
  abort();
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 0 unclean local local_close)"});
  expect_dead(true);
}

TEST_F(ConnectionAbortTest, QueuedMessagesAreToldFirst) {
  open();
  send("one");
  send("two");
  abort();
  EXPECT_EQ(log(), (Log{"dropped 2", R"(closed 1006 "" sent 0 unclean local local_close)"}));
  EXPECT_EQ(conn->figures().queued_bytes.get(), 0u);
  EXPECT_EQ(conn->figures().messages_out.get(), 0u);
  expect_dead(true);
}

TEST_F(ConnectionAbortTest, TheServersOwnCauseIsTold) {
  open();
  abort(WSB_CAUSE_SERVER_STOP);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 0 unclean local server_stop)"});
}

TEST_F(ConnectionAbortTest, WhileOurCloseWaitsBehindData) {
  open();
  room = 0;
  send("one");
  close(1000);
  turn();
  abort(WSB_CAUSE_SERVER_STOP);
  EXPECT_EQ(log(), (Log{"dropped 1", R"(closed 1006 "" sent 0 unclean local local_close)"}))
      << "the first reason to close stands";
  expect_dead(true);
}

TEST_F(ConnectionAbortTest, WhileTheirAnswerIsAwaited) {
  open();
  close(1001, "going", WSB_CAUSE_SERVER_STOP);
  turn();
  abort(WSB_CAUSE_SERVER_STOP);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1001 unclean local server_stop)"});
  expect_dead(true);
}

TEST_F(ConnectionAbortTest, WhileOnlyTheirFinIsAwaited) {
  open();
  receive_close(1000);
  turn();
  log();
  abort();
  EXPECT_EQ(log(), Log{});
  expect_dead(false);
}

TEST_F(ConnectionAbortTest, WhileTheCloseAfterAnErrorHasNotLeft) {
  open();
  room = 0;
  receive(kUnmasked);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1002 unclean local protocol_error)"});
  abort();
  expect_dead(true);
}

// ----------------------------------------------------------------------------------------------- from inside callbacks

TEST_F(ConnectionAbortTest, FromOnMessageNothingMoreIsDelivered) {
  events.when_message = [this](Connection&) { abort(); };
  open();
  receive(client_frame(kFin | 1, "one") + client_frame(kFin | 1, "two") + client_frame(kFin | 8, "\x03\xe8"));
  EXPECT_EQ(log(), (Log{"text one", R"(closed 1006 "" sent 0 unclean local local_close)"}));
  expect_dead(true);
}

TEST_F(ConnectionAbortTest, FromOnFragment) {
  config.streaming = true;
  events.when_piece = [this](Connection&) { abort(); };
  open();
  receive(client_frame(1, "one ") + client_frame(kFin, "two"));
  EXPECT_EQ(log(), (Log{"piece text @0 one ", R"(closed 1006 "" sent 0 unclean local local_close)"}));
}

TEST_F(ConnectionAbortTest, FromOnPongAndOnDrain) {
  events.when_pong = [this](Connection&) { abort(); };
  open();
  receive(client_frame(kFin | 10, "p") + client_frame(kFin | 1, "behind"));
  EXPECT_EQ(log(), (Log{"pong p 0us", R"(closed 1006 "" sent 0 unclean local local_close)"}));

  config.max_queue_bytes = 100;
  events.when_drain = [this](Connection&) { abort(); };
  open();
  send(std::string(90, 'x'));
  ASSERT_EQ(send(std::string(90, 'y')), Result::kFull);
  turn();
  EXPECT_EQ(log(), (Log{"drain", R"(closed 1006 "" sent 0 unclean local local_close)"}));
}

TEST_F(ConnectionAbortTest, FromOnClosed) {
  events.when_closed = [this](Connection& connection) {
    abort();
    EXPECT_EQ(connection.close(1000, {}, WSB_CAUSE_LOCAL_CLOSE, now), Result::kClosed);
    EXPECT_EQ(connection.send(Opcode::kText, "x", 1, events, now), Result::kClosed);
  };
  const auto one_end = [this] {
    EXPECT_EQ(events.closed_count, 1u);
    EXPECT_TRUE(conn->dead());
  };
  open();  // they close
  receive_close(1000);
  turn();
  one_end();
  open();  // we close, they answer
  close(1000);
  turn();
  receive_close(1000);
  one_end();
  open();  // an error
  receive(kUnmasked);
  one_end();
  open();  // we close, the answer is garbage
  close(1000);
  turn();
  receive(kUnmasked);
  one_end();
  open();
  conn->transport_ended(events);
  one_end();
}

TEST_F(ConnectionAbortTest, CloseFromOnMessageDropsTheRestOfTheRead) {
  events.when_message = [this](Connection&) { EXPECT_EQ(close(1000), Result::kOk); };
  open();
  receive(client_frame(kFin | 1, "one") + client_frame(kFin | 1, "two") + client_frame(kFin | 8, "\x03\xe9"));
  EXPECT_EQ(sent(), ServerFrames{close_frame(1001)});
  EXPECT_EQ(log(), (Log{"text one", R"(closed 1001 "" sent 1001 clean remote peer_close)"}));
}

// ---------------------------------------------------------------------------------------------- the server's own reasons

TEST_F(ConnectionAbortTest, ACloseForAReasonOfTheServerKeepsItsCause) {
  const auto begin = [this] {
    open();
    ASSERT_EQ(close(1001, "server is closing", WSB_CAUSE_SERVER_STOP), Result::kOk);
    EXPECT_EQ(sent(), ServerFrames{close_frame(1001, "server is closing")});
  };
  begin();
  receive_close(1001);
  EXPECT_EQ(log(), Log{R"(closed 1001 "" sent 1001 clean local server_stop)"});
  begin();
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1001 unclean local server_stop)"});
  begin();
  run_ms(config.close_timeout_ms);
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1001 unclean local server_stop)"}) << "no answer in time";
  EXPECT_TRUE(conn->wants_reset());
}

// ------------------------------------------------------------------------------------------------------- never opened

TEST_F(ConnectionAbortTest, BeforeItOpenedThereIsNothingToTell) {
  conn = std::make_unique<Connection>(config, pool, now);
  EXPECT_EQ(state(), State::kHandshake);
  EXPECT_EQ(conn->next_due(), now + from_ms(config.handshake_timeout_ms));
  EXPECT_EQ(send("x"), Result::kClosed);
  EXPECT_EQ(ping("x"), Result::kClosed);
  EXPECT_EQ(close(1000), Result::kClosed);
  abort();
  EXPECT_TRUE(conn->dead());
  EXPECT_EQ(log(), Log{});

  conn = std::make_unique<Connection>(config, pool, now);
  conn->transport_ended(events);
  EXPECT_TRUE(conn->dead());
  EXPECT_EQ(log(), Log{});
}

TEST_F(ConnectionAbortTest, AnOpenThatIsUndoneIsNotToldOf) {
  open();
  conn->give_up();
  EXPECT_TRUE(conn->dead());
  EXPECT_TRUE(conn->wants_reset());
  EXPECT_EQ(conn->next_due(), kNever);
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{});
}

TEST_F(ConnectionAbortTest, AnAnswerThatRefusesIsWrittenAndThenTheFin) {
  conn = std::make_unique<Connection>(config, pool, now);
  conn->answer_and_end("HTTP/1.1 403 Forbidden\r\n\r\n", now);
  EXPECT_FALSE(conn->take_shutdown()) << "it has not left yet";
  turn();
  EXPECT_EQ(wire, "HTTP/1.1 403 Forbidden\r\n\r\n");
  EXPECT_EQ(shutdowns, 1u);
  receive("GET / HTTP/1.1\r\n");
  conn->transport_ended(events);
  EXPECT_TRUE(conn->dead());
  EXPECT_FALSE(conn->wants_reset());
  EXPECT_EQ(log(), Log{});
}

TEST_F(ConnectionAbortTest, ARefusalThatIsNotTakenOrNotFollowedByAFinEndsInTime) {
  for (const bool taken : {false, true}) {
    room = taken ? SIZE_MAX : 0;
    conn = std::make_unique<Connection>(config, pool, now);
    conn->answer_and_end("HTTP/1.1 403 Forbidden\r\n\r\n", now);
    turn();
    run_us(from_ms(config.close_timeout_ms) - 1);
    EXPECT_FALSE(conn->dead());
    run_us(1);
    EXPECT_TRUE(conn->dead());
    EXPECT_EQ(conn->wants_reset(), !taken);
    EXPECT_EQ(log(), Log{});
  }
}

TEST_F(ConnectionAbortTest, WithoutAnAnswerTheFinComesAtOnce) {
  conn = std::make_unique<Connection>(config, pool, now);
  conn->answer_and_end({}, now);
  turn();
  EXPECT_EQ(wire, "");
  EXPECT_EQ(shutdowns, 1u);
}

}  // namespace
