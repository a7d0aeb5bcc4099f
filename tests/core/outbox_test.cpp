// Outbox: the order in which frames leave, whatever the writes take; control frames that pass; positions and sizes.
#include "core/outbox.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "memory_shortage.h"
#include "outbox_reader.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class OutboxTest : public ::testing::Test {
 protected:
  BufferPool pool;
  Outbox outbox{pool};
  OutboxReader reader{outbox};
};

TEST_F(OutboxTest, IsEmptyAtFirst) {
  Span span;
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0u);
  EXPECT_EQ(outbox.gather(&span, 1), 0u);
  EXPECT_FALSE(outbox.close_begun());
  EXPECT_EQ(outbox.drop_queued(), 0u);
}

TEST_F(OutboxTest, FramesOfEveryLengthLeaveInOrder) {
  ServerFrames expected;
  size_t bytes = 0;
  for (const size_t size : std::vector<size_t>{0, 1, 125, 126, 4091, 4092, 4093, 5000, 65535, 65536, 200'000, 3}) {
    const std::string data(size, static_cast<char>('a' + size % 26));
    const bool rsv1 = size % 2 == 1;
    ASSERT_TRUE(outbox.push_frame(Opcode::kBinary, rsv1, data.data(), size));
    expected.push_back({2, data, rsv1});
    bytes += header_size(size) + size;
    EXPECT_EQ(outbox.bytes(), bytes);
  }
  EXPECT_EQ(reader.rest(), expected);
  EXPECT_TRUE(outbox.empty());
}

TEST_F(OutboxTest, SmallFramesLeaveAsOnePiece) {
  ServerFrames expected;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(push(outbox, "message " + std::to_string(i)));
    expected.push_back(text_frame("message " + std::to_string(i)));
  }
  Span spans[4];
  EXPECT_EQ(outbox.gather(spans, 4), 1u);
  EXPECT_EQ(spans[0].size, outbox.bytes());
  EXPECT_EQ(reader.rest(), expected);
}

TEST_F(OutboxTest, LargeMessagesAreSharedNotCopied) {
  const BufferRef message = shared(std::string(5000, 'x'));
  ASSERT_TRUE(outbox.push_message(BufferRef::share(message.get())));
  Span span;
  ASSERT_EQ(outbox.gather(&span, 1), 1u);
  EXPECT_EQ(span.data, message->bytes());
  EXPECT_EQ(span.size, message->size);
  EXPECT_EQ(message->references.load(), 2u);
  reader.take(4999);
  EXPECT_EQ(message->references.load(), 2u);
  EXPECT_EQ(reader.rest(), ServerFrames{binary_frame(std::string(5000, 'x'))});
  EXPECT_EQ(message->references.load(), 1u) << "let go when it has left";
}

TEST_F(OutboxTest, OneMessageInManyOutboxes) {
  const BufferRef message = shared(std::string(5000, 'x'));
  std::vector<std::unique_ptr<Outbox>> outboxes;
  for (int i = 0; i < 10; ++i) {
    outboxes.push_back(std::make_unique<Outbox>(pool));
    ASSERT_TRUE(outboxes.back()->push_message(BufferRef::share(message.get())));
  }
  EXPECT_EQ(message->references.load(), 11u);
  for (size_t i = 0; i < outboxes.size(); ++i) {
    OutboxReader each(*outboxes[i]);
    each.take(i * 500);  // each at its own pace
    if (i % 2 == 1) continue;
    EXPECT_EQ(each.rest().size(), 1u);
  }
  EXPECT_EQ(message->references.load(), 6u);
  outboxes.clear();
  EXPECT_EQ(message->references.load(), 1u);
}

TEST_F(OutboxTest, SmallSharedMessagesJoinTheirNeighbours) {
  ASSERT_TRUE(push(outbox, "one"));
  const BufferRef message = shared("two", Opcode::kText);
  ASSERT_TRUE(outbox.push_message(BufferRef::share(message.get())));
  ASSERT_TRUE(push(outbox, "three"));
  EXPECT_EQ(message->references.load(), 1u);
  Span spans[4];
  EXPECT_EQ(outbox.gather(spans, 4), 1u);
  EXPECT_EQ(reader.rest(), (ServerFrames{text_frame("one"), text_frame("two"), text_frame("three")}));
}

TEST_F(OutboxTest, AnyCutOfTheWritesGivesTheSameBytes) {
  const std::string big(5000, 'b');
  const ServerFrames expected{ping_frame("p"),   pong_frame(""),    text_frame("one"),
                              text_frame("two"), binary_frame(big), text_frame("x"),
                              binary_frame(big), text_frame(""),    close_frame(1000, "bye")};
  for (const size_t each : std::vector<size_t>{1, 2, 3, 7, 100, 4999, 5006, SIZE_MAX}) {
    for (const size_t max_spans : std::vector<size_t>{1, 2, 16}) {
      ASSERT_TRUE(push(outbox, "one") && push(outbox, "two") && push(outbox, big, Opcode::kBinary) &&
                  push(outbox, "x"));
      ASSERT_TRUE(outbox.push_message(shared(big)));
      ASSERT_TRUE(push(outbox, "") && outbox.push_close(1000, "bye"));
      ASSERT_TRUE(push_control(outbox, Opcode::kPing, "p") && push_control(outbox, Opcode::kPong, ""));
      reader.take_all(each, max_spans);
      EXPECT_TRUE(reader.frames() == expected) << each << " at a time, spans " << max_spans;
      EXPECT_EQ(reader.wire, "");
      EXPECT_TRUE(outbox.empty());
    }
  }
}

TEST_F(OutboxTest, GatherGivesAPrefixAndChangesNothing) {
  ASSERT_TRUE(push(outbox, std::string(5000, 'a')));
  ASSERT_TRUE(push(outbox, std::string(6000, 'b')));
  ASSERT_TRUE(push(outbox, std::string(7000, 'c')));
  for (int i = 0; i < 2; ++i) {
    Span spans[2];
    ASSERT_EQ(outbox.gather(spans, 2), 2u);
    EXPECT_EQ(spans[0].size, 5004u);
    EXPECT_EQ(spans[1].size, 6004u);
    EXPECT_EQ(outbox.bytes(), 5004u + 6004u + 7004u);
  }
}

// Wherever the writing stands, a control frame goes in at the next boundary of a frame.
TEST_F(OutboxTest, ControlFramesPassQueuedDataAtTheNextBoundary) {
  const std::vector<std::string> messages{"one", "", "three", std::string(5000, 'x'), "five"};
  size_t total = 0;
  for (const std::string& message : messages) total += header_size(message.size()) + message.size();
  for (size_t cut = 0; cut < total; cut += cut < 30 ? 1 : 97) {
    for (const std::string& message : messages) ASSERT_TRUE(push(outbox, message));
    ASSERT_EQ(reader.take(cut), cut);
    ASSERT_TRUE(push_control(outbox, Opcode::kPing, "first") && push_control(outbox, Opcode::kPong, "second"));
    ServerFrames expected;
    size_t begins = 0;
    bool passed = false;
    for (const std::string& message : messages) {
      if (begins >= cut && !passed) {
        expected.insert(expected.end(), {ping_frame("first"), pong_frame("second")});
        passed = true;
      }
      expected.push_back(text_frame(message));
      begins += header_size(message.size()) + message.size();
    }
    if (!passed) expected.insert(expected.end(), {ping_frame("first"), pong_frame("second")});
    EXPECT_TRUE(reader.rest() == expected) << "after " << cut << " bytes";
    EXPECT_TRUE(outbox.empty());
  }
}

TEST_F(OutboxTest, NothingBreaksIntoAControlFrame) {
  ASSERT_TRUE(push_control(outbox, Opcode::kPing, "first"));
  ASSERT_EQ(reader.take(3), 3u);
  ASSERT_TRUE(push(outbox, "data") && push_control(outbox, Opcode::kPing, "second"));
  EXPECT_EQ(reader.rest(), (ServerFrames{ping_frame("first"), ping_frame("second"), text_frame("data")}));
}

TEST_F(OutboxTest, NothingPassesRawBytes) {
  const std::string answer = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
  ASSERT_TRUE(outbox.push_raw(answer.data(), answer.size()));
  ASSERT_TRUE(push(outbox, "data") && push_control(outbox, Opcode::kPing, "p"));
  EXPECT_EQ(outbox.bytes(), answer.size() + 6 + 3);
  ASSERT_EQ(reader.take(10), 10u);
  ASSERT_TRUE(push_control(outbox, Opcode::kPing, "q"));
  reader.take_all();
  ASSERT_EQ(reader.wire.substr(0, answer.size()), answer);
  reader.wire.erase(0, answer.size());
  EXPECT_EQ(reader.frames(), (ServerFrames{ping_frame("p"), ping_frame("q"), text_frame("data")}));
}

TEST_F(OutboxTest, CloseGoesBehindAllData) {
  ASSERT_TRUE(push(outbox, "data") && outbox.push_close(1001, "leaving"));
  ASSERT_TRUE(push_control(outbox, Opcode::kPong, "p"));
  EXPECT_EQ(reader.rest(), (ServerFrames{pong_frame("p"), text_frame("data"), close_frame(1001, "leaving")}));
}

TEST_F(OutboxTest, CloseMayBeWithoutCodeAndAsLongAsCanBe) {
  for (const uint32_t none : {0U, 1005U}) {
    ASSERT_TRUE(outbox.push_close(none, {}));
    EXPECT_EQ(reader.rest(), ServerFrames{close_frame(1005)});
  }
  const std::string reason(123, 'r');
  ASSERT_TRUE(outbox.push_close(4999, reason));
  EXPECT_EQ(outbox.bytes(), 127u);
  EXPECT_EQ(reader.rest(), ServerFrames{close_frame(4999, reason)});
}

TEST_F(OutboxTest, TellsWhetherTheCloseHasBegunToLeave) {
  ASSERT_TRUE(push(outbox, "data") && outbox.push_close(1000, "bye"));
  EXPECT_FALSE(outbox.close_begun());
  reader.take(3);
  EXPECT_FALSE(outbox.close_begun()) << "another frame is being written";
  reader.take(3);
  EXPECT_FALSE(outbox.close_begun()) << "right before it";
  reader.take(1);
  EXPECT_TRUE(outbox.close_begun());
  reader.take(5);
  EXPECT_TRUE(outbox.close_begun());
  reader.take(1);
  EXPECT_FALSE(outbox.close_begun()) << "it has left";
  EXPECT_TRUE(outbox.empty());
}

TEST_F(OutboxTest, PositionsTellWhenAControlFrameHasLeft) {
  EXPECT_EQ(outbox.control_queued_position(), 0u);
  ASSERT_TRUE(push(outbox, "data") && push_control(outbox, Opcode::kPing, "1234"));
  const uint64_t first = outbox.control_queued_position();
  ASSERT_TRUE(push_control(outbox, Opcode::kPing, "5678"));
  const uint64_t second = outbox.control_queued_position();
  EXPECT_EQ(first, 6u);
  EXPECT_EQ(second, 12u);
  EXPECT_EQ(outbox.control_sent_position(), 0u);
  reader.take(5);
  EXPECT_LT(outbox.control_sent_position(), first);
  reader.take(1);
  EXPECT_EQ(outbox.control_sent_position(), first);
  reader.take(6);
  EXPECT_EQ(outbox.control_sent_position(), second);
  reader.take_all();
  EXPECT_EQ(outbox.control_sent_position(), second) << "data does not count";
  ASSERT_TRUE(push_control(outbox, Opcode::kPing, ""));
  EXPECT_EQ(outbox.control_queued_position(), second + 2) << "positions go on";
}

TEST_F(OutboxTest, CountsDataAndControlBytes) {
  ASSERT_TRUE(push(outbox, "data") && push_control(outbox, Opcode::kPing, "p"));
  EXPECT_EQ(outbox.bytes(), 9u);
  EXPECT_EQ(outbox.control_bytes(), 3u);
  EXPECT_FALSE(outbox.empty());
  reader.take(2);
  EXPECT_EQ(outbox.bytes(), 7u);
  EXPECT_EQ(outbox.control_bytes(), 1u);
  reader.take(2);
  EXPECT_EQ(outbox.bytes(), 5u);
  EXPECT_EQ(outbox.control_bytes(), 0u);
}

// ---------------------------------------------------------------------------------------------------------- memory

TEST_F(OutboxTest, WhatDoesNotFitIntoMemoryIsNotQueued) {
  if (!kCanPlayShortage) GTEST_SKIP() << "not with this sanitizer";
  const std::string big(64 << 20, 'x');
  ASSERT_TRUE(push(outbox, "before"));
  const size_t bytes = outbox.bytes();
  bool taken = true;
  {
    const MemoryShortage shortage(1 << 20);
    ASSERT_TRUE(shortage.works());
    taken = push(outbox, big);
  }
  EXPECT_FALSE(taken);
  EXPECT_EQ(outbox.bytes(), bytes);
  ASSERT_TRUE(push(outbox, "after"));
  EXPECT_EQ(reader.rest(), (ServerFrames{text_frame("before"), text_frame("after")}));
}

// A peer that reads its pongs as slowly as it pings never lets the queue run empty.
TEST_F(OutboxTest, AControlQueueThatNeverRunsEmptyDoesNotGrow) {
  if (!kCanPlayShortage) GTEST_SKIP() << "not with this sanitizer";
  const std::string payload(125, 'p');
  ASSERT_TRUE(push_control(outbox, Opcode::kPong, payload));
  size_t queued = 0;
  {
    const MemoryShortage shortage(4 << 20);
    ASSERT_TRUE(shortage.works());
    while (queued < (32 << 20) && push_control(outbox, Opcode::kPong, payload)) {
      queued += payload.size() + 2;
      outbox.consume(payload.size() + 2);
    }
  }
  EXPECT_GE(queued, 32u << 20) << "ran out of memory";
  EXPECT_EQ(outbox.bytes(), payload.size() + 2);
  EXPECT_EQ(reader.rest(), ServerFrames{pong_frame(payload)});
}

TEST_F(OutboxTest, ADataQueueThatNeverRunsEmptyDoesNotGrow) {
  if (!kCanPlayShortage) GTEST_SKIP() << "not with this sanitizer";
  const BufferRef message = shared(std::string(600, 'x'));
  ASSERT_TRUE(outbox.push_message(BufferRef::share(message.get())));
  size_t queued = 0;
  {
    const MemoryShortage shortage(4 << 20);
    ASSERT_TRUE(shortage.works());
    for (; queued < 500'000 && outbox.push_message(BufferRef::share(message.get())); ++queued) {
      outbox.consume(message->size);
    }
  }
  EXPECT_EQ(queued, 500'000u) << "ran out of memory";
  EXPECT_EQ(reader.rest().size(), 1u);
}

}  // namespace
