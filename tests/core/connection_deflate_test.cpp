// permessage-deflate through a connection: what is compressed, whether a client with a window of its own can read all of
// it, and what comes in.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "connection_fixture.h"
#include "core/deflate.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class ConnectionDeflateTest : public ConnectionTest {
 protected:
  ConnectionDeflateTest() {
    deflate.agreed = true;
    config.deflate_threshold_bytes = 100;
  }

  void open_client() {
    open();
    inflater = std::make_unique<Inflater>(deflate);
    deflater = std::make_unique<Deflater>(deflate, 6, 8);
  }
  // The payload as the client's application sees it.
  std::string inflated(const ServerFrame& frame) {
    if (!frame.rsv1) return frame.payload;
    ByteBuffer out;
    EXPECT_EQ(inflater->inflate(bytes_of(frame.payload), frame.payload.size(), true, 1 << 24, out), InflateResult::kOk);
    return out.empty() ? std::string() : std::string(view_of(out.data(), out.size()));
  }
  std::vector<std::string> received() {
    std::vector<std::string> messages;
    for (const ServerFrame& frame : sent()) messages.push_back(inflated(frame));
    return messages;
  }
  std::string deflated(std::string_view data) {
    ByteBuffer out;
    EXPECT_TRUE(deflater->deflate(bytes_of(data), data.size(), out));
    return std::string(view_of(out.data(), out.size()));
  }
  static std::string noise(size_t n) {
    std::mt19937 random(static_cast<uint32_t>(n));
    std::string out(n, '\0');
    for (char& byte : out) byte = static_cast<char>(random());
    return out;
  }

  std::unique_ptr<Inflater> inflater;
  std::unique_ptr<Deflater> deflater;
};

using Strings = std::vector<std::string>;

// ---------------------------------------------------------------------------------------------------------------- out

TEST_F(ConnectionDeflateTest, MessagesFromTheThresholdOnAreCompressed) {
  open_client();
  const std::string below(99, 'x');
  const std::string at(100, 'x');
  for (const std::string& message : {std::string(), below, at}) {
    send(message);
    conn->send_message(BufferRef(Buffer::create_message(Opcode::kText, message.data(), message.size())).get(), events,
                       now);
    conn->send_accepted(BufferRef(Buffer::create_message(Opcode::kText, message.data(), message.size())), events, now);
    const ServerFrames frames = sent();
    ASSERT_EQ(frames.size(), 3u);
    for (const ServerFrame& frame : frames) {
      EXPECT_EQ(frame.opcode, 1);
      EXPECT_EQ(frame.rsv1, message.size() >= 100);
      EXPECT_EQ(inflated(frame), message);
    }
  }
}

TEST_F(ConnectionDeflateTest, NothingIsCompressedUnlessAgreed) {
  deflate.agreed = false;
  open();
  EXPECT_EQ(conn->deflate(), nullptr);
  send(std::string(1000, 'x'));
  EXPECT_EQ(sent(), ServerFrames{text_frame(std::string(1000, 'x'))});
}

TEST_F(ConnectionDeflateTest, TheWindowIsKeptFromMessageToMessage) {
  open_client();
  const std::string message = noise(1000);
  std::vector<size_t> sizes;
  for (int i = 0; i < 3; ++i) {
    send(message, Opcode::kBinary);
    const ServerFrames frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    sizes.push_back(frames[0].payload.size());
    EXPECT_EQ(inflated(frames[0]), message);
  }
  EXPECT_GE(sizes[0], 1000u);
  EXPECT_LT(sizes[1], 50u);
  EXPECT_LT(sizes[2], 50u);
}

TEST_F(ConnectionDeflateTest, WithoutContextTakeoverEachMessageStandsAlone) {
  deflate.server_no_context_takeover = true;
  open_client();
  const std::string message = noise(1000);
  for (int i = 0; i < 3; ++i) {
    send(message, Opcode::kBinary);
    const ServerFrames frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_GE(frames[0].payload.size(), 1000u);
    inflater = std::make_unique<Inflater>(deflate);
    EXPECT_EQ(inflated(frames[0]), message);
  }
}

TEST_F(ConnectionDeflateTest, SharedMessagesAreCompressedForEachConnection) {
  open_client();
  const BufferRef message(Buffer::create_message(Opcode::kText, std::string(5000, 'x').data(), 5000));
  EXPECT_EQ(conn->send_message(message.get(), events, now), Result::kOk);
  EXPECT_EQ(message->references.load(), 1u) << "the queue holds the compressed one";
  EXPECT_LT(conn->queued_bytes(), 100u);
  EXPECT_EQ(received(), Strings{std::string(5000, 'x')});
  EXPECT_EQ(view_of(message->payload(), message->payload_size()), std::string(5000, 'x'));
}

TEST_F(ConnectionDeflateTest, TheQueueIsAskedForRoomAsIfNothingShrank) {
  config.max_queue_bytes = 1000;
  open_client();
  EXPECT_EQ(send(std::string(1001, 'x')), Result::kTooBig);
  EXPECT_EQ(send(std::string(1000, 'x')), Result::kOk);
  EXPECT_LT(conn->queued_bytes(), 50u);
  EXPECT_EQ(send(std::string(990, 'x')), Result::kFull);
  EXPECT_EQ(send(std::string(900, 'x')), Result::kOk);
  EXPECT_EQ(received().size(), 2u);
  EXPECT_EQ(log(), Log{"drain"});
}

TEST_F(ConnectionDeflateTest, ARefusedMessageLeavesNoTraceInTheWindow) {
  config.max_queue_bytes = 2000;
  open_client();
  const std::string message = noise(1500);
  room = 0;
  EXPECT_EQ(send(noise(900), Opcode::kBinary), Result::kOk);
  EXPECT_EQ(send(message, Opcode::kBinary), Result::kFull);
  room = SIZE_MAX;
  EXPECT_EQ(received(), Strings{noise(900)});
  EXPECT_EQ(send(message, Opcode::kBinary), Result::kOk);
  EXPECT_EQ(received(), Strings{message});
}

// What is dropped must not be missed by the client when it inflates what comes after.
TEST_F(ConnectionDeflateTest, DropOldestLeavesEveryOtherMessageReadable) {
  config.slow_consumer = WSB_SLOW_DROP_OLDEST;
  config.max_queue_bytes = 4000;
  open_client();
  const std::string common = noise(600);
  Strings all;
  Strings got;
  for (int i = 0; i < 200; ++i) {
    room = static_cast<size_t>(i % 7) * 90;
    all.push_back(common + std::to_string(i));
    ASSERT_EQ(send(all.back(), Opcode::kBinary), Result::kOk);
    for (std::string& message : received()) got.push_back(std::move(message));
  }
  room = SIZE_MAX;
  for (std::string& message : received()) got.push_back(std::move(message));
  EXPECT_GT(events.dropped_count, 0u);
  ASSERT_EQ(got.size() + events.dropped_count, all.size());
  size_t at = 0;
  for (const std::string& message : got) {
    while (at < all.size() && all[at] != message) ++at;
    ASSERT_LT(at++, all.size()) << "not one of those that were sent, in order";
  }
}

TEST_F(ConnectionDeflateTest, MessagesDroppedByACloseDoNoHarm) {
  open_client();
  room = 10;
  send(noise(1000), Opcode::kBinary);
  send(noise(1000), Opcode::kBinary);
  turn();
  receive_close(1000);
  room = SIZE_MAX;
  const ServerFrames frames = sent();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(inflated(frames[0]), noise(1000));
  EXPECT_EQ(frames[1], close_frame(1000));
}

// ----------------------------------------------------------------------------------------------------------------- in

TEST_F(ConnectionDeflateTest, CompressedMessagesComeIn) {
  open_client();
  for (int i = 0; i < 3; ++i) {
    receive(client_frame(kFin | kRsv1 | 1, deflated("the same words again")));
    receive_text("plain");
  }
  EXPECT_EQ(log(), (Log{"text the same words again", "text plain", "text the same words again", "text plain",
                        "text the same words again", "text plain"}));
}

TEST_F(ConnectionDeflateTest, StreamedWithPausesInTheMiddleOfInflation) {
  config.streaming = true;
  config.limits.max_message_bytes = 1 << 20;
  open_client();
  events.when_piece = [](Connection& connection) { connection.pause(); };
  const std::string big(300'000, 'x');
  receive(client_frame(kFin | kRsv1 | 2, deflated(big)) + client_frame(kFin | kRsv1 | 1, deflated("end")));
  size_t pieces = 0;
  for (Log lines = log(); !lines.empty(); lines = log()) {
    ASSERT_EQ(lines.size(), 1u) << "nothing after a pause";
    ++pieces;
    conn->resume();
    turn();
    if (lines[0] == "last text @0 end") break;
  }
  EXPECT_GE(pieces, 300'000u / 65'536 + 1);
  EXPECT_EQ(conn->figures().messages_in.get(), 2u);
  EXPECT_FALSE(conn->has_pending_input());
}

TEST_F(ConnectionDeflateTest, WhatCannotBeInflated) {
  config.limits.max_message_bytes = 1000;
  open_client();
  receive(client_frame(kFin | kRsv1 | 2, "\x06"));
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1007 unclean local protocol_error)"});
  expect_fin_and_end();
  open_client();
  receive(client_frame(kFin | kRsv1 | 2, deflated(std::string(1001, 'x'))));
  log();
  EXPECT_EQ(sent(), ServerFrames{close_frame(1009, "message too big")});
  expect_fin_and_end();
  open_client();
  receive(client_frame(kFin | kRsv1 | 1, deflated("not text \xff")));
  EXPECT_EQ(log(), Log{R"(closed 1006 "" sent 1007 unclean local invalid_text)"});
}

// Deflate makes such messages longer than the limit on the wire, which is no fault of the peer's.
TEST_F(ConnectionDeflateTest, IncompressibleMessagesUpToTheLimit) {
  for (const size_t limit : std::vector<size_t>{1, 100, 1000, 16'384, 300'000}) {
    config.limits.max_message_bytes = limit;
    const std::string data = noise(limit);
    for (const uint8_t mem_level : {uint8_t{1}, uint8_t{8}, uint8_t{9}}) {
      for (const uint8_t level : {uint8_t{1}, uint8_t{6}, uint8_t{9}}) {
        open_client();
        deflater = std::make_unique<Deflater>(deflate, level, mem_level);
        const std::string payload = deflated(data);
        ASSERT_GT(payload.size(), limit);
        receive(client_frame(kFin | kRsv1 | 2, payload));
        ASSERT_EQ(log().size(), 1u);
        ASSERT_TRUE(events.last_message == data) << limit;
        ASSERT_EQ(state(), State::kOpen);
      }
    }
  }
}

}  // namespace
