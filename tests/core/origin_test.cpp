// Which origins may connect (RFC 6454), and the patterns of allowed ones.
#include <gtest/gtest.h>

#include <string>

#include "core/handshake.h"

namespace {

using wsb::core::matches_pattern;
using wsb::core::origin_allowed;

TEST(Origins, SameHost) {
  EXPECT_TRUE(origin_allowed("http://a.example", "a.example", {}));
  EXPECT_TRUE(origin_allowed("HTTPS://A.Example", "a.eXample", {}));
  EXPECT_TRUE(origin_allowed("http://a.example:9001", "a.example:9001", {}));
  EXPECT_TRUE(origin_allowed("http://[::1]:9001", "[::1]:9001", {}));
  EXPECT_FALSE(origin_allowed("http://b.example", "a.example", {}));
  EXPECT_FALSE(origin_allowed("http://a.example.evil", "a.example", {}));
  EXPECT_FALSE(origin_allowed("http://evil.a.example", "a.example", {}));
  EXPECT_FALSE(origin_allowed("http://a.example:9002", "a.example:9001", {}));
  EXPECT_FALSE(origin_allowed("http://a.example", "a.example:9001", {}));
  EXPECT_FALSE(origin_allowed("http://a.example", "", {}));
}

TEST(Origins, DefaultPortsAreAbsentPorts) {
  EXPECT_TRUE(origin_allowed("http://a.example", "a.example:80", {}));
  EXPECT_TRUE(origin_allowed("https://a.example", "a.example:443", {}));
  EXPECT_TRUE(origin_allowed("https://a.example:443", "a.example", {}));
  EXPECT_TRUE(origin_allowed("http://a.example:80", "a.example", {}));
  EXPECT_TRUE(origin_allowed("https://a.example", "a.example:", {}));
}

TEST(Origins, OtherSchemesAndNullNeedAPattern) {
  EXPECT_FALSE(origin_allowed("null", "null", {}));
  EXPECT_TRUE(origin_allowed("null", "a.example", {"null"}));
  EXPECT_FALSE(origin_allowed("app://a.example", "a.example", {}));
  EXPECT_TRUE(origin_allowed("app://a.example", "a.example", {"app://*"}));
  EXPECT_TRUE(origin_allowed("file://", "a.example", {"file://"}));
}

TEST(Origins, Patterns) {
  const std::vector<std::string> patterns = {"https://app.example", "https://*.example.org"};
  EXPECT_TRUE(origin_allowed("https://app.example", "h", patterns));
  EXPECT_TRUE(origin_allowed("https://APP.example", "h", patterns));
  EXPECT_TRUE(origin_allowed("https://x.y.example.org", "h", patterns));
  EXPECT_FALSE(origin_allowed("http://app.example", "h", patterns));
  EXPECT_FALSE(origin_allowed("https://example.org", "h", patterns));
  EXPECT_FALSE(origin_allowed("https://x.example.org.evil", "h", patterns));
  EXPECT_FALSE(origin_allowed("https://app.example:8443", "h", patterns));
  EXPECT_FALSE(origin_allowed("null", "h", patterns));
}

TEST(Origins, OnlyTheStarAllowsWhatIsNoOrigin) {
  for (const char* origin :
       {"", "https://evil.example https://x.example.org", "https://evil.example/.example.org",
        "https://evil.example?.example.org", "https://user@x.example.org", "x.example.org",
        "https://evil.example\\.example.org", "://x.example.org", "https://evil.example,x.example.org"}) {
    EXPECT_FALSE(origin_allowed(origin, "h", {"https://*.example.org", "*.example.org", "https://*", ""})) << origin;
    EXPECT_TRUE(origin_allowed(origin, "h", {"*"})) << origin;
  }
  EXPECT_FALSE(origin_allowed("http://h/", "h", {}));
  EXPECT_FALSE(origin_allowed("http://user@h", "h", {}));
}

TEST(Patterns, Stars) {
  EXPECT_TRUE(matches_pattern("", ""));
  EXPECT_TRUE(matches_pattern("", "*"));
  EXPECT_TRUE(matches_pattern("abc", "***"));
  EXPECT_TRUE(matches_pattern("abc", "A*C"));
  EXPECT_TRUE(matches_pattern("ac", "a*c"));
  EXPECT_TRUE(matches_pattern("aXbXc", "*X*X*"));
  EXPECT_TRUE(matches_pattern("mississippi", "m*issip*i"));
  EXPECT_FALSE(matches_pattern("abc", ""));
  EXPECT_FALSE(matches_pattern("", "a"));
  EXPECT_FALSE(matches_pattern("abc", "ab"));
  EXPECT_FALSE(matches_pattern("abc", "abcd"));
  EXPECT_FALSE(matches_pattern("abc", "a*d"));
  EXPECT_FALSE(matches_pattern("abc", "a?c"));
  EXPECT_FALSE(matches_pattern("abc", "a.c"));
}

TEST(Patterns, ManyStarsEndSoon) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "a*";
  EXPECT_FALSE(matches_pattern(std::string(10000, 'a') + "b", pattern + "c"));
}

}  // namespace
