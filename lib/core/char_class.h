// Classes of bytes in HTTP text, one table look-up each.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace wsb::core {

inline constexpr uint8_t kTokenChar = 1;    // tchar (RFC 9110, 5.6.2)
inline constexpr uint8_t kTargetChar = 2;   // printable ASCII without blank and '#'
inline constexpr uint8_t kValueChar = 4;    // field-content, blanks, tabs, obs-text (RFC 9110, 5.5)
inline constexpr uint8_t kHostChar = 8;     // reg-name (RFC 3986, 3.2.2)
inline constexpr uint8_t kBearerChar = 16;  // b64token without its padding (RFC 6750, 2.1)

inline constexpr std::array<uint8_t, 256> make_char_classes() noexcept {
  std::array<uint8_t, 256> classes{};
  for (unsigned c = 0x21; c < 0x7F; ++c) classes[c] = kTargetChar | kValueChar;
  for (unsigned c = 0x80; c < 0x100; ++c) classes[c] = kValueChar;
  classes['\t'] = classes[' '] = kValueChar;
  classes['#'] = kValueChar;
  const auto add = [&classes](std::string_view members, uint8_t bits) {
    for (const char c : members) {
      uint8_t& entry = classes[static_cast<uint8_t>(c)];
      entry = static_cast<uint8_t>(entry | bits);
    }
  };
  add("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", kTokenChar | kHostChar | kBearerChar);
  add("!#$%&'*+-.^_`|~", kTokenChar);
  add("-._~%!$&'()*+,;=", kHostChar);
  add("-._~+/", kBearerChar);
  return classes;
}

inline constexpr std::array<uint8_t, 256> kCharClasses = make_char_classes();

inline constexpr bool is_in_class(char c, uint8_t bits) noexcept {
  return (kCharClasses[static_cast<uint8_t>(c)] & bits) != 0;
}

inline constexpr bool all_in_class(std::string_view text, uint8_t bits) noexcept {
  for (const char c : text) {
    if (!is_in_class(c, bits)) return false;
  }
  return true;
}

inline constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
inline constexpr bool is_alpha(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
inline constexpr char ascii_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// Value of a hexadecimal digit, -1 for other characters.
inline constexpr int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char lower = ascii_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// A port number of 1 to 5 digits up to 65535, -1 for other text.
inline constexpr int32_t parse_port(std::string_view text) noexcept {
  if (text.empty() || text.size() > 5) return -1;
  int32_t port = 0;
  for (const char c : text) {
    if (!is_digit(c)) return -1;
    port = port * 10 + (c - '0');
  }
  return port <= 65535 ? port : -1;
}

}  // namespace wsb::core
