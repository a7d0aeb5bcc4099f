// UTF-8: every class of ill-formed sequence, and the exact byte at which each fails.
#include "core/utf8.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

#include "client_frames.h"

namespace {

using namespace std::string_literals;
using wsb::core::is_valid_utf8;
using wsb::core::Utf8Checker;
using wsb::core::testing::bytes_of;

// Index of the first byte that is refused when bytes come one by one.
std::optional<size_t> first_bad_byte(std::string_view text) {
  Utf8Checker checker;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!checker.feed(bytes_of(text) + i, 1)) return i;
  }
  return std::nullopt;
}

std::string encode(uint32_t code) {
  const auto tail = [code](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xC0 | code >> 6), tail(0)};
  if (code < 0x10000) return {static_cast<char>(0xE0 | code >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | code >> 18), tail(12), tail(6), tail(0)};
}

TEST(Utf8, EveryCodePoint) {
  for (uint32_t code = 0; code < 0x120000; ++code) {
    const bool valid = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    ASSERT_EQ(is_valid_utf8(encode(code)), valid) << code;
  }
}

TEST(Utf8, EveryPairOfBytes) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const bool two_ascii = a < 0x80 && b < 0x80;
      const bool one_character = a >= 0xC2 && a <= 0xDF && b >= 0x80 && b <= 0xBF;
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      ASSERT_EQ(is_valid_utf8(text), two_ascii || one_character) << a << " " << b;
    }
  }
}

struct Bad {
  const char* what;
  std::string text;
  size_t at;  // the byte that makes it impossible
};

const Bad kBad[] = {
    // Unexpected continuation bytes.
    {"first continuation", "\x80"s, 0},
    {"last continuation", "\xbf"s, 0},
    {"seven continuations", "\x80\xbf\x80\xbf\x80\xbf\x80"s, 0},
    {"continuation after a character", "\xc3\xa9\xa9"s, 2},
    {"continuation after ASCII", "abc\x80"s, 3},
    // Lonely leads.
    {"two-byte lead, then blank", "\xc3 "s, 1},
    {"three-byte lead, then blank", "\xe2 "s, 1},
    {"four-byte lead, then blank", "\xf1 "s, 1},
    {"lead after lead", "\xc3\xc3"s, 1},
    {"three-byte sequence broken at its last", "\xe2\x82 "s, 2},
    {"four-byte sequence broken at its last", "\xf0\x9f\x98 "s, 3},
    {"next lead inside a sequence", "\xe2\x82\xe2\x82\xac"s, 2},
    // Bytes that never occur.
    {"fe", "\xfe"s, 0},
    {"ff", "\xff"s, 0},
    {"five-byte lead", "\xf8\x88\x80\x80\x80"s, 0},
    {"six-byte lead", "\xfc\x84\x80\x80\x80\x80"s, 0},
    // Overlong forms of '/', U+0000 and the greatest of each length.
    {"slash in two", "\xc0\xaf"s, 0},
    {"slash in three", "\xe0\x80\xaf"s, 1},
    {"slash in four", "\xf0\x80\x80\xaf"s, 1},
    {"slash in five", "\xf8\x80\x80\x80\xaf"s, 0},
    {"slash in six", "\xfc\x80\x80\x80\x80\xaf"s, 0},
    {"zero in two", "\xc0\x80"s, 0},
    {"zero in three", "\xe0\x80\x80"s, 1},
    {"zero in four", "\xf0\x80\x80\x80"s, 1},
    {"7f in two", "\xc1\xbf"s, 0},
    {"7ff in three", "\xe0\x9f\xbf"s, 1},
    {"ffff in four", "\xf0\x8f\xbf\xbf"s, 1},
    // Surrogates, alone and paired.
    {"d800", "\xed\xa0\x80"s, 1},
    {"db7f", "\xed\xad\xbf"s, 1},
    {"db80", "\xed\xae\x80"s, 1},
    {"dbff", "\xed\xaf\xbf"s, 1},
    {"dc00", "\xed\xb0\x80"s, 1},
    {"df80", "\xed\xbe\x80"s, 1},
    {"dfff", "\xed\xbf\xbf"s, 1},
    {"d800 dc00", "\xed\xa0\x80\xed\xb0\x80"s, 1},
    {"dbff dfff", "\xed\xaf\xbf\xed\xbf\xbf"s, 1},
    // Beyond U+10FFFF.
    {"110000", "\xf4\x90\x80\x80"s, 1},
    {"13ffff", "\xf4\xbf\xbf\xbf"s, 1},
    {"140000", "\xf5\x80\x80\x80"s, 0},
    {"1fffff", "\xf7\xbf\xbf\xbf"s, 0},
};

TEST(Utf8, IllFormedFailsAtItsFirstImpossibleByte) {
  for (const Bad& bad : kBad) {
    EXPECT_EQ(first_bad_byte(bad.text), bad.at) << bad.what;
    EXPECT_FALSE(is_valid_utf8(bad.text)) << bad.what;
  }
}

// The same behind and before ASCII of every length, so that it meets every place of the fast path.
TEST(Utf8, IllFormedIsFoundAnywhere) {
  for (const Bad& bad : kBad) {
    for (size_t before = 0; before <= 70; ++before) {
      const std::string text = std::string(before, 'a') + bad.text + std::string(40, 'z');
      ASSERT_EQ(first_bad_byte(text), before + bad.at) << bad.what << " after " << before;
      ASSERT_FALSE(is_valid_utf8(text)) << bad.what << " after " << before;
      Utf8Checker checker;
      ASSERT_TRUE(checker.feed(bytes_of(text), before + bad.at)) << bad.what;
      ASSERT_FALSE(checker.feed(bytes_of(text) + before + bad.at, text.size() - before - bad.at)) << bad.what;
    }
  }
}

const std::string kGood[] = {
    ""s,
    "\0"s,
    "\x7f"s,
    "\xc2\x80"s,
    "\xdf\xbf"s,
    "\xe0\xa0\x80"s,
    "\xed\x9f\xbf"s,
    "\xee\x80\x80"s,
    "\xef\xbf\xbd"s,
    "\xef\xbf\xbf"s,  // a noncharacter is a code point like others
    "\xf0\x90\x80\x80"s,
    "\xf4\x8f\xbf\xbf"s,
    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"s,
    "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"s,
};

TEST(Utf8, WellFormedWholeAndInEveryTwoParts) {
  for (const std::string& good : kGood) {
    EXPECT_TRUE(is_valid_utf8(good));
    for (size_t cut = 0; cut <= good.size(); ++cut) {
      Utf8Checker checker;
      EXPECT_TRUE(checker.feed(bytes_of(good), cut));
      EXPECT_TRUE(checker.feed(bytes_of(good) + cut, good.size() - cut));
      EXPECT_TRUE(checker.complete());
    }
  }
}

TEST(Utf8, TruncatedIsPossibleButNotComplete) {
  for (const std::string& text :
       {"\xc3"s, "\xe2"s, "\xe2\x82"s, "\xf0"s, "\xf0\x9f"s, "\xf0\x9f\x98"s, "\xe0"s, "\xed\x9f"s, "\xf4\x8f"s}) {
    Utf8Checker checker;
    EXPECT_TRUE(checker.feed(bytes_of(text), text.size()));
    EXPECT_FALSE(checker.complete());
    EXPECT_FALSE(is_valid_utf8(text));
    EXPECT_FALSE(is_valid_utf8("abc" + text));
  }
}

TEST(Utf8, FailureStaysUntilReset) {
  Utf8Checker checker;
  EXPECT_FALSE(checker.feed(bytes_of("\xff"), 1));
  for (int byte = 0; byte < 256; ++byte) {
    const uint8_t one = static_cast<uint8_t>(byte);
    EXPECT_FALSE(checker.feed(&one, 1));
  }
  EXPECT_FALSE(checker.feed(bytes_of(""), 0));
  EXPECT_FALSE(checker.complete());
  checker.reset();
  EXPECT_TRUE(checker.feed(bytes_of("ok"), 2));
  EXPECT_TRUE(checker.complete());
}

TEST(Utf8, NoBytesAtAll) {
  EXPECT_TRUE(is_valid_utf8(nullptr, 0));
  Utf8Checker checker;
  EXPECT_TRUE(checker.feed(nullptr, 0));
  EXPECT_TRUE(checker.complete());
}

}  // namespace
