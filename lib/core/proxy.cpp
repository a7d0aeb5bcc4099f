// Addresses in text and bits, and the walk through X-Forwarded-For from the nearest proxy outwards.
#include "core/proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "core/char_class.h"

namespace wsb::core {
namespace {

constexpr std::string_view kUnix = "unix";
constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};  // RFC 4291, 2.5.5.2
constexpr int kMappedBits = 96;
constexpr int kAllBits = 128;

bool is_mapped(const IpBytes& ip) noexcept {
  return std::memcmp(ip.data(), kMappedPrefix, sizeof kMappedPrefix) == 0;
}

// The part of `text` that names the address: without brackets and port. Empty if it is malformed.
std::string_view without_port(std::string_view text) noexcept {
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return {};
    const std::string_view rest = text.substr(close + 1);
    const std::string_view inside = text.substr(1, close - 1);
    const bool port_fits = rest.empty() || (rest.front() == ':' && parse_port(rest.substr(1)) >= 0);
    return port_fits && inside.find(':') != std::string_view::npos ? inside : std::string_view{};
  }
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) return text;
  return parse_port(text.substr(colon + 1)) >= 0 ? text.substr(0, colon) : std::string_view{};
}

// Prefix length in bits of the mapped form, -1 if it is none.
int parse_prefix(std::string_view text, bool v4) noexcept {
  constexpr size_t kMostDigits = 3;
  const int32_t bits = text.size() <= kMostDigits ? parse_port(text) : -1;
  if (bits < 0 || bits > (v4 ? kAllBits - kMappedBits : kAllBits)) return -1;
  return v4 ? bits + kMappedBits : bits;
}

bool same_prefix(const IpBytes& a, const IpBytes& b, unsigned bits) noexcept {
  const size_t whole = bits / 8;
  if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  const unsigned mask = 0xFFU << (8 - bits % 8) & 0xFF;
  return ((static_cast<unsigned>(a[whole]) ^ b[whole]) & mask) == 0;
}

std::string shown(std::string_view peer) {
  const auto ip = parse_ip(peer);
  return ip ? format_ip(*ip) : std::string(peer);
}

}  // namespace

std::optional<IpBytes> parse_ip(std::string_view text) noexcept {
  char buffer[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof buffer || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  IpBytes ip;
  if (text.find(':') != std::string_view::npos) {
    if (inet_pton(AF_INET6, buffer, ip.data()) != 1) return std::nullopt;
    return ip;
  }
  std::memcpy(ip.data(), kMappedPrefix, sizeof kMappedPrefix);
  if (inet_pton(AF_INET, buffer, ip.data() + sizeof kMappedPrefix) != 1) return std::nullopt;
  return ip;
}

std::string format_ip(const IpBytes& ip) {
  char buffer[INET6_ADDRSTRLEN];
  const bool mapped = is_mapped(ip);
  const void* bytes = mapped ? ip.data() + sizeof kMappedPrefix : ip.data();
  const char* text = inet_ntop(mapped ? AF_INET : AF_INET6, bytes, buffer, sizeof buffer);
  return text == nullptr ? std::string() : std::string(text);
}

bool CidrSet::add_list(std::string_view list, std::string& bad) {
  CidrSet grown = *this;
  for (const std::string_view member : split_list(list)) {
    if (equals_ignoring_case(member, kUnix)) {
      grown.unix_ = true;
      continue;
    }
    const size_t slash = std::min(member.find('/'), member.size());
    const std::string_view text = member.substr(0, slash);
    const bool v4 = text.find(':') == std::string_view::npos;
    const auto ip = parse_ip(text);
    const int prefix = slash == member.size() ? kAllBits : parse_prefix(member.substr(slash + 1), v4);
    if (!ip || prefix < 0) {
      bad = member;
      return false;
    }
    grown.blocks_.push_back({*ip, static_cast<uint8_t>(prefix)});
  }
  *this = std::move(grown);
  return true;
}

bool CidrSet::contains(std::string_view peer) const noexcept {
  if (peer == kUnix) return unix_;
  const auto ip = parse_ip(peer);
  return ip && contains(*ip);
}

bool CidrSet::contains(const IpBytes& ip) const noexcept {
  return std::any_of(blocks_.begin(), blocks_.end(),
                     [&ip](const Block& block) { return same_prefix(ip, block.address, block.prefix); });
}

std::string client_address(std::string_view peer, const Request& request, const CidrSet& trusted) {
  if (trusted.empty() || !trusted.contains(peer)) return shown(peer);
  std::optional<IpBytes> nearest;  // the leftmost address believed so far
  const auto answer = [&] { return nearest ? format_ip(*nearest) : shown(peer); };
  for (auto header = request.headers.rbegin(); header != request.headers.rend(); ++header) {
    if (!equals_ignoring_case(header->name, "X-Forwarded-For")) continue;
    std::string_view rest = header->value;
    while (!rest.empty()) {
      const size_t comma = rest.rfind(',');
      const size_t start = comma == std::string_view::npos ? 0 : comma + 1;
      const std::string_view member = trim(rest.substr(start));
      rest = rest.substr(0, start == 0 ? 0 : comma);
      if (member.empty()) continue;
      const auto ip = parse_ip(without_port(member));
      if (!ip) return answer();
      nearest = ip;
      if (!trusted.contains(*ip)) return answer();
    }
  }
  return answer();
}

}  // namespace wsb::core
