// Version 1 is one line of text, version 2 a binary block that tells its own length.
#include "core/proxy_header.h"

#include <algorithm>
#include <cstring>

#include "core/char_class.h"
#include "core/request.h"

namespace wsb::core {
namespace {

using Result = ProxyHeaderResult;

constexpr std::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kFixedBytes2 = 16;    // signature, version and command, family and transport, length
constexpr size_t kMostBytes1 = 107;    // with the line's end
constexpr size_t kAddressBytes4 = 12;  // two addresses, two ports
constexpr size_t kAddressBytes6 = 36;
constexpr size_t kAddressBytesUnix = 216;

Result bad(const char*& text, const char* why) noexcept {
  text = why;
  return Result::kBad;
}

// The next word and the space behind it, taken from `line`; empty if there is none.
std::string_view take_word(std::string_view& line) noexcept {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return {};
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(space + 1);
  return word;
}

// Decimal, without leading zeros; -1 if it is none.
int32_t port_of(std::string_view text) noexcept {
  if (text.size() > 1 && text.front() == '0') return -1;
  return parse_port(text);
}

// `line` is what follows "PROXY ", without its end.
Result parse_line(std::string_view line, ProxyHeader& out, const char*& text) noexcept {
  constexpr std::string_view kUnknown = "UNKNOWN";
  if (line == kUnknown || (line.substr(0, kUnknown.size()) == kUnknown && line[kUnknown.size()] == ' '))
    return Result::kOk;
  const std::string_view family = take_word(line);
  if (family != "TCP4" && family != "TCP6") return bad(text, "PROXY line: neither TCP4, TCP6 nor UNKNOWN");
  const std::string_view addresses[] = {take_word(line), take_word(line)};
  const int32_t source_port = port_of(take_word(line));
  const bool v6 = family == "TCP6";
  for (const std::string_view address : addresses) {
    if ((address.find(':') != std::string_view::npos) != v6 || !parse_ip(address))
      return bad(text, "PROXY line: malformed address");
  }
  if (source_port < 0 || port_of(line) < 0) return bad(text, "PROXY line: malformed port");
  out.source = parse_ip(addresses[0]);
  out.source_port = static_cast<uint16_t>(source_port);
  return Result::kOk;
}

Result parse_v1(std::string_view seen, ProxyHeader& out, const char*& text) noexcept {
  constexpr std::string_view kEnd = "\r\n";
  const size_t end = seen.substr(0, kMostBytes1).find(kEnd);
  if (end == std::string_view::npos)
    return seen.size() < kMostBytes1 ? Result::kNeedMore : bad(text, "PROXY line: too long");
  out.bytes = end + kEnd.size();
  constexpr size_t kStart = 6;  // "PROXY "
  return parse_line(seen.substr(kStart, end - kStart), out, text);
}

uint16_t big_endian(std::string_view two) noexcept {
  return static_cast<uint16_t>(static_cast<uint8_t>(two[0]) << 8 | static_cast<uint8_t>(two[1]));
}

Result parse_addresses(unsigned family, std::string_view block, ProxyHeader& out, const char*& text) noexcept {
  enum : unsigned { kUnspecified = 0x00, kTcp4 = 0x11, kTcp6 = 0x21, kUnixStream = 0x31 };
  IpBytes ip{};
  switch (family) {
    case kUnspecified:
      return Result::kOk;
    case kUnixStream:
      return block.size() >= kAddressBytesUnix ? Result::kOk : bad(text, "PROXY block: shorter than its addresses");
    case kTcp4:
      if (block.size() < kAddressBytes4) return bad(text, "PROXY block: shorter than its addresses");
      ip[10] = ip[11] = 0xFF;
      std::memcpy(&ip[12], block.data(), 4);
      out.source_port = big_endian(block.substr(8));
      break;
    case kTcp6:
      if (block.size() < kAddressBytes6) return bad(text, "PROXY block: shorter than its addresses");
      std::memcpy(ip.data(), block.data(), ip.size());
      out.source_port = big_endian(block.substr(32));
      break;
    default:
      return bad(text, "PROXY block: family or transport that is not spoken here");
  }
  out.source = ip;
  return Result::kOk;
}

Result parse_v2(std::string_view seen, ProxyHeader& out, const char*& text) noexcept {
  enum : unsigned { kLocal = 0x20, kProxy = 0x21 };
  const auto at = [&](size_t i) { return static_cast<unsigned>(static_cast<uint8_t>(seen[i])); };
  if (seen.size() > kSignature2.size() && at(12) != kLocal && at(12) != kProxy)
    return bad(text, "PROXY block: unknown version or command");
  if (seen.size() < kFixedBytes2) return Result::kNeedMore;
  const size_t length = big_endian(seen.substr(14));
  if (kFixedBytes2 + length > kMostProxyHeaderBytes) return bad(text, "PROXY block: too long");
  if (seen.size() < kFixedBytes2 + length) return Result::kNeedMore;
  out.bytes = kFixedBytes2 + length;
  return at(12) == kLocal ? Result::kOk : parse_addresses(at(13), seen.substr(kFixedBytes2, length), out, text);
}

}  // namespace

ProxyHeaderResult parse_proxy_header(std::string_view seen, ProxyHeader& out, const char*& text) noexcept {
  constexpr std::string_view kSignature1 = "PROXY ";
  out = {};
  const auto begins_as = [&](std::string_view signature) {
    const size_t n = std::min(seen.size(), signature.size());
    return seen.substr(0, n) == signature.substr(0, n);
  };
  if (begins_as(kSignature1)) return seen.size() < kSignature1.size() ? Result::kNeedMore : parse_v1(seen, out, text);
  if (begins_as(kSignature2)) return seen.size() < kSignature2.size() ? Result::kNeedMore : parse_v2(seen, out, text);
  return bad(text, "no PROXY header");
}

}  // namespace wsb::core
