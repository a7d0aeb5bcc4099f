// Client addresses through trusted proxies: CIDR sets and X-Forwarded-For. Pure text and bits.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/request.h"

namespace wsb::core {

// IPv4 is kept as IPv4-mapped IPv6, so one comparison serves both.
using IpBytes = std::array<uint8_t, 16>;

// An address in text, without port or brackets; "::ffff:1.2.3.4" equals "1.2.3.4". nullopt if it is none. Zone ids are
// refused.
std::optional<IpBytes> parse_ip(std::string_view text) noexcept;
// As the peer is shown: dotted quad for mapped addresses, RFC 5952 otherwise.
std::string format_ip(const IpBytes& ip);

class CidrSet {
 public:
  // "10.0.0.0/8, 127.0.0.1, fd00::/8, unix"; bits beyond the prefix are ignored. False with the offending member in
  // `bad`, and the set as it was.
  bool add_list(std::string_view list, std::string& bad);
  // `peer` is an address, or "unix" for a Unix socket's peer.
  bool contains(std::string_view peer) const noexcept;
  bool contains(const IpBytes& ip) const noexcept;
  bool empty() const noexcept { return blocks_.empty() && !unix_; }

 private:
  struct Block {
    IpBytes address;
    uint8_t prefix;  // bits, of the mapped form
  };
  std::vector<Block> blocks_;
  bool unix_ = false;
};

// The client's address: `peer` (an address or "unix") unless it is trusted; else the rightmost X-Forwarded-For member
// (all headers of that name joined in order, empty members skipped) that is not itself trusted; the leftmost if all
// are. A malformed member ends the search: the address right of it counts (or `peer`). Members may carry a port
// ("1.2.3.4:5", "[::1]:5"), which is dropped. The result is format_ip's text, or "unix".
std::string client_address(std::string_view peer, const Request& request, const CidrSet& trusted);

}  // namespace wsb::core
