// When an application beat is due, what it says, and how much of it waits.
#include "core/app_beat.h"

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace wsb::core;

constexpr TimeUs kStart = 1'000'000'000;

std::string text_of(uint32_t interval_ms) {
  const AppBeatText text(interval_ms);
  return std::string(text.data(), text.size());
}

TEST(AppBeatText, IsAControlCharacterAndTheInterval) {
  EXPECT_EQ(text_of(50), "\02650");
  EXPECT_EQ(text_of(25000), "\02625000");
  EXPECT_EQ(text_of(86400000), "\02686400000");
  EXPECT_EQ(text_of(UINT32_MAX), "\0264294967295") << "the longest still fits";
}

TEST(AppBeat, FirstWithinOneIntervalByItsPhase) {
  EXPECT_EQ(AppBeat(kStart, 1000, 65535).next_due(), kStart + from_ms(1000));
  EXPECT_EQ(AppBeat(kStart, 1000, 32767).next_due(), kStart + from_ms(500));
}

TEST(AppBeat, OneEachInterval) {
  AppBeat beat(kStart, 1000, 65535);
  EXPECT_FALSE(beat.falls_due(kStart + from_ms(1000) - 1));
  EXPECT_TRUE(beat.falls_due(kStart + from_ms(1000)));
  EXPECT_FALSE(beat.falls_due(kStart + from_ms(1000)));
  EXPECT_EQ(beat.next_due(), kStart + from_ms(2000));
  EXPECT_TRUE(beat.falls_due(kStart + from_ms(2010))) << "a late one";
  EXPECT_EQ(beat.next_due(), kStart + from_ms(3000)) << "moves none";
}

TEST(AppBeat, SleptThroughOnesAreLeftOut) {
  AppBeat beat(kStart, 1000, 65535);
  EXPECT_TRUE(beat.falls_due(kStart + from_ms(7300)));
  EXPECT_FALSE(beat.falls_due(kStart + from_ms(7999)));
  EXPECT_EQ(beat.next_due(), kStart + from_ms(8000));
}

TEST(AppBeat, TheLongestIntervalDoesNotOverflow) {
  AppBeat beat(kStart, 86400000, 65535);
  EXPECT_EQ(beat.next_due(), kStart + from_ms(86400000));
  EXPECT_TRUE(beat.falls_due(kStart + 3 * from_ms(86400000)));
  EXPECT_EQ(beat.next_due(), kStart + 4 * from_ms(86400000));
}

TEST(AppBeat, BytesThatWait) {
  AppBeat beat(kStart, 1000, 0);
  EXPECT_EQ(beat.waiting_bytes(0), 0u) << "none was queued";
  beat.queued(107, 7);
  EXPECT_EQ(beat.waiting_bytes(20), 7u) << "others are before it";
  EXPECT_EQ(beat.waiting_bytes(100), 7u);
  EXPECT_EQ(beat.waiting_bytes(104), 3u);
  EXPECT_EQ(beat.waiting_bytes(107), 0u);
  EXPECT_EQ(beat.waiting_bytes(200), 0u);
}

}  // namespace
