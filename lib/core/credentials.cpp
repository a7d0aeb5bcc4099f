// What a client says about itself in a request: cookies, query parameters, Basic and Bearer credentials.
#include <algorithm>

#include "core/char_class.h"
#include "core/request.h"

namespace wsb::core {
namespace {

int base64_value(char c) noexcept {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (is_digit(c)) return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// RFC 4648, 4, padding required; spare bits of the last character are not looked at.
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() * 3 / 4);
  unsigned bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const int value = base64_value(c);
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<unsigned>(value)) & 0xFFFF;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>(bits >> held & 0xFF);
  }
  return out;
}

// What follows the scheme in Authorization; nullopt if there is none or another scheme.
std::optional<std::string_view> authorization(const Request& request, std::string_view scheme) noexcept {
  const auto value = request.header("Authorization");
  if (!value || value->size() <= scheme.size() || (*value)[scheme.size()] != ' ') return std::nullopt;
  if (!equals_ignoring_case(value->substr(0, scheme.size()), scheme)) return std::nullopt;
  return trim(value->substr(scheme.size()));
}

bool has_controls(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

// Takes one decoded character from the front of `rest`, which is not empty.
char next_query_char(std::string_view& rest) noexcept {
  char c = rest.front();
  size_t taken = 1;
  if (c == '+') {
    c = ' ';
  } else if (c == '%' && rest.size() >= 3) {
    const int high = hex_value(rest[1]);
    const int low = hex_value(rest[2]);
    if (high >= 0 && low >= 0 && (high | low) != 0) {
      c = static_cast<char>(high << 4 | low);
      taken = 3;
    }
  }
  rest.remove_prefix(taken);
  return c;
}

bool equals_decoded(std::string_view raw, std::string_view text) noexcept {
  size_t i = 0;
  while (!raw.empty()) {
    if (i == text.size() || next_query_char(raw) != text[i]) return false;
    ++i;
  }
  return i == text.size();
}

}  // namespace

std::optional<std::string> cookie(const Request& request, std::string_view name) {
  for (const Header& header : request.headers) {
    if (!equals_ignoring_case(header.name, "Cookie")) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(';'), rest.size());
      const std::string_view pair = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const size_t equals = pair.find('=');
      if (equals == std::string_view::npos || trim(pair.substr(0, equals)) != name) continue;
      std::string_view value = trim(pair.substr(equals + 1));
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      return std::string(value);
    }
  }
  return std::nullopt;
}

std::optional<std::string> query_param(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.empty() || !equals_decoded(pair.substr(0, equals), name)) continue;
    std::string_view raw = pair.substr(std::min(equals + 1, pair.size()));
    std::string value;
    value.reserve(raw.size());
    while (!raw.empty()) value += next_query_char(raw);
    return value;
  }
  return std::nullopt;
}

std::optional<Basic> basic_credentials(const Request& request) {
  const auto encoded = authorization(request, "Basic");
  if (!encoded) return std::nullopt;
  const auto decoded = decode_base64(*encoded);
  if (!decoded || has_controls(*decoded)) return std::nullopt;
  const size_t colon = decoded->find(':');
  if (colon == std::string::npos) return std::nullopt;
  return Basic{decoded->substr(0, colon), decoded->substr(colon + 1)};
}

std::optional<std::string> bearer_token(const Request& request) {
  const auto token = authorization(request, "Bearer");
  if (!token || token->empty()) return std::nullopt;
  const size_t last = token->find_last_not_of('=');
  if (last == std::string_view::npos || !all_in_class(token->substr(0, last + 1), kBearerChar)) return std::nullopt;
  return std::string(*token);
}

}  // namespace wsb::core
