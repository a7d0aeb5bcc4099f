// The header that a proxy puts before a connection's first byte: PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt). Pure bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/proxy.h"

namespace wsb::core {

// Longer ones are refused. Addresses take at most 232 bytes; what follows them in version 2 (type-length-values) is skipped.
inline constexpr size_t kMostProxyHeaderBytes = 4096;

struct ProxyHeader {
  std::optional<IpBytes> source;  // none: the proxy speaks for itself, or does not tell whom it speaks for
  uint16_t source_port = 0;
  size_t bytes = 0;  // of the whole header; the connection's own bytes begin behind it
};

enum class ProxyHeaderResult { kOk, kNeedMore, kBad };

// `seen` is a connection's beginning. After kNeedMore every byte of it belongs to the header. After kBad `text` says why.
ProxyHeaderResult parse_proxy_header(std::string_view seen, ProxyHeader& out, const char*& text) noexcept;

}  // namespace wsb::core
