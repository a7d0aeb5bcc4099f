// For the connection_*_test programs: a Connection with a fake clock, a recorder of what it reports, and a socket of
// which the test says how much it takes. The fixture does for the connection what a worker does.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client_frames.h"
#include "core/connection.h"
#include "server_frames.h"
#include "wsbeat/wsbeat.h"

namespace wsb::core::testing {

using State = Connection::State;
using Result = Connection::Result;
using Log = std::vector<std::string>;

inline const char* cause_name(uint32_t cause) {
  switch (cause) {
#define WSB_XX(name, value, text) \
  case value:                     \
    return text;
    WSB_CAUSE_MAP(WSB_XX)
#undef WSB_XX
    default:
      return "no cause";
  }
}

inline const char* initiator_name(uint32_t initiator) {
  switch (initiator) {
    case WSB_INITIATOR_LOCAL:
      return "local";
    case WSB_INITIATOR_REMOTE:
      return "remote";
    case WSB_INITIATOR_NETWORK:
      return "network";
    default:
      return "no initiator";
  }
}

// Everything that a CloseInfo says, in one line: `closed 1000 "bye" sent 1000 clean remote peer_close`.
inline std::string describe(const CloseInfo& info) {
  return "closed " + std::to_string(info.code) + " \"" + info.reason + "\" sent " + std::to_string(info.code_sent) +
         (info.clean ? " clean " : " unclean ") + initiator_name(info.initiator) + " " + cause_name(info.cause);
}

// Writes down every event as a line, and lets a test act inside of one.
class RecordingEvents final : public ConnectionEvents {
 public:
  void on_message(Connection& connection, bool text, const uint8_t* data, size_t n) override {
    add((text ? "text " : "binary ") + shown(view_of(data, n)));
    last_message = view_of(data, n);
    if (when_message) when_message(connection);
  }
  void on_fragment(Connection& connection, const EventData& piece) override {
    add((piece.last ? "last " : "piece ") + std::string(piece.text ? "text @" : "binary @") +
        std::to_string(piece.offset) + " " + shown(view_of(piece.data, piece.length)));
    if (when_piece) when_piece(connection);
  }
  void on_pong(Connection& connection, const uint8_t* data, size_t n, bool heartbeat, uint32_t rtt_us) override {
    add((heartbeat ? "heartbeat pong" : "pong " + shown(view_of(data, n))) + " " + std::to_string(rtt_us) + "us");
    if (when_pong) when_pong(connection);
  }
  void on_drain(Connection& connection) override {
    add("drain");
    if (when_drain) when_drain(connection);
  }
  void on_closed(Connection& connection, const CloseInfo& info) override {
    add(describe(info));
    ++closed_count;
    if (when_closed) when_closed(connection);
  }
  void on_dropped(Connection&, size_t messages) override {
    add("dropped " + std::to_string(messages));
    dropped_count += messages;
  }
  Unread unread(Connection&) override {
    ++unread_asked;
    return unread_now;
  }

  // The lines since the last call.
  Log take() {
    Log taken;
    taken.swap(log_);
    return taken;
  }

  std::function<void(Connection&)> when_message, when_piece, when_pong, when_drain, when_closed;
  std::string last_message;
  size_t closed_count = 0;
  size_t dropped_count = 0;
  size_t unread_asked = 0;
  Unread unread_now = Unread::kNothing;

 private:
  static std::string shown(std::string_view data) {
    return data.size() <= 40 ? std::string(data) : std::to_string(data.size()) + " bytes";
  }
  void add(std::string line) { log_.push_back(std::move(line)); }

  Log log_;
};

inline const std::string kUnmasked("\x81\x00", 2);  // an offence of a client
inline constexpr std::string_view kAnswer = "HTTP/1.1 101 Switching Protocols\r\n\r\n";

class ConnectionTest : public ::testing::Test {
 protected:
  // With `config` and `deflate` as they are then. The answer leaves at once.
  void open(bool authenticated = false, uint16_t phase = 65535) {
    wire.clear();
    shutdowns = events.closed_count = 0;
    conn = std::make_unique<Connection>(config, pool, now);
    ASSERT_TRUE(conn->open(kAnswer, deflate, authenticated, phase, now));
    write();
    ASSERT_EQ(wire, kAnswer);
    wire.clear();
  }

  // -- as a worker does
  void write() {
    for (;;) {
      Span spans[3];
      const size_t count = conn->outbox().gather(spans, 3);
      size_t taken = 0;
      for (size_t i = 0; i < count; ++i) {
        const size_t n = std::min(spans[i].size, room - taken);
        wire.append(view_of(spans[i].data, n));
        taken += n;
      }
      if (taken == 0) return;
      if (room != SIZE_MAX) room -= taken;
      conn->wrote(taken, now, stalled_us, events);
    }
  }
  // The end of a loop turn.
  void turn() {
    if (conn->has_pending_input() && conn->reading(now)) conn->receive(nullptr, 0, now, events);
    write();
    if (conn->take_shutdown()) ++shutdowns;
    conn->reading(now);
  }
  // Bytes of the peer, in memory of exactly their size.
  void receive(std::string_view bytes) {
    const std::unique_ptr<uint8_t[]> input(new uint8_t[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), input.get());
    conn->receive(input.get(), bytes.size(), now, events);
  }
  // Lets time pass, with a turn of the loop at each deadline.
  void run_us(TimeUs us) {
    const TimeUs end = now + us;
    while (conn->next_due() <= end) {
      now = std::max(now, conn->next_due());
      conn->on_time(now, stalled_us, events);
      turn();
      ASSERT_GT(conn->next_due(), now) << "a deadline that is not seen to";
    }
    now = end;
  }
  void run_ms(uint64_t ms) { run_us(from_ms(ms)); }

  // -- shorthand
  Result send(std::string_view data, Opcode opcode = Opcode::kText) {
    return conn->send(opcode, data.data(), data.size(), events, now);
  }
  Result ping(std::string_view data) { return conn->ping(data.data(), data.size(), now); }
  Result close(uint32_t code, std::string_view reason = {}, uint32_t cause = WSB_CAUSE_LOCAL_CLOSE) {
    return conn->close(code, reason, cause, now);
  }
  void receive_text(std::string_view data) { receive(client_frame(kFin | 1, data)); }
  void receive_ping(std::string_view data) { receive(client_frame(kFin | 9, data)); }
  void receive_pong(std::string_view data) { receive(client_frame(kFin | 10, data)); }
  void receive_close(uint32_t code, std::string_view reason = {}) {
    receive(client_frame(kFin | 8, close_frame(code, reason).payload));
  }
  // What the peer has got since the last call, after a turn of the loop. Whole frames only.
  ServerFrames sent() {
    turn();
    return take_server_frames(wire);
  }
  Log log() { return events.take(); }
  State state() const { return conn->state(); }
  // Everything is over but for the peer's FIN.
  void expect_fin_and_end() {
    turn();
    EXPECT_EQ(state(), State::kEnding);
    EXPECT_EQ(shutdowns, 1u);
    conn->transport_ended(events);
    EXPECT_TRUE(conn->dead());
    EXPECT_FALSE(conn->wants_reset());
    EXPECT_EQ(conn->next_due(), kNever);
    EXPECT_EQ(events.closed_count, 1u);
  }

  ConnectionConfig config;
  DeflateParams deflate;
  BufferPool pool;
  RecordingEvents events;
  TimeUs now = 1'000'000'000;
  TimeUs stalled_us = 0;
  size_t room = SIZE_MAX;  // bytes that the socket takes before it is full
  std::string wire;        // what it took and no test has looked at
  size_t shutdowns = 0;
  std::unique_ptr<Connection> conn;
};

}  // namespace wsb::core::testing
