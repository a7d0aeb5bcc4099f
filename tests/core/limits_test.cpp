// ConnectionLimits: in all, and per address.
#include "core/limits.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace {

using namespace wsb::core;
using Verdict = ConnectionLimits::Verdict;

TEST(ConnectionLimits, HoldsTheTotal) {
  ConnectionLimits limits(2, 0);
  EXPECT_EQ(limits.enter("a"), Verdict::kOk);
  EXPECT_EQ(limits.enter("a"), Verdict::kOk);
  EXPECT_EQ(limits.enter("b"), Verdict::kTotal);
  EXPECT_EQ(limits.total(), 2u);
  limits.leave("a");
  EXPECT_EQ(limits.total(), 1u);
  EXPECT_EQ(limits.enter("b"), Verdict::kOk);
  EXPECT_EQ(limits.enter("b"), Verdict::kTotal);
}

TEST(ConnectionLimits, HoldsEachAddress) {
  ConnectionLimits limits(100, 2);
  EXPECT_EQ(limits.enter("a"), Verdict::kOk);
  EXPECT_EQ(limits.enter("a"), Verdict::kOk);
  EXPECT_EQ(limits.enter("a"), Verdict::kAddress);
  EXPECT_EQ(limits.enter("b"), Verdict::kOk) << "another address is not affected";
  EXPECT_EQ(limits.total(), 3u) << "a refused one is not counted";
  limits.leave("a");
  EXPECT_EQ(limits.enter("a"), Verdict::kOk);
  EXPECT_EQ(limits.enter("a"), Verdict::kAddress);
}

TEST(ConnectionLimits, TheTotalIsJudgedFirst) {
  ConnectionLimits limits(1, 1);
  EXPECT_EQ(limits.enter("a"), Verdict::kOk);
  EXPECT_EQ(limits.enter("a"), Verdict::kTotal);
}

TEST(ConnectionLimits, CountsAddressesOnlyIfTheyAreLimited) {
  ConnectionLimits unlimited(100, 0);
  EXPECT_FALSE(unlimited.counts_addresses());
  EXPECT_EQ(unlimited.enter("a"), Verdict::kOk);
  EXPECT_EQ(unlimited.addresses(), 0u);
  unlimited.leave("a");
  EXPECT_EQ(unlimited.total(), 0u);

  ConnectionLimits limited(100, 1);
  EXPECT_TRUE(limited.counts_addresses());
  EXPECT_EQ(limited.enter("a"), Verdict::kOk);
  EXPECT_EQ(limited.addresses(), 1u);
}

TEST(ConnectionLimits, ForgetsAddressesThatHaveLeft) {
  ConnectionLimits limits(100'000, 1);
  for (int i = 0; i < 10'000; ++i) {
    const std::string address = std::to_string(i);
    ASSERT_EQ(limits.enter(address), Verdict::kOk);
    ASSERT_EQ(limits.enter(address), Verdict::kAddress);
    limits.leave(address);
  }
  EXPECT_EQ(limits.addresses(), 0u);
  EXPECT_EQ(limits.total(), 0u);
}

TEST(ConnectionLimits, AgreesWithAPlainCount) {
  constexpr uint32_t kMost = 40;
  constexpr uint32_t kMostPerAddress = 5;
  ConnectionLimits limits(kMost, kMostPerAddress);
  std::map<std::string, uint32_t> model;
  uint32_t total = 0;
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const std::string address(1, static_cast<char>('a' + random() % 12));
    if (random() % 5 < 3) {
      const Verdict expected = total == kMost                      ? Verdict::kTotal
                               : model[address] == kMostPerAddress ? Verdict::kAddress
                                                                   : Verdict::kOk;
      ASSERT_EQ(limits.enter(address), expected);
      if (expected != Verdict::kOk) continue;
      ++model[address];
      ++total;
    } else if (model[address] != 0) {
      limits.leave(address);
      --model[address];
      --total;
    }
    ASSERT_EQ(limits.total(), total);
  }
}

}  // namespace
