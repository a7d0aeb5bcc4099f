// A connection under random operations of the application, the peer, the socket and the clock. What must hold at every
// step and at the end is checked; which of it happens is the seed's business.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "connection_fixture.h"
#include "core/deflate.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

constexpr size_t kRunsPerSeed = 100;
constexpr size_t kStepsPerRun = 400;

class ConnectionRandomTest : public ConnectionTest, public ::testing::WithParamInterface<uint32_t> {
 protected:
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random() % n); }
  bool one_in(uint32_t n) { return below(n) == 0; }

  void begin() {
    config = ConnectionConfig();
    config.limits.max_message_bytes = 2000;
    config.limits.max_fragments = 20;
    config.deflate_threshold_bytes = 50;
    config.max_queue_bytes = 1000 + below(4000);
    config.slow_consumer = below(3);
    config.close_timeout_ms = 50 + below(500);
    config.auth_timeout_ms = one_in(4) ? 500 : 0;
    config.idle_timeout_ms = one_in(4) ? 700 : 0;
    config.message_timeout_ms = one_in(2) ? 50 + below(500) : 0;
    config.max_messages_per_second = one_in(3) ? 1 + below(100) : 0;
    config.streaming = one_in(3);
    config.heartbeat = one_in(4) ? HeartbeatSettings() : HeartbeatSettings{100 + below(300), 20 + below(70), one_in(2)};
    deflate = DeflateParams();
    deflate.agreed = one_in(2);
    deflate.server_no_context_takeover = one_in(2);
    room = SIZE_MAX;
    stalled_us = 0;
    pings_given = 0;
    queued = accepted_dropped = 0;
    close_given = ended = false;
    next_in = next_delivered = 0;
    rank = 0;
    events.dropped_count = 0;
    client_deflater = std::make_unique<Deflater>(deflate, 1, 8);
    open(one_in(2), static_cast<uint16_t>(random()));
    history.clear();
    expected_pongs.clear();
  }

  // ------------------------------------------------------------------------------------------------- the application

  void send_something() {
    const size_t size = one_in(5) ? below(1500) : below(80);
    const std::string message = std::to_string(queued) + ":" + std::string(size, static_cast<char>('a' + below(3)));
    const auto shared = [&] {
      return BufferRef(Buffer::create_message(Opcode::kText, message.data(), message.size()));
    };
    Result result = Result::kClosed;
    const size_t dropped_before = events.dropped_count;
    switch (below(4)) {
      case 0:
        result = conn->send_message(shared().get(), events, now);
        break;
      case 1: {
        const BufferRef buffer = shared();
        result = conn->send_accepted(BufferRef::share(buffer.get()), events, now);
        ASSERT_TRUE(result == Result::kOk || result == Result::kClosed) << "it was promised";
        if (result == Result::kClosed) {
          ASSERT_GT(events.dropped_count, dropped_before) << "lost without a word";
          ++accepted_dropped;
        }
        break;
      }
      default:
        result = send(message);
        break;
    }
    if (result == Result::kOk) ++queued;
    ASSERT_TRUE(result != Result::kTooBig || message.size() > config.max_queue_bytes);
  }

  // What a callback or another command may do at any moment.
  void act() {
    switch (below(30)) {
      case 0:
        close(one_in(4) ? 0 : 1000, {}, one_in(2) ? WSB_CAUSE_LOCAL_CLOSE : WSB_CAUSE_SERVER_STOP);
        break;
      case 1:
        if (one_in(6)) conn->abort(WSB_CAUSE_LOCAL_CLOSE, events);
        break;
      case 2:
      case 3:
        conn->pause();
        break;
      case 4:
      case 5:
      case 6:
        conn->resume();
        break;
      case 7:
        conn->set_queue_blocked(one_in(2));
        break;
      case 8:
        conn->set_authenticated();
        break;
      case 9:
        conn->set_heartbeat(one_in(3) ? HeartbeatSettings() : HeartbeatSettings{100, 50, one_in(2)},
                            static_cast<uint16_t>(random()), now);
        break;
      case 10:
        if (conn->ping("application", below(12), now) == Result::kOk) ++pings_given;
        break;
      case 11:
        conn->owe_drain(events);
        break;
      default:
        send_something();
        break;
    }
  }

  // -------------------------------------------------------------------------------------------------------- the peer

  std::string client_message() {
    std::string data = std::to_string(next_in++) + ":" + std::string(one_in(8) ? below(1900) : below(40), 'x');
    int first = 1;
    if (deflate.agreed && one_in(2)) {
      ByteBuffer out;
      EXPECT_TRUE(client_deflater->deflate(bytes_of(data), data.size(), out));
      data = view_of(out.data(), out.size());
      first |= kRsv1;
    }
    if (!one_in(3)) return client_frame(kFin | first, data);
    const size_t cut = below(static_cast<uint32_t>(data.size()) + 1);
    return client_frame(first, data.substr(0, cut)) + (one_in(2) ? client_ping() : std::string()) +
           client_frame(kFin, data.substr(cut));
  }
  std::string client_ping() {
    expected_pongs.push_back("p" + std::to_string(expected_pongs.size()));
    return client_frame(kFin | 9, expected_pongs.back());
  }
  // Looks at what has come, as a client does, and answers some of it.
  std::string answers() {
    std::string out;
    for (ServerFrame& frame : take_server_frames(wire)) {
      if (frame.opcode == 9 && !one_in(10)) out += client_frame(kFin | 10, frame.payload);
      if (frame.opcode == 8 && !close_given && !one_in(4)) {
        out += client_frame(kFin | 8, frame.payload);
        close_given = true;
      }
      history.push_back(std::move(frame));
    }
    return out;
  }
  void peer_speaks() {
    std::string bytes = answers();
    for (uint32_t frames = below(4); frames != 0; --frames) {
      switch (below(60)) {
        case 0:
          bytes += client_frame(kFin | 8, close_frame(1000 + below(3), "peer").payload);
          close_given = true;
          break;
        case 1:
          if (one_in(3)) bytes += kUnmasked;
          break;
        case 2:
          if (one_in(3)) bytes += client_frame(1, "never finished");
          break;
        default:
          bytes += one_in(4) ? client_ping() : client_message();
          break;
      }
    }
    // Some of it may be on its way for a while.
    unread += bytes;
    const size_t n = one_in(3) ? below(static_cast<uint32_t>(unread.size()) + 1) : unread.size();
    if (!conn->reading(now) && !one_in(20)) return;
    receive(std::string_view(unread).substr(0, n));
    unread.erase(0, n);
  }

  // ---------------------------------------------------------------------------------------------------------- checks

  static int rank_of(State state) {
    switch (state) {
      case State::kHandshake:
      case State::kOpen:
        return 0;
      case State::kDraining:
        return 1;
      case State::kClosing:
      case State::kReplying:
        return 2;
      case State::kEnding:
        return 3;
      case State::kDead:
        return 4;
    }
    return 5;
  }

  void check_step() {
    ASSERT_GE(rank_of(state()), rank) << "a state that lay behind";
    rank = rank_of(state());
    ASSERT_LE(events.closed_count, 1u);
    ASSERT_EQ(events.closed_count == 1, conn->reported());
    ASSERT_EQ(conn->reported(), rank >= 3) << "told as soon as nothing can change it";
    Span spans[256];
    size_t bytes = 0;
    const size_t count = conn->outbox().gather(spans, 256);
    for (size_t i = 0; i < count; ++i) bytes += spans[i].size;
    ASSERT_LT(count, 256u);
    ASSERT_EQ(bytes, conn->outbox().bytes());
    ASSERT_EQ(conn->figures().queued_bytes.get(), conn->queued_bytes());
    ASSERT_EQ(conn->figures().messages_out.get() + events.dropped_count, queued + accepted_dropped);
    for (const std::string& line : events.take()) {
      ASSERT_TRUE(!ended || line.rfind("dropped", 0) == 0) << "after the end: " << line;
      if (line.rfind("closed", 0) != 0) continue;
      ended = true;
      report = line;
    }
  }

  void on_data(std::string_view begins_with_serial) {
    EXPECT_FALSE(conn->paused()) << "delivered while paused";
    EXPECT_EQ(state(), State::kOpen);
    if (begins_with_serial.empty()) return;
    EXPECT_EQ(begins_with_serial.substr(0, begins_with_serial.find(':')), std::to_string(next_delivered++))
        << "lost or out of order";
  }

  void step() {
    switch (below(10)) {
      case 0:
      case 1:
        act();
        break;
      case 2:
      case 3:
        peer_speaks();
        break;
      case 4:
        room = one_in(2) ? SIZE_MAX : below(800);
        break;
      case 5:
      case 6:
        turn();
        break;
      case 7:
        if (one_in(3)) stalled_us += 20'000;
        events.unread_now = unread.empty() ? Unread::kNothing : Unread::kBytes;
        now += one_in(10) ? from_ms(below(200)) : from_ms(below(20));
        break;
      default:
        now = std::max(now, std::min(conn->next_due(), now + from_ms(100)));
        conn->on_time(now, stalled_us, events);
        ASSERT_GT(conn->next_due(), now) << "still due after it was seen to";
        break;
    }
    if (one_in(400) && !conn->dead()) conn->transport_ended(events);
  }

  // All frames on the wire, judged as a whole.
  void check_wire() {
    for (ServerFrame& frame : take_server_frames(wire)) history.push_back(std::move(frame));
    Inflater inflater(deflate);
    size_t messages = 0;
    size_t pings = 0;
    size_t pongs = 0;
    int64_t last_serial = -1;
    for (size_t i = 0; i < history.size(); ++i) {
      const ServerFrame& frame = history[i];
      std::string data = frame.payload;
      if (frame.rsv1) {
        ByteBuffer out;
        ASSERT_EQ(inflater.inflate(bytes_of(frame.payload), frame.payload.size(), true, 1 << 20, out),
                  InflateResult::kOk);
        data = view_of(out.data(), out.size());
      }
      if (frame.opcode == 1) {
        const int64_t serial = std::stoll(data);
        ASSERT_GT(serial, last_serial) << "out of order";
        last_serial = serial;
        ++messages;
      } else if (frame.opcode == 10) {
        ASSERT_LT(pongs, expected_pongs.size());
        ASSERT_EQ(data, expected_pongs[pongs++]) << "a ping without its pong";
      } else if (frame.opcode == 9) {
        ++pings;
      } else {
        ASSERT_EQ(i + 1, history.size()) << "something behind the Close";
      }
    }
    ASSERT_LE(messages, conn->figures().messages_out.get());
    ASSERT_LE(conn->figures().messages_out.get(), messages + (wire.empty() ? 0 : 1) + (conn->outbox().empty() ? 0 : 1))
        << "neither left nor dropped";
    ASSERT_LE(pings, pings_given + conn->heartbeat_figures().pings_sent.get());
    if (report.find(" clean ") != std::string::npos) {
      ASSERT_TRUE(close_given);
      ASSERT_FALSE(history.empty());
      const std::string& payload = history.back().payload;
      const uint32_t code =
          payload.empty() ? 1005 : static_cast<uint8_t>(payload[0]) * 256U + static_cast<uint8_t>(payload[1]);
      ASSERT_EQ(history.back().opcode, 8);
      ASSERT_NE(report.find(" sent " + std::to_string(code) + " clean "), std::string::npos) << report;
    }
    ASSERT_EQ(report.find("no cause"), std::string::npos) << report;
    ASSERT_EQ(report.find("no initiator"), std::string::npos) << report;
  }

  void run() {
    events.when_message = [this](Connection&) {
      on_data(events.last_message);
      if (one_in(3)) act();
    };
    events.when_piece = [this](Connection&) {
      on_data({});
      if (one_in(3)) act();
    };
    events.when_pong = events.when_drain = [this](Connection&) {
      EXPECT_EQ(state(), State::kOpen);
      if (one_in(3)) act();
    };
    events.when_closed = [this](Connection& connection) {
      EXPECT_EQ(connection.send(Opcode::kText, "x", 1, events, now), Result::kClosed);
      EXPECT_EQ(connection.close(1000, {}, WSB_CAUSE_LOCAL_CLOSE, now), Result::kClosed);
      if (one_in(4)) connection.abort(WSB_CAUSE_LOCAL_CLOSE, events);
    };
    unread.clear();
    report.clear();
    begin();
    for (size_t i = 0; i < kStepsPerRun && !HasFatalFailure(); ++i) {
      step();
      check_step();
    }
    if (HasFatalFailure()) return;
    if (one_in(2) && !conn->dead()) conn->abort(WSB_CAUSE_SERVER_STOP, events);
    if (conn->dead() && conn->wants_reset()) room = 0;  // what is left is not written
    write();
    if (!conn->dead()) conn->transport_ended(events);
    check_step();
    ASSERT_TRUE(conn->dead());
    ASSERT_EQ(events.closed_count, 1u) << "exactly one end";
    ASSERT_EQ(conn->next_due(), kNever);
    check_wire();
    ++ends[report.substr(report.rfind(' ') + 1)];
  }

  std::mt19937 random;
  std::map<std::string, size_t> ends;  // cause -> how often
  std::unique_ptr<Deflater> client_deflater;
  ServerFrames history;
  std::vector<std::string> expected_pongs;
  std::string unread;  // sent by the peer, not received
  std::string report;
  size_t queued = 0;
  size_t accepted_dropped = 0;
  size_t pings_given = 0;
  size_t next_in = 0;
  size_t next_delivered = 0;
  int rank = 0;
  bool close_given = false;
  bool ended = false;
};

INSTANTIATE_TEST_SUITE_P(Seeds, ConnectionRandomTest, ::testing::Range(0U, 8U));

TEST_P(ConnectionRandomTest, KeepsItsPromises) {
  random.seed(GetParam());
  for (size_t i = 0; i < kRunsPerSeed; ++i) {
    SCOPED_TRACE("run " + std::to_string(i));
    run();
    if (HasFailure()) return;
  }
  // The operations are rich enough to end connections in many ways.
  EXPECT_GE(ends.size(), 6u) << ::testing::PrintToString(ends);
}

}  // namespace
