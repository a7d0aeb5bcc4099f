// Reference-counted buffers and the pool of chunks.
#include "core/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client_frames.h"
#include "server_frames.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

TEST(Buffer, MessageIsOneWholeFrame) {
  for (const size_t size : std::vector<size_t>{0, 1, 125, 126, 65535, 65536, 100'000}) {
    const std::string data(size, 'x');
    const BufferRef message(Buffer::create_message(Opcode::kBinary, data.data(), size));
    ASSERT_TRUE(message);
    std::string wire(view_of(message->bytes(), message->size));
    EXPECT_EQ(take_server_frames(wire), ServerFrames{binary_frame(data)});
    EXPECT_EQ(wire, "");
    EXPECT_EQ(view_of(message->payload(), message->payload_size()), data);
    EXPECT_EQ(message->opcode, Opcode::kBinary);
    EXPECT_EQ(message->size, header_size(size) + size);
  }
  const BufferRef empty(Buffer::create_message(Opcode::kText, nullptr, 0));
  EXPECT_EQ(view_of(empty->bytes(), empty->size), std::string_view("\x81\x00", 2));
  EXPECT_EQ(empty->opcode, Opcode::kText);
}

TEST(Buffer, SizesThatCannotBeGiveNull) {
  EXPECT_EQ(Buffer::create(SIZE_MAX), nullptr);
  EXPECT_EQ(Buffer::create_message(Opcode::kText, nullptr, SIZE_MAX), nullptr);
}

TEST(Buffer, ReferencesAreCounted) {
  BufferRef first(Buffer::create_message(Opcode::kText, "hi", 2));
  EXPECT_EQ(first->references.load(), 1u);
  {
    const BufferRef second = BufferRef::share(first.get());
    EXPECT_EQ(first->references.load(), 2u);
    EXPECT_EQ(second.get(), first.get());
  }
  EXPECT_EQ(first->references.load(), 1u);

  BufferRef third = BufferRef::share(first.get());
  first = BufferRef();
  EXPECT_FALSE(first);
  EXPECT_EQ(third->references.load(), 1u) << "the last one still holds it";

  const BufferRef fourth(std::move(third));
  EXPECT_EQ(fourth->references.load(), 1u) << "a move is no second reference";
  EXPECT_EQ(view_of(fourth->payload(), 2), "hi");
}

TEST(Buffer, ReferencesMayBeDroppedOnAnyThread) {
  constexpr int kRounds = 20'000;
  const BufferRef message(Buffer::create_message(Opcode::kText, "shared", 6));
  const auto share = [&] {
    for (int i = 0; i < kRounds; ++i) {
      const BufferRef mine = BufferRef::share(message.get());
      if (mine->payload()[0] != 's') std::abort();
    }
  };
  std::thread other(share);
  share();
  other.join();
  EXPECT_EQ(message->references.load(), 1u);
}

TEST(BufferPool, ReturnedChunksAreEmptyAgainAndUsedFirst) {
  BufferPool pool;
  BufferRef chunk(pool.take());
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->capacity, BufferPool::kChunkBytes);
  EXPECT_EQ(chunk->size, 0u);
  chunk->size = 77;
  const Buffer* const first = chunk.get();
  chunk = BufferRef();
  chunk = BufferRef(pool.take());
  EXPECT_EQ(chunk.get(), first);
  EXPECT_EQ(chunk->size, 0u);
  EXPECT_EQ(chunk->references.load(), 1u);
  EXPECT_EQ(chunk->pool, &pool);
}

TEST(BufferPool, AChunkThatIsSharedComesBackWithItsLastReference) {
  BufferPool pool;
  BufferRef first(pool.take());
  BufferRef second = BufferRef::share(first.get());
  const Buffer* const chunk = first.get();
  first = BufferRef();
  const BufferRef other(pool.take());
  EXPECT_NE(other.get(), chunk);
  second = BufferRef();
  const BufferRef again(pool.take());
  EXPECT_EQ(again.get(), chunk);
}

TEST(BufferPool, KeepsNoMoreThanItsLimit) {
  BufferPool pool;
  std::vector<BufferRef> chunks;
  std::vector<const Buffer*> first;
  for (size_t i = 0; i < BufferPool::kMaxKept + 50; ++i) {
    chunks.emplace_back(pool.take());
    first.push_back(chunks.back().get());
  }
  // Those put back last are too many and freed at once; what is freed here and what the pool frees is for the
  // sanitizer to see.
  chunks.clear();
  for (size_t i = 0; i < BufferPool::kMaxKept; ++i) {
    chunks.emplace_back(pool.take());
    ASSERT_NE(std::find(first.begin(), first.end(), chunks.back().get()), first.end());
  }
}

TEST(BufferCacheTest, WhatAThreadFreesItGetsAgain) {
  BufferCache cache;
  BufferCache* const outer = BufferCache::make_current(&cache);
  for (const size_t capacity :
       {size_t{0}, size_t{1}, size_t{80}, size_t{81}, size_t{1000}, size_t{16384}, size_t{4} << 20}) {
    Buffer* const first = Buffer::create(capacity);
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(first->capacity, capacity);
    std::memset(first->bytes(), 'x', capacity);
    first->release();
    EXPECT_GE(cache.kept_bytes(), capacity);
    Buffer* const again = Buffer::create(capacity);
    EXPECT_EQ(again, first) << capacity;
    EXPECT_EQ(again->references.load(), 1u);
    EXPECT_EQ(again->size + again->header_bytes + again->head_room, 0u);
    again->release();
  }
  BufferCache::make_current(outer);
}

TEST(BufferCacheTest, KeepsNoMoreThanItMay) {
  BufferCache cache;
  BufferCache* const outer = BufferCache::make_current(&cache);
  Buffer* const huge = Buffer::create((size_t{4} << 20) + 1);
  huge->release();
  EXPECT_EQ(cache.kept_bytes(), 0u) << "too large to be kept";
  std::vector<BufferRef> buffers;
  for (int i = 0; i < 20; ++i) buffers.emplace_back(Buffer::create(1 << 20));
  buffers.clear();
  EXPECT_LE(cache.kept_bytes(), BufferCache::kMaxKeptBytes);
  EXPECT_GT(cache.kept_bytes(), BufferCache::kMaxKeptBytes / 2);
  BufferCache::make_current(outer);
  BufferRef after(Buffer::create(1 << 20));  // and without one nothing is looked up
  EXPECT_TRUE(after);
}

TEST(BufferCacheTest, EveryCapacityFitsItsMemory) {
  for (size_t capacity = 0; capacity < 70000; capacity += 7) {
    BufferCache cache;
    BufferCache* const outer = BufferCache::make_current(&cache);
    Buffer::create(capacity)->release();
    EXPECT_GE(cache.kept_bytes(), capacity + sizeof(Buffer));
    EXPECT_LE(cache.kept_bytes(), capacity + capacity / 4 + 120 + sizeof(Buffer)) << capacity;
    BufferCache::make_current(outer);
  }
}

TEST(BufferTest, GrowsWithItsContent) {
  Buffer* buffer = Buffer::create(10);
  std::memcpy(buffer->bytes(), "0123456789", 10);
  for (const size_t capacity : {size_t{11}, size_t{300}, size_t{5} << 20, size_t{9} << 20}) {
    buffer = Buffer::grow(buffer, capacity);
    ASSERT_NE(buffer, nullptr);
    EXPECT_EQ(buffer->capacity, capacity);
    EXPECT_EQ(std::memcmp(buffer->bytes(), "0123456789", 10), 0);
    buffer->bytes()[capacity - 1] = 'e';
  }
  EXPECT_EQ(Buffer::grow(buffer, SIZE_MAX), nullptr);
  buffer->release();
}

}  // namespace
