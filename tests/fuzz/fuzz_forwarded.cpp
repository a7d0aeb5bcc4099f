// Client addresses. The input's lines: the peer, the trusted list, then one X-Forwarded-For value each.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/proxy.h"

namespace {

using namespace wsb::core;

void require(bool holds) {
  if (!holds) std::abort();
}

std::vector<std::string_view> lines_of(std::string_view bytes) {
  std::vector<std::string_view> lines;
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    lines.push_back(bytes.substr(0, end));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  return lines;
}

Request with_values(const std::vector<std::string_view>& values) {
  Request request;
  for (const std::string_view value : values) request.headers.push_back({"X-Forwarded-For", value});
  return request;
}

void check_ip_text(std::string_view text) {
  const auto ip = parse_ip(text);
  if (!ip) return;
  const std::string shown = format_ip(*ip);
  const auto again = parse_ip(shown);
  require(again && *again == *ip && format_ip(*again) == shown);
}

// The peer as it must be shown when nobody else is believed.
std::string peer_text(std::string_view peer) {
  const auto ip = parse_ip(peer);
  return ip ? format_ip(*ip) : std::string(peer);
}

void check_client(std::string_view peer, const std::vector<std::string_view>& values, const CidrSet& trusted) {
  const std::string client = client_address(peer, with_values(values), trusted);
  const auto ip = parse_ip(client);
  require(ip ? format_ip(*ip) == client : client == peer_text(peer));
  if (!trusted.contains(peer)) {
    require(client == peer_text(peer));
    return;
  }
  // One list is as good as several headers.
  std::string joined;
  for (const std::string_view value : values) joined.append(joined.empty() ? "" : ",").append(value);
  require(client_address(peer, with_values({joined}), trusted) == client);
  // Whatever a client puts in front of what the proxies added changes nothing, once an address that is not a proxy's was found.
  if (ip && !trusted.contains(*ip)) {
    std::vector<std::string_view> spoofed = values;
    spoofed.insert(spoofed.begin(), "198.51.100.1, junk");
    require(client_address(peer, with_values(spoofed), trusted) == client);
  }
  // The nearest proxy's word counts first.
  constexpr std::string_view kOutside = "203.0.113.9";
  if (!trusted.contains(kOutside)) {
    std::vector<std::string_view> appended = values;
    appended.push_back(kOutside);
    require(client_address(peer, with_values(appended), trusted) == kOutside);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::string_view> lines = lines_of({reinterpret_cast<const char*>(data), size});
  for (const std::string_view line : lines) check_ip_text(line);
  if (lines.size() < 2) return 0;
  const std::string_view peer = lines[0];
  CidrSet trusted;
  std::string bad;
  if (!trusted.add_list(lines[1], bad)) {
    require(!bad.empty() && trusted.empty());
    require(lines[1].find(bad) != std::string_view::npos);
  }
  lines.erase(lines.begin(), lines.begin() + 2);
  check_client(peer, lines, trusted);
  return 0;
}
