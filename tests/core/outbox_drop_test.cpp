// Outbox: what may be dropped and what may not; and a long run of everything at random.
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>
#include <vector>

#include "core/outbox.h"
#include "outbox_reader.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

class OutboxDropTest : public ::testing::TestWithParam<bool> {
 protected:
  OutboxDropTest() { outbox.set_keep_apart(GetParam()); }

  BufferPool pool;
  Outbox outbox{pool};
  OutboxReader reader{outbox};
};

INSTANTIATE_TEST_SUITE_P(Kept, OutboxDropTest, ::testing::Values(false, true),
                         [](const auto& keep_apart) { return keep_apart.param ? "Apart" : "Together"; });

TEST_P(OutboxDropTest, DropsAllThatHasNotBegun) {
  ASSERT_TRUE(push(outbox, "one") && push(outbox, "two") && outbox.push_message(shared(std::string(5000, 'x'))));
  EXPECT_EQ(outbox.drop_queued(), 3u);
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.drop_queued(), 0u);
  ASSERT_TRUE(push(outbox, "after"));
  EXPECT_EQ(reader.rest(), ServerFrames{text_frame("after")});
}

// Wherever the writing stands, the frame that has begun is finished and nothing else is.
TEST_P(OutboxDropTest, FinishesTheFrameThatHasBegun) {
  const std::vector<std::string> messages{"one", "", "three", std::string(5000, 'x'), "five"};
  size_t total = 0;
  for (const std::string& message : messages) total += header_size(message.size()) + message.size();
  for (size_t cut = 0; cut < total; cut += cut < 30 ? 1 : 97) {
    for (const std::string& message : messages) ASSERT_TRUE(push(outbox, message));
    ASSERT_EQ(reader.take(cut), cut);
    ServerFrames expected;
    size_t end = 0;
    for (const std::string& message : messages) {
      if (end >= cut) break;
      expected.push_back(text_frame(message));
      end += header_size(message.size()) + message.size();
    }
    EXPECT_EQ(outbox.drop_queued(), messages.size() - expected.size()) << "after " << cut << " bytes";
    EXPECT_EQ(outbox.bytes(), end - cut);
    ASSERT_TRUE(push(outbox, "after"));
    expected.push_back(text_frame("after"));
    EXPECT_TRUE(reader.rest() == expected) << "after " << cut << " bytes";
  }
}

TEST_P(OutboxDropTest, ControlFramesStay) {
  ASSERT_TRUE(push(outbox, "data") && push_control(outbox, Opcode::kPong, "p"));
  EXPECT_EQ(outbox.drop_queued(), 1u);
  EXPECT_EQ(outbox.bytes(), 3u);
  ASSERT_TRUE(outbox.push_close(1000, {}));
  EXPECT_EQ(reader.rest(), (ServerFrames{pong_frame("p"), close_frame(1000)}));
}

TEST_P(OutboxDropTest, ACloseThatHasNotBegunGoesUncounted) {
  ASSERT_TRUE(push(outbox, "data") && outbox.push_close(1000, "bye"));
  EXPECT_EQ(outbox.drop_queued(), 1u);
  EXPECT_TRUE(outbox.empty());
}

TEST_P(OutboxDropTest, ACloseThatHasBegunIsFinished) {
  ASSERT_TRUE(outbox.push_close(1000, "bye"));
  reader.take(1);
  EXPECT_EQ(outbox.drop_queued(), 0u);
  EXPECT_TRUE(outbox.close_begun());
  EXPECT_EQ(reader.rest(), ServerFrames{close_frame(1000, "bye")});
}

TEST_P(OutboxDropTest, RawBytesStay) {
  ASSERT_TRUE(outbox.push_raw("answer", 6) && push(outbox, "data"));
  EXPECT_EQ(outbox.drop_queued(), 1u);
  EXPECT_EQ(outbox.bytes(), 6u);
  reader.take_all();
  EXPECT_EQ(reader.wire, "answer");
}

TEST_P(OutboxDropTest, SharedMessagesAreLetGo) {
  const BufferRef message = shared(std::string(5000, 'x'));
  ASSERT_TRUE(outbox.push_message(BufferRef::share(message.get())));
  ASSERT_TRUE(outbox.push_message(BufferRef::share(message.get())));
  reader.take(10);
  EXPECT_EQ(outbox.drop_queued(), 1u);
  EXPECT_EQ(message->references.load(), 2u);
  reader.take_all();
  EXPECT_EQ(message->references.load(), 1u);
}

class OutboxOldestTest : public ::testing::Test {
 protected:
  OutboxOldestTest() { outbox.set_keep_apart(true); }
  void push_letters(std::string_view letters) {
    for (const char letter : letters) ASSERT_TRUE(push(outbox, std::string(98, letter)));  // 100 bytes each
  }
  static ServerFrames letters(std::string_view letters) {
    ServerFrames frames;
    for (const char letter : letters) frames.push_back(text_frame(std::string(98, letter)));
    return frames;
  }

  BufferPool pool;
  Outbox outbox{pool};
  OutboxReader reader{outbox};
};

TEST_F(OutboxOldestTest, DropsNoMoreThanNeeded) {
  push_letters("abcde");
  EXPECT_EQ(outbox.drop_oldest(100, 600), 0u);
  EXPECT_EQ(outbox.drop_oldest(101, 600), 1u);
  EXPECT_EQ(outbox.bytes(), 400u);
  EXPECT_EQ(outbox.drop_oldest(150, 400), 2u);
  EXPECT_EQ(reader.rest(), letters("de"));
}

TEST_F(OutboxOldestTest, DropsAllIfItMust) {
  push_letters("abc");
  EXPECT_EQ(outbox.drop_oldest(500, 500), 3u);
  EXPECT_TRUE(outbox.empty());
  push_letters("d");
  EXPECT_EQ(reader.rest(), letters("d"));
}

TEST_F(OutboxOldestTest, NeverDropsAFrameThatHasBegun) {
  for (const size_t begun : {size_t{1}, size_t{2}, size_t{99}}) {
    push_letters("abc");
    reader.take(begun);
    EXPECT_EQ(outbox.drop_oldest(1000, 300), 2u);
    EXPECT_EQ(outbox.bytes(), 100 - begun);
    push_letters("d");
    EXPECT_EQ(reader.rest(), letters("ad"));
  }
}

TEST_F(OutboxOldestTest, WhatHasLeftIsGoneAlready) {
  push_letters("abcd");
  reader.take(200);
  EXPECT_EQ(outbox.drop_oldest(200, 300), 1u);
  EXPECT_EQ(reader.rest(), letters("abd"));
}

TEST_F(OutboxOldestTest, ControlFramesCountButStay) {
  push_letters("ab");
  ASSERT_TRUE(push_control(outbox, Opcode::kPing, std::string(48, 'p')));
  EXPECT_EQ(outbox.drop_oldest(100, 350), 0u);
  EXPECT_EQ(outbox.drop_oldest(101, 350), 1u);
  EXPECT_EQ(outbox.drop_oldest(1000, 350), 1u);
  EXPECT_EQ(reader.rest(), ServerFrames{ping_frame(std::string(48, 'p'))});
}

TEST_F(OutboxOldestTest, RawBytesAndSharedMessages) {
  const BufferRef message = shared(std::string(1000, 'x'));
  ASSERT_TRUE(outbox.push_raw("answer", 6));
  ASSERT_TRUE(outbox.push_message(BufferRef::share(message.get())));
  push_letters("a");
  EXPECT_EQ(outbox.drop_oldest(100, 300), 1u);
  EXPECT_EQ(message->references.load(), 1u);
  reader.take_all();
  EXPECT_EQ(reader.wire.substr(0, 6), "answer");
  reader.wire.erase(0, 6);
  EXPECT_EQ(reader.frames(), letters("a"));
}

// What was pushed and not dropped leaves whole, in order, with control frames between frames only; sizes agree at
// every step.
class OutboxRandomTest : public ::testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, OutboxRandomTest, ::testing::Range(0U, 12U));

TEST_P(OutboxRandomTest, AgreesWithALineOfFrames) {
  std::mt19937 random(GetParam());
  const bool keep_apart = GetParam() % 2 == 1;
  BufferPool pool;
  Outbox outbox(pool);
  outbox.set_keep_apart(keep_apart);
  OutboxReader reader(outbox);
  struct Waiting {
    ServerFrame frame;
    size_t left;
    bool begun;
  };
  std::deque<Waiting> data;
  std::deque<Waiting> control;
  ServerFrames expected;
  const auto size_of = [](const ServerFrame& frame) {
    return header_size(frame.payload.size()) + frame.payload.size();
  };
  // The frame that the next byte belongs to.
  const auto next = [&]() -> std::deque<Waiting>& {
    if (!data.empty() && data.front().begun) return data;
    return control.empty() ? data : control;
  };

  for (int step = 0; step < 4000; ++step) {
    const std::string payload(random() % 4 == 0 ? random() % 9000 : random() % 100, static_cast<char>('a' + step % 26));
    switch (random() % 16) {
      case 0:
      case 1:
      case 2:
        ASSERT_TRUE(push(outbox, payload));
        data.push_back({text_frame(payload), size_of(text_frame(payload)), false});
        break;
      case 3:
      case 4:
        ASSERT_TRUE(outbox.push_message(shared(payload)));
        data.push_back({binary_frame(payload), size_of(binary_frame(payload)), false});
        break;
      case 5:
      case 6: {
        const ServerFrame frame = pong_frame(payload.substr(0, 125));
        ASSERT_TRUE(push_control(outbox, Opcode::kPong, frame.payload));
        control.push_back({frame, size_of(frame), false});
        break;
      }
      case 7:
        if (random() % 8 == 0) {
          const size_t begun = !data.empty() && data.front().begun ? 1 : 0;
          ASSERT_EQ(outbox.drop_queued(), data.size() - begun);
          data.resize(begun);
        } else if (keep_apart) {
          const size_t needed = random() % 5000;
          const size_t limit = random() % 20'000;
          size_t dropped = 0;
          const auto first = [&] { return data.begin() + (!data.empty() && data.front().begun ? 1 : 0); };
          for (size_t bytes = outbox.bytes(); bytes + needed > limit && first() != data.end(); ++dropped) {
            bytes -= first()->left;
            data.erase(first());
          }
          ASSERT_EQ(outbox.drop_oldest(needed, limit), dropped);
        }
        break;
      default: {
        size_t taken = reader.take(random() % 3 == 0 ? random() % 20'000 : random() % 40, 1 + random() % 16);
        while (taken != 0) {
          std::deque<Waiting>& line = next();
          ASSERT_FALSE(line.empty());
          Waiting& front = line.front();
          front.begun = true;
          const size_t part = std::min(taken, front.left);
          front.left -= part;
          taken -= part;
          if (front.left != 0) continue;
          expected.push_back(front.frame);
          line.pop_front();
        }
        break;
      }
    }
    size_t data_bytes = 0;
    size_t control_bytes = 0;
    for (const Waiting& waiting : data) data_bytes += waiting.left;
    for (const Waiting& waiting : control) control_bytes += waiting.left;
    ASSERT_EQ(outbox.control_bytes(), control_bytes);
    ASSERT_EQ(outbox.bytes(), data_bytes + control_bytes);
    ASSERT_EQ(outbox.control_queued_position() - outbox.control_sent_position(), control_bytes);
  }
  ASSERT_TRUE(reader.frames() == expected);
}

}  // namespace
