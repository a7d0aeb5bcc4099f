// The HTTP/1.1 request head of a handshake or a plain request (RFC 9112, strictly), and what can be read out of it.
// Pure text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wsb::core {

inline constexpr size_t kMaxRequestHeaders = 100;  // our bound; browsers send about 15

struct Header {
  std::string_view name;
  std::string_view value;  // without leading and trailing blanks
};

// Views point into the head that was parsed.
struct Request {
  std::string_view method;
  std::string_view target;  // as sent
  std::string_view path;    // of an origin-form or absolute-form target, "*" for asterisk-form; never empty
  std::string_view query;   // after the first '?', without it
  std::string_view host;    // with its port: of an absolute-form target, else the Host header (RFC 9112, 3.2.2)
  uint8_t version_minor = 1;
  std::vector<Header> headers;

  // The single value of a header, any case of the name; nullopt if absent. With several of that name: the first.
  std::optional<std::string_view> header(std::string_view name) const noexcept;
  size_t count(std::string_view name) const noexcept;
  // All values joined with ", " (empty if absent).
  std::string joined(std::string_view name) const;
  // Is `token` (any case) a member of the comma-separated list(s) `name`.
  bool has_token(std::string_view name, std::string_view token) const noexcept;
};

enum class RequestResult : uint8_t {
  kOk,
  kNeedMore,
  kBad,         // 400
  kTooBig,      // 431: no end of head within max_bytes, or too many headers
  kBadVersion,  // 505: a well-formed request line with HTTP/x.y other than 1.0 or 1.1
};

// Looks for a whole head at the start of `bytes`. On kOk `head_bytes` is its size with the empty line. Otherwise `out`
// is unspecified (pass the same one again: it keeps its memory). Strict: CRLF line ends only, no empty line before the
// request line, no obs-fold, no blank before a colon, names are tokens, values without control characters (tab and
// obs-text allowed), no NUL, target printable ASCII without blanks or '#' in origin-form, absolute-form (http, https,
// ws, wss; no user) or, for OPTIONS, asterisk-form. Host exactly once for 1.1, and a well-formed authority or empty.
// Content-Length one number, never together with Transfer-Encoding, which 1.0 may not use. Refused when repeated: Host,
// Origin, Sec-WebSocket-Key, Sec-WebSocket-Version, Authorization, Content-Length. More than kMaxRequestHeaders:
// kTooBig. Errors are found as early as the bytes allow (a first byte that can start no method is kBad at once; TLS
// hello for instance), and bytes that come in pieces get the same verdict as the whole. `text` gets a one-line English
// reason on errors, static storage.
RequestResult parse_request(std::string_view bytes, size_t max_bytes, Request& out, size_t& head_bytes,
                            const char*& text);

bool is_token(std::string_view text) noexcept;  // RFC 9110, 5.6.2
bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;
std::string_view trim(std::string_view text) noexcept;  // blanks and tabs

// Splits a comma-separated list into trimmed, non-empty members.
std::vector<std::string_view> split_list(std::string_view list);

// host [":" port] (RFC 3986, 3.2.2) without user; views and values of the text given.
struct Authority {
  std::string_view host;         // never empty; with brackets for IPv6
  std::optional<uint16_t> port;  // nullopt if absent or empty
};
std::optional<Authority> parse_authority(std::string_view text) noexcept;

// Value of the first cookie of this name in all Cookie headers (RFC 6265, 5.4; surrounding double quotes removed).
std::optional<std::string> cookie(const Request& request, std::string_view name);
// First query parameter of this name; percent and plus decoded; a bad escape stays as it is, and so does %00 (readers
// in C would see the text cut there). The name is compared decoded.
std::optional<std::string> query_param(std::string_view query, std::string_view name);

struct Basic {
  std::string user;
  std::string password;
};
// RFC 7617; nullopt if absent or malformed: not padded base64, no colon, control characters.
std::optional<Basic> basic_credentials(const Request& request);
// RFC 6750; nullopt if absent or not a b64token.
std::optional<std::string> bearer_token(const Request& request);

}  // namespace wsb::core
