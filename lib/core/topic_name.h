// Names of topics, by NATS's rules: tokens between dots; in a pattern "*" stands for one token and a last ">" for one or more.
#pragma once

#include <cstddef>
#include <string_view>

namespace wsb::core {

constexpr size_t kMaxTopicBytes = 255;

enum class TopicError : unsigned char { kNone, kEmpty, kTooLong, kEmptyToken, kCharacter, kWildcard, kTail, kNotUtf8 };

// What is wrong with a name that is published to: no wildcards.
TopicError check_topic(std::string_view topic) noexcept;
// With one that is subscribed to.
TopicError check_pattern(std::string_view pattern) noexcept;
// A text for people; "" for kNone.
const char* topic_error_text(TopicError error) noexcept;

// True if every topic that `other` (itself a topic or a pattern) matches is matched by `pattern`. Both must be well-formed.
bool topic_covers(std::string_view pattern, std::string_view other) noexcept;

bool has_wildcard(std::string_view pattern) noexcept;

// Takes the first token off `rest`; the last one leaves it without data().
inline std::string_view take_token(std::string_view& rest) noexcept {
  const size_t dot = rest.find('.');
  const std::string_view token = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
  return token;
}

}  // namespace wsb::core
