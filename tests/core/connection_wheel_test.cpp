// Connections on a timer wheel, as a worker runs them.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "connection_fixture.h"
#include "core/wheel.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

// 60 connections that are muted at some moment die at most a tick after their time, and none of 60 others does.
TEST_F(ConnectionTest, HeartbeatsOnAWheel) {
  config.heartbeat = {1000, 400, false};
  struct Peer : WheelNode {
    std::unique_ptr<Connection> conn;
    RecordingEvents events;
    std::string wire;
    TimeUs muted_at = kNever;
    TimeUs ping_left_at = 0;
    TimeUs dead_at = kNever;
  };
  Wheel wheel(now);
  std::vector<Peer> peers(120);
  const TimeUs begin = now;
  const auto write_out = [&](Peer& peer) {
    Span span;
    while (peer.conn->outbox().gather(&span, 1) != 0) {
      peer.wire.append(view_of(span.data, span.size));
      peer.conn->wrote(span.size, now, 0, peer.events);
    }
  };
  for (size_t i = 0; i < peers.size(); ++i) {
    Peer& peer = peers[i];
    if (i % 2 == 0) peer.muted_at = begin + from_ms(i * 37 % 3000);
    peer.conn = std::make_unique<Connection>(config, pool, now);
    ASSERT_TRUE(peer.conn->open(kAnswer, deflate, false, static_cast<uint16_t>(i * 40503), now));
    write_out(peer);
    peer.wire.clear();
    wheel.schedule(peer, peer.conn->next_due());
  }
  while (wheel.next_due() < begin + from_ms(8000)) {
    now = wheel.next_due();
    wheel.advance(now, [&](WheelNode& node) {
      auto& peer = static_cast<Peer&>(node);
      peer.conn->on_time(now, 0, peer.events);
      write_out(peer);
      if (peer.conn->dead()) {
        peer.dead_at = now;
        return;
      }
      for (const ServerFrame& frame : take_server_frames(peer.wire)) {
        peer.ping_left_at = now;
        if (now >= peer.muted_at) continue;
        std::string answer = client_frame(kFin | 10, frame.payload);
        peer.conn->receive(bytes_of(answer), answer.size(), now, peer.events);
      }
      ASSERT_GT(peer.conn->next_due(), now);
      wheel.schedule(peer, peer.conn->next_due());
    });
  }
  for (const Peer& peer : peers) {
    EXPECT_EQ(peer.events.closed_count, peer.muted_at == kNever ? 0u : 1u);
    if (peer.muted_at == kNever) continue;
    EXPECT_GE(peer.dead_at, peer.ping_left_at + from_ms(400));
    EXPECT_LT(peer.dead_at, peer.ping_left_at + from_ms(400) + Wheel::kTickUs);
    EXPECT_GE(peer.dead_at, peer.muted_at + from_ms(400));
    EXPECT_LT(peer.dead_at, peer.muted_at + from_ms(1400) + 2 * Wheel::kTickUs);
  }
}

}  // namespace
