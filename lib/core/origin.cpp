// Which web pages may connect: the Origin header against the host and the configured patterns (RFC 6454; RFC
// 6455, 10.2).
#include "core/char_class.h"
#include "core/handshake.h"

namespace wsb::core {
namespace {

constexpr uint16_t kHttpPort = 80;
constexpr uint16_t kHttpsPort = 443;

struct Origin {
  std::string_view scheme;
  std::string_view authority;
};

// "scheme://authority" and nothing more (RFC 6454, 6.1).
std::optional<Origin> parse_origin(std::string_view text) noexcept {
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const Origin origin{text.substr(0, colon), text.substr(colon + 3)};
  if (origin.authority.find_first_of(" \t,/\\?#@") != std::string_view::npos) return std::nullopt;
  return origin;
}

// 0 for absent and default ports, so that they compare equal.
uint16_t significant_port(const Authority& authority) noexcept {
  const uint16_t port = authority.port.value_or(0);
  return port == kHttpPort || port == kHttpsPort ? uint16_t{0} : port;
}

bool is_same_host(const Origin& origin, std::string_view host) noexcept {
  if (!equals_ignoring_case(origin.scheme, "http") && !equals_ignoring_case(origin.scheme, "https")) return false;
  const auto theirs = parse_authority(origin.authority);
  const auto ours = parse_authority(host);
  return theirs && ours && equals_ignoring_case(theirs->host, ours->host) &&
         significant_port(*theirs) == significant_port(*ours);
}

}  // namespace

bool origin_allowed(std::string_view origin, std::string_view host, const std::vector<std::string>& patterns) {
  const auto parsed = parse_origin(origin);
  if (parsed && is_same_host(*parsed, host)) return true;
  const bool serialized = parsed || origin == "null";
  for (const std::string& pattern : patterns) {
    if (pattern == "*" || (serialized && matches_pattern(origin, pattern))) return true;
  }
  return false;
}

// Only the last star needs to be tried again: what an earlier one could take, it can take as well.
bool matches_pattern(std::string_view text, std::string_view pattern) noexcept {
  size_t t = 0;
  size_t p = 0;
  size_t star = std::string_view::npos;
  size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && ascii_lower(pattern[p]) == ascii_lower(text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace wsb::core
