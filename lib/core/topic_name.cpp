// Checking and comparing names, token by token.
#include "core/topic_name.h"

#include "core/utf8.h"

namespace wsb::core {

namespace {

// Spaces and control characters would end a name in NATS's protocol.
bool is_forbidden(char c) noexcept {
  return static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
}

TopicError check_token(std::string_view token, bool last, bool wildcards) noexcept {
  if (token.empty()) return TopicError::kEmptyToken;
  for (const char c : token) {
    if (is_forbidden(c)) return TopicError::kCharacter;
    if (c != '*' && c != '>') continue;
    if (!wildcards || token.size() != 1) return TopicError::kWildcard;
    if (c == '>' && !last) return TopicError::kTail;
  }
  return TopicError::kNone;
}

TopicError check(std::string_view name, bool wildcards) noexcept {
  if (name.empty()) return TopicError::kEmpty;
  if (name.size() > kMaxTopicBytes) return TopicError::kTooLong;
  std::string_view rest = name;
  do {
    const std::string_view token = take_token(rest);
    const TopicError error = check_token(token, rest.data() == nullptr, wildcards);
    if (error != TopicError::kNone) return error;
  } while (rest.data() != nullptr);
  return is_valid_utf8(name) ? TopicError::kNone : TopicError::kNotUtf8;
}

}  // namespace

TopicError check_topic(std::string_view topic) noexcept {
  return check(topic, false);
}

TopicError check_pattern(std::string_view pattern) noexcept {
  return check(pattern, true);
}

const char* topic_error_text(TopicError error) noexcept {
  switch (error) {
    case TopicError::kNone:
      break;
    case TopicError::kEmpty:
      return "the name is empty";
    case TopicError::kTooLong:
      return "the name is longer than 255 bytes";
    case TopicError::kEmptyToken:
      return "a token of the name is empty";
    case TopicError::kCharacter:
      return "the name has a space or a control character";
    case TopicError::kWildcard:
      return "\"*\" and \">\" are wildcards: whole tokens, and only in what is subscribed to";
    case TopicError::kTail:
      return "\">\" may only be the last token";
    case TopicError::kNotUtf8:
      return "the name is not UTF-8";
  }
  return "";
}

bool topic_covers(std::string_view pattern, std::string_view other) noexcept {
  while (true) {
    const std::string_view wanted = take_token(pattern);
    const std::string_view given = take_token(other);
    if (wanted == ">") return true;
    if (given == ">" || (wanted != "*" && wanted != given)) return false;
    if (pattern.data() == nullptr || other.data() == nullptr) return pattern.data() == other.data();
  }
}

// In a well-formed pattern they stand for nothing else.
bool has_wildcard(std::string_view pattern) noexcept {
  return pattern.find_first_of("*>") != std::string_view::npos;
}

}  // namespace wsb::core
