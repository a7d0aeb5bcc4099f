// A delivered message sent on without a copy: which can be, and that what follows on the connection does not touch it.
#include "connection_fixture.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

// The recorder of the fixture keeps no pointers, so these tests look for themselves.
struct Sharer final : ConnectionEvents {
  void on_message(Connection& connection, bool, const uint8_t* data, size_t n) override {
    shared.push_back(connection.share_message(opcode, data + skip, n - skip));
    if (!shared.back() && twice) shared.back() = connection.share_message(opcode, data, n);
    if (twice) again = connection.share_message(other, data, n);
  }
  void on_fragment(Connection&, const EventData&) override {}
  void on_pong(Connection&, const uint8_t*, size_t, bool, uint32_t) override {}
  void on_drain(Connection&) override {}
  void on_closed(Connection&, const CloseInfo&) override {}
  void on_dropped(Connection&, size_t) override {}
  Unread unread(Connection&) override { return Unread::kNothing; }

  Opcode opcode = Opcode::kBinary;
  Opcode other = Opcode::kText;
  size_t skip = 0;
  bool twice = false;
  std::vector<BufferRef> shared;
  BufferRef again;
};

std::string content(const BufferRef& message) {
  return std::string(view_of(message->payload(), message->payload_size()));
}

void receive_in(Connection& conn, std::string frame, size_t part, ConnectionEvents& events, TimeUs now) {
  for (size_t at = 0; at < frame.size(); at += part) {
    conn.receive(bytes_of(frame) + at, std::min(part, frame.size() - at), now, events);
  }
}

TEST_F(ConnectionTest, ALargeMessageIsSentOnWithoutACopy) {
  open();
  Sharer sharer;
  for (const size_t size : {size_t{5000}, size_t{70000}, size_t{1} << 20}) {
    SCOPED_TRACE(size);
    const std::string payload(size, 'p');
    receive_in(*conn, client_frame(kFin | 2, payload), 3000, sharer, now);
    ASSERT_TRUE(sharer.shared.back());
    EXPECT_EQ(sharer.shared.back()->size, size + header_size(size));
    // Another message of the same size comes before the first has left.
    receive_in(*conn, client_frame(kFin | 2, std::string(size, 'q')), 3000, sharer, now);
    EXPECT_EQ(content(sharer.shared[sharer.shared.size() - 2]), payload);
    ASSERT_EQ(conn->send_message(sharer.shared[sharer.shared.size() - 2].get(), events, now), Result::kOk);
    const ServerFrames frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_TRUE(frames[0].payload == payload);
  }
}

TEST_F(ConnectionTest, WhatIsSharedIsTheWholeMessageInOneKindOnly) {
  open();
  const std::string frame = client_frame(kFin | 2, std::string(9000, 'p'));
  Sharer part;
  part.skip = 1;
  receive_in(*conn, frame, 3000, part, now);
  EXPECT_FALSE(part.shared.back()) << "a part of it";
  Sharer kinds;
  kinds.twice = true;
  receive_in(*conn, frame, 3000, kinds, now);
  EXPECT_TRUE(kinds.shared.back());
  EXPECT_FALSE(kinds.again) << "its header says binary";
  Sharer whole;
  receive_in(*conn, frame, frame.size(), whole, now);
  EXPECT_FALSE(whole.shared.back()) << "it lies in the caller's memory";
  Sharer small;
  receive_in(*conn, client_frame(kFin | 2, std::string(100, 's')), 20, small, now);
  EXPECT_FALSE(small.shared.back()) << "its memory is used again";
}

}  // namespace
