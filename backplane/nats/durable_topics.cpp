// Patterns against patterns.
#include "durable_topics.h"

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include "core/topic_name.h"

namespace wsb::nats {

namespace {

// The pattern that matches what both do; none: they have nothing in common.
std::optional<std::string> intersection(std::string_view one, std::string_view other) {
  std::string out;
  while (one.data() != nullptr && other.data() != nullptr) {
    if (!out.empty()) out += '.';
    if (one == ">") return out.append(other);
    if (other == ">") return out.append(one);
    const std::string_view a = core::take_token(one);
    const std::string_view b = core::take_token(other);
    if (a != b && a != "*" && b != "*") return std::nullopt;
    out.append(a == "*" ? b : a);
  }
  if (one.data() != nullptr || other.data() != nullptr) return std::nullopt;
  return out;
}

}  // namespace

std::string stream_name(std::string_view prefix) {
  std::string out;
  for (const char c : prefix) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (plain) {
      out += c;
      continue;
    }
    char code[4];
    (void)std::snprintf(code, sizeof code, "=%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += code;
  }
  return out;
}

DurableTopics::DurableTopics(const std::string& prefix, std::vector<std::string> patterns)
    : prefix_(prefix + "."), patterns_(std::move(patterns)), stream_(stream_name(prefix)) {}

std::vector<std::string> DurableTopics::read(std::string_view list) {
  std::vector<std::string> all;
  if (list.empty()) return all;
  while (list.data() != nullptr) {
    const size_t comma = list.find(',');
    const std::string one(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    const core::TopicError error = core::check_pattern(one);
    if (error != core::TopicError::kNone) throw std::runtime_error("\"" + one + "\": " + core::topic_error_text(error));
    all.push_back(one);
  }
  std::vector<std::string> out;
  for (size_t at = 0; at < all.size(); ++at) {
    const auto covers = [&](size_t by) {
      return by != at && core::topic_covers(all[by], all[at]) && (by < at || !core::topic_covers(all[at], all[by]));
    };
    bool covered = false;
    for (size_t by = 0; by < all.size() && !covered; ++by) covered = covers(by);
    if (!covered) out.push_back(all[at]);
  }
  for (size_t at = 0; at < out.size(); ++at) {
    for (size_t by = 0; by < at; ++by) {
      if (intersection(out[at], out[by]))
        throw std::runtime_error("\"" + out[by] + "\" and \"" + out[at] + "\" overlap");
    }
  }
  return out;
}

bool DurableTopics::overlaps(std::string_view pattern) const noexcept {
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const std::string& one) {
    std::string_view a = one;
    std::string_view b = pattern;
    while (a.data() != nullptr && b.data() != nullptr) {
      if (a == ">" || b == ">") return true;
      const std::string_view x = core::take_token(a);
      const std::string_view y = core::take_token(b);
      if (x != y && x != "*" && y != "*") return false;
    }
    return a.data() == nullptr && b.data() == nullptr;
  });
}

std::optional<DurableTopics::Filter> DurableTopics::filter(std::string_view pattern) const {
  std::vector<std::string> common;
  bool covers_one = false;
  bool covers_all = true;
  for (const std::string& one : patterns_) {
    const bool covers = core::topic_covers(pattern, one);
    covers_one = covers_one || covers;
    covers_all = covers_all && covers;
    if (auto both = intersection(pattern, one)) common.push_back(std::move(*both));
  }
  if (common.empty()) return std::nullopt;
  if (covers_all) return Filter{"", true};
  if (common.size() == 1) return Filter{prefix_ + common.front(), true};
  // JetStream takes a filter that a subject of the stream covers, or that covers one.
  if (covers_one) return Filter{prefix_ + std::string(pattern), true};
  return Filter{"", false};
}

std::vector<std::string> DurableTopics::subjects() const {
  std::vector<std::string> out;
  out.reserve(patterns_.size());
  for (const std::string& one : patterns_) out.push_back(prefix_ + one);
  return out;
}

}  // namespace wsb::nats
