// The opening handshake (RFC 6455, section 4.2) judged and answered, and plain HTTP answers built. Pure text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/deflate.h"
#include "core/request.h"

namespace wsb::core {

struct HandshakeConfig {
  std::vector<std::string> subprotocols;  // in order of preference
  bool require_subprotocol = false;
  std::vector<std::string> origins;  // patterns, '*' for any run of characters
  DeflateConfig deflate;
  bool app_beat = false;  // clients may ask for application beats
};

// Whether a request wants to be a WebSocket at all: it has an Upgrade header with the token "websocket" (any case).
bool wants_websocket(const Request& request) noexcept;

struct Refusal {
  uint32_t status = 0;
  uint32_t refusal = 0;                                      // WSB_REFUSAL_*
  std::string body;                                          // one plain line for people
  std::vector<std::pair<std::string, std::string>> headers;  // for instance Sec-WebSocket-Version: 13
};

struct Handshake {
  std::string accept;                // Sec-WebSocket-Accept
  std::vector<std::string> offered;  // subprotocols of the client, in its order
  std::string subprotocol;           // chosen, "" if none
  bool wants_app_beat = false;
  DeflateParams deflate;
  std::string deflate_response;  // value of Sec-WebSocket-Extensions, "" if none
};

// `request` comes from parse_request, which has judged repeated headers. True: `out` is filled and 101 may be answered.
// False: `refusal` is. Order of checks: method GET (405 with Allow), HTTP/1.1 (505 with refusal BAD_REQUEST for 1.0),
// Host not empty (400), Upgrade and Connection tokens (400), version (426 with Sec-WebSocket-Version: 13; absent: 400),
// key (one, base64 of exactly 16 bytes; 400), subprotocol list of at least one token and without repetition (400),
// extension header well-formed (400), no body (Content-Length other than 0 or Transfer-Encoding: 400), origin (403),
// subprotocol required (400; body and header Sec-WebSocket-Protocol list what is spoken).
// With `app_beat` the subprotocol that asks for beats is chosen where no other is (browsers insist on one of those they offered), but does not
// stand for one that is required.
bool judge_handshake(const Request& request, const HandshakeConfig& config, Handshake& out, Refusal& refusal);

// RFC 6454 origin against Host and patterns, any case. This server's own scheme does not matter behind a TLS proxy, so
// of http and https origins only host and port are compared, a default port (80, 443) equal to an absent one. "null"
// and other schemes match only a pattern; what is not one serialized origin (several, a path, a user) only the pattern
// "*".
bool origin_allowed(std::string_view origin, std::string_view host, const std::vector<std::string>& patterns);

// '*' matches any run of characters, also none; everything else itself, ASCII case ignored. Linear time in practice,
// never exponential.
bool matches_pattern(std::string_view text, std::string_view pattern) noexcept;

// Sec-WebSocket-Accept for a key (SHA-1 and base64 by libcrypto). `key` is the header's text.
std::string accept_for_key(std::string_view key);

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// The 101 answer, with the application's headers (each passed may_add_header).
std::string build_switching_protocols(const Handshake& handshake, const HeaderList& extra);

// A whole answer with Content-Length and Connection: close, without Date (no clock here); 426 says Upgrade: websocket
// too, as it must (RFC 9110, 15.5.22). `head_only`: HEAD request, no body; 204, 205 and 304 have none either.
// `content_type` may be empty (no such header) and, as `extra`, must be free of control characters.
std::string build_response(uint32_t status, std::string_view content_type, std::string_view body,
                           const HeaderList& extra, bool head_only);

// May an application add this header: name a token, value without line breaks or control characters, and not one that
// the library sets (Connection, Upgrade, Content-Length, Content-Type, Transfer-Encoding, Sec-WebSocket-*).
bool may_add_header(std::string_view name, std::string_view value) noexcept;

// Status line text ("Not Found") as IANA registers it, "Unknown" for other codes.
std::string_view status_text(uint32_t status) noexcept;

}  // namespace wsb::core
