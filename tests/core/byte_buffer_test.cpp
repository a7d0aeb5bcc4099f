// ByteBuffer: growth, its bounds, moves, and what happens without memory.
#include "core/byte_buffer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "client_frames.h"
#include "memory_shortage.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

std::string content(const ByteBuffer& buffer) {
  return buffer.empty() ? std::string() : std::string(view_of(buffer.data(), buffer.size()));
}

ByteBuffer filled(std::string_view text) {
  ByteBuffer buffer;
  EXPECT_TRUE(buffer.append(text.data(), text.size()));
  return buffer;
}

TEST(ByteBuffer, HasNoMemoryAtFirst) {
  const ByteBuffer buffer;
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.capacity(), 0u);
  EXPECT_TRUE(buffer.empty());
}

TEST(ByteBuffer, ReserveGivesExactlyWhatIsAskedAndNeverLess) {
  ByteBuffer buffer = filled("text");
  ASSERT_TRUE(buffer.reserve(1000));
  EXPECT_EQ(buffer.capacity(), 1000u);
  ASSERT_TRUE(buffer.reserve(10));
  EXPECT_EQ(buffer.capacity(), 1000u);
  EXPECT_EQ(content(buffer), "text");
}

TEST(ByteBuffer, GrowsByDoubling) {
  ByteBuffer buffer;
  size_t growths = 0;
  size_t capacity = 0;
  std::string expected;
  for (int i = 0; i < 100'000; ++i) {
    const char byte = static_cast<char>(i);
    ASSERT_TRUE(buffer.append(&byte, 1));
    expected += byte;
    if (buffer.capacity() != capacity) ++growths;
    capacity = buffer.capacity();
  }
  EXPECT_TRUE(content(buffer) == expected);
  EXPECT_LE(growths, 12u);
}

TEST(ByteBuffer, DoesNotDoubleBeyondTheGivenCapacityUnlessTheBytesNeedIt) {
  ByteBuffer buffer;
  ASSERT_TRUE(buffer.reserve(1000));
  buffer.set_size(1000);
  ASSERT_TRUE(buffer.make_room(1, 1500));
  EXPECT_EQ(buffer.capacity(), 1500u);
  ASSERT_TRUE(buffer.make_room(700, 1500));
  EXPECT_EQ(buffer.capacity(), 1700u);
  ASSERT_TRUE(buffer.make_room(700, 1500));
  EXPECT_EQ(buffer.capacity(), 1700u) << "there is room already";
}

TEST(ByteBuffer, SizesThatCannotBeAreRefused) {
  ByteBuffer buffer = filled("text");
  EXPECT_FALSE(buffer.reserve(size_t{PTRDIFF_MAX} + 1));
  EXPECT_FALSE(buffer.make_room(SIZE_MAX));
  EXPECT_FALSE(buffer.make_room(PTRDIFF_MAX));
  EXPECT_EQ(content(buffer), "text");
}

TEST(ByteBuffer, KeepsItsContentWithoutMemory) {
  if (!kCanPlayShortage) GTEST_SKIP() << "not with this sanitizer";
  ByteBuffer buffer = filled("text");
  const size_t capacity = buffer.capacity();
  bool reserved = true;
  bool appended = true;
  {
    const std::string much(64 << 20, 'x');
    const MemoryShortage shortage(1 << 20);
    ASSERT_TRUE(shortage.works());
    reserved = buffer.reserve(64 << 20);
    appended = buffer.append(much.data(), much.size());
  }
  EXPECT_FALSE(reserved);
  EXPECT_FALSE(appended);
  EXPECT_EQ(content(buffer), "text");
  EXPECT_EQ(buffer.capacity(), capacity);
}

TEST(ByteBuffer, AppendingNothingTakesNoMemory) {
  ByteBuffer buffer;
  EXPECT_TRUE(buffer.append(nullptr, 0));
  EXPECT_EQ(buffer.capacity(), 0u);
}

TEST(ByteBuffer, ClearKeepsMemoryAndReleaseDoesNot) {
  ByteBuffer buffer = filled("text");
  const size_t capacity = buffer.capacity();
  buffer.clear();
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.capacity(), capacity);
  buffer.release();
  EXPECT_EQ(buffer.capacity(), 0u);
  EXPECT_EQ(buffer.data(), nullptr);
}

TEST(ByteBuffer, MovesTakeTheMemoryAlong) {
  ByteBuffer first = filled("first");
  const uint8_t* const memory = first.data();
  ByteBuffer second(std::move(first));
  EXPECT_EQ(second.data(), memory);
  EXPECT_EQ(content(second), "first");

  ByteBuffer third = filled("third");
  third = std::move(second);
  EXPECT_EQ(third.data(), memory);
  EXPECT_EQ(content(third), "first");
}

TEST(ByteBuffer, BytesBehindTheEndBecomeContent) {
  ByteBuffer buffer = filled("text");
  ASSERT_TRUE(buffer.make_room(4));
  std::copy_n("more", 4, buffer.data() + 4);
  buffer.set_size(8);
  EXPECT_EQ(content(buffer), "textmore");
  buffer.set_size(2);
  EXPECT_EQ(content(buffer), "te");
}

}  // namespace
