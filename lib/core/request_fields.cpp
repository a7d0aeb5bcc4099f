// Looking up headers of a parsed request, and the small pieces of HTTP text: tokens, lists, authorities.
#include <algorithm>

#include "core/char_class.h"
#include "core/request.h"

namespace wsb::core {
namespace {

// Cuts the first member off `rest`, trimmed, maybe empty.
std::string_view next_member(std::string_view& rest) noexcept {
  const size_t comma = std::min(rest.find(','), rest.size());
  const std::string_view member = trim(rest.substr(0, comma));
  rest.remove_prefix(std::min(comma + 1, rest.size()));
  return member;
}

// Size of the "[...]" at the start of an authority, 0 if its inside cannot be an IPv6 address.
size_t ip_literal_size(std::string_view text) noexcept {
  constexpr size_t kLeast = 4;  // "[::]"
  const size_t close = text.find(']');
  if (close == std::string_view::npos || close + 1 < kLeast) return 0;
  for (const char c : text.substr(1, close - 1)) {
    if (hex_value(c) < 0 && c != ':' && c != '.') return 0;
  }
  return close + 1;
}

}  // namespace

std::optional<std::string_view> Request::header(std::string_view name) const noexcept {
  for (const Header& header : headers) {
    if (equals_ignoring_case(header.name, name)) return header.value;
  }
  return std::nullopt;
}

size_t Request::count(std::string_view name) const noexcept {
  size_t found = 0;
  for (const Header& header : headers) {
    if (equals_ignoring_case(header.name, name)) ++found;
  }
  return found;
}

std::string Request::joined(std::string_view name) const {
  std::string all;
  bool first = true;
  for (const Header& header : headers) {
    if (!equals_ignoring_case(header.name, name)) continue;
    if (!first) all += ", ";
    all += header.value;
    first = false;
  }
  return all;
}

bool Request::has_token(std::string_view name, std::string_view token) const noexcept {
  for (const Header& header : headers) {
    if (!equals_ignoring_case(header.name, name)) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      if (equals_ignoring_case(next_member(rest), token)) return true;
    }
  }
  return false;
}

bool is_token(std::string_view text) noexcept {
  return !text.empty() && all_in_class(text, kTokenChar);
}

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
  }
  return true;
}

std::string_view trim(std::string_view text) noexcept {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split_list(std::string_view list) {
  std::vector<std::string_view> members;
  while (!list.empty()) {
    const std::string_view member = next_member(list);
    if (!member.empty()) members.push_back(member);
  }
  return members;
}

std::optional<Authority> parse_authority(std::string_view text) noexcept {
  size_t host_size = 0;
  if (!text.empty() && text.front() == '[') {
    host_size = ip_literal_size(text);
  } else {
    while (host_size < text.size() && is_in_class(text[host_size], kHostChar)) ++host_size;
  }
  if (host_size == 0) return std::nullopt;
  Authority authority{text.substr(0, host_size), std::nullopt};
  const std::string_view rest = text.substr(host_size);
  if (rest.empty() || rest == ":") return authority;
  const int32_t port = rest.front() == ':' ? parse_port(rest.substr(1)) : -1;
  if (port < 0) return std::nullopt;
  authority.port = static_cast<uint16_t>(port);
  return authority;
}

}  // namespace wsb::core
