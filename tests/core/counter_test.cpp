// Counter: one writer, any readers.
#include "core/counter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace {

using namespace wsb::core;

TEST(Counter, AddsSubtractsAndSets) {
  Counter64 counter;
  EXPECT_EQ(counter.get(), 0u);
  counter.add(5);
  counter.add(7);
  counter.sub(2);
  EXPECT_EQ(counter.get(), 10u);
  counter.set(uint64_t{1} << 40);
  EXPECT_EQ(counter.get(), uint64_t{1} << 40);
  EXPECT_EQ(Counter32(7).get(), 7u);
}

TEST(Counter, WrapsLikeItsType) {
  Counter8 counter(255);
  counter.add(2);
  EXPECT_EQ(counter.get(), 1u);
  counter.sub(2);
  EXPECT_EQ(counter.get(), 255u);
}

TEST(Counter, ReadersOnOtherThreadsSeeItGrow) {
  constexpr uint64_t kMost = 200'000;
  Counter64 counter;
  std::atomic<bool> reading{false};
  bool ever_back = false;
  std::thread reader([&] {
    uint64_t before = 0;
    reading = true;
    while (before < kMost) {
      const uint64_t seen = counter.get();
      ever_back = ever_back || seen < before;
      before = seen;
    }
  });
  while (!reading) std::this_thread::yield();
  for (uint64_t i = 0; i < kMost; ++i) counter.add(1);
  reader.join();
  EXPECT_FALSE(ever_back);
}

}  // namespace
