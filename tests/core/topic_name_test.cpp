// Names of topics: what is well-formed, and what covers what, against a second, slower opinion.
#include "core/topic_name.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace {

using namespace wsb::core;

TEST(TopicName, Wellformed) {
  for (const char* topic :
       {"a", "orders", "orders.17.created", "A.a", "$x", "a-b_c/d", "h\xc3\xa9.\xe2\x82\xac", "{}", "0"}) {
    EXPECT_EQ(check_topic(topic), TopicError::kNone) << topic;
    EXPECT_EQ(check_pattern(topic), TopicError::kNone) << topic;
  }
  for (const char* pattern : {"*", ">", "a.*", "*.a", "a.>", "*.>", "a.*.c.*", "*.*"}) {
    EXPECT_EQ(check_topic(pattern), TopicError::kWildcard) << pattern;
    EXPECT_EQ(check_pattern(pattern), TopicError::kNone) << pattern;
  }
}

TEST(TopicName, Malformed) {
  const struct {
    std::string name;
    TopicError error;
  } cases[] = {
      {"", TopicError::kEmpty},
      {".", TopicError::kEmptyToken},
      {".a", TopicError::kEmptyToken},
      {"a.", TopicError::kEmptyToken},
      {"a..b", TopicError::kEmptyToken},
      {"a b", TopicError::kCharacter},
      {"a\tb", TopicError::kCharacter},
      {"a\r\nb", TopicError::kCharacter},
      {std::string("a\0b", 3), TopicError::kCharacter},
      {"a\x7f", TopicError::kCharacter},
      {"a*", TopicError::kWildcard},
      {"a.b>", TopicError::kWildcard},
      {"**", TopicError::kWildcard},
      {">.a", TopicError::kTail},
      {"a.>.b", TopicError::kTail},
      {"a.\xff", TopicError::kNotUtf8},
      {"\xc3", TopicError::kNotUtf8},
      {std::string(256, 'a'), TopicError::kTooLong},
  };
  for (const auto& [name, error] : cases) {
    EXPECT_EQ(check_pattern(name), error) << name;
    EXPECT_STRNE(topic_error_text(error), "") << name;
    EXPECT_NE(check_topic(name), TopicError::kNone) << name;
  }
}

TEST(TopicName, LongestNames) {
  EXPECT_EQ(check_topic(std::string(255, 'a')), TopicError::kNone);
  std::string tokens = "a";
  for (int i = 1; i < 128; ++i) tokens += ".a";
  ASSERT_EQ(tokens.size(), 255u);
  EXPECT_EQ(check_topic(tokens), TopicError::kNone);
  EXPECT_EQ(check_topic(tokens + "b"), TopicError::kTooLong);
}

TEST(TopicName, Covers) {
  const struct {
    const char* pattern;
    const char* other;
    bool covers;
  } cases[] = {
      {"a", "a", true},
      {"a", "b", false},
      {"a", "A", false},
      {"a", "a.b", false},
      {"a.b", "a", false},
      {"*", "a", true},
      {"*", "a.b", false},
      {">", "a", true},
      {">", "a.b.c", true},
      {"a.>", "a", false},
      {"a.>", "a.b", true},
      {"a.>", "a.b.c", true},
      {"a.>", "b.a", false},
      {"a.*", "a.b", true},
      {"a.*", "a", false},
      {"a.*", "a.b.c", false},
      {"*.b", "a.b", true},
      {"*.b", "a.c", false},
      {"*.*", "a.b", true},
      {"*.>", "a", false},
      {"*.>", "a.b.c", true},
      {"a.*.c", "a.b.c", true},
      {"a.*.c", "a.b.d", false},
      // patterns within patterns
      {"*", "*", true},
      {"a", "*", false},
      {"*", ">", false},
      {">", ">", true},
      {">", "*.>", true},
      {"*.>", ">", false},
      {"a.>", "a.*", true},
      {"a.*", "a.>", false},
      {"a.>", "a.>", true},
      {"*.*", "a.*", true},
      {"a.*", "*.b", false},
      {"*.>", "a.*.c", true},
  };
  for (const auto& [pattern, other, covers] : cases)
    EXPECT_EQ(topic_covers(pattern, other), covers) << pattern << " " << other;
}

std::vector<std::string> tokens_of(const std::string& name) {
  std::vector<std::string> out(1);
  for (const char c : name) {
    if (c == '.') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

bool matches_slowly(const std::string& pattern, const std::string& topic) {
  const std::vector<std::string> p = tokens_of(pattern);
  const std::vector<std::string> t = tokens_of(topic);
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] == ">") return t.size() > i;
    if (i >= t.size() || (p[i] != "*" && p[i] != t[i])) return false;
  }
  return p.size() == t.size();
}

std::vector<std::string> all_names(const std::vector<std::string>& alphabet, size_t most_tokens) {
  std::vector<std::string> out = alphabet;
  size_t begin = 0;
  for (size_t n = 1; n < most_tokens; ++n) {
    const size_t end = out.size();
    for (; begin < end; ++begin) {
      const std::string base = out[begin];
      for (const std::string& token : alphabet) out.push_back(base + "." + token);
    }
  }
  return out;
}

// Every pattern of up to three tokens against every topic of up to four, and against every other pattern by what it matches.
TEST(TopicName, CoversWhatItShouldExhaustively) {
  const std::vector<std::string> topics = all_names({"a", "b", "c"}, 4);
  std::vector<std::string> patterns;
  for (const std::string& name : all_names({"a", "b", "*", ">"}, 3)) {
    if (check_pattern(name) == TopicError::kNone) patterns.push_back(name);
  }
  ASSERT_EQ(topics.size(), 3u + 9 + 27 + 81);
  ASSERT_EQ(patterns.size(), 4u + 3 * 4 + 9 * 4);
  std::vector<std::vector<bool>> matched;
  for (const std::string& pattern : patterns) {
    std::vector<bool>& row = matched.emplace_back();
    for (const std::string& topic : topics) {
      row.push_back(matches_slowly(pattern, topic));
      ASSERT_EQ(topic_covers(pattern, topic), row.back()) << pattern << " " << topic;
    }
  }
  for (size_t i = 0; i < patterns.size(); ++i) {
    for (size_t j = 0; j < patterns.size(); ++j) {
      bool all = true;
      for (size_t k = 0; k < topics.size(); ++k) all = all && (!matched[j][k] || matched[i][k]);
      ASSERT_EQ(topic_covers(patterns[i], patterns[j]), all) << patterns[i] << " " << patterns[j];
    }
  }
}

}  // namespace
