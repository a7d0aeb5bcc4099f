// The opening handshake judged (RFC 6455, section 4.2): version, key, subprotocol, extensions. The answers are in
// http_response.cpp.
#include "core/handshake.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <new>

#include "core/app_beat.h"
#include "core/char_class.h"
#include "wsbeat/wsbeat.h"

namespace wsb::core {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
constexpr std::string_view kVersion = "13";

bool refuse(Refusal& refusal, uint32_t status, uint32_t cause, std::string_view body) {
  refusal.status = status;
  refusal.refusal = cause;
  refusal.body = body;
  return false;
}

bool bad_request(Refusal& refusal, std::string_view body) {
  return refuse(refusal, 400, WSB_REFUSAL_BAD_REQUEST, body);
}

bool judge_request_line(const Request& request, Refusal& refusal) {
  if (request.method != "GET") {
    refusal.headers.emplace_back("Allow", "GET");
    return refuse(refusal, 405, WSB_REFUSAL_BAD_REQUEST, "A WebSocket handshake is a GET request.");
  }
  if (request.version_minor != 1) {
    return refuse(refusal, 505, WSB_REFUSAL_BAD_REQUEST, "A WebSocket handshake needs HTTP/1.1.");
  }
  return true;
}

bool judge_upgrade(const Request& request, Refusal& refusal) {
  if (request.host.empty()) return bad_request(refusal, "Host is empty.");
  if (!wants_websocket(request)) return bad_request(refusal, "Upgrade does not say websocket.");
  if (!request.has_token("Connection", "Upgrade")) return bad_request(refusal, "Connection does not say Upgrade.");
  return true;
}

// 22 characters of base64 carry 132 bits: 16 bytes and four bits of padding.
bool is_key(std::string_view key) noexcept {
  constexpr size_t kSize = 24;
  constexpr size_t kDigits = 22;
  if (key.size() != kSize || key.substr(kDigits) != "==") return false;
  const std::string_view digits = key.substr(0, kDigits);
  return std::all_of(digits.begin(), digits.end(),
                     [](char c) { return is_alpha(c) || is_digit(c) || c == '+' || c == '/'; });
}

bool judge_version_and_key(const Request& request, Refusal& refusal) {
  const auto version = request.header("Sec-WebSocket-Version");
  if (!version) return bad_request(refusal, "Sec-WebSocket-Version is missing.");
  if (*version != kVersion) {
    refusal.headers.emplace_back("Sec-WebSocket-Version", kVersion);
    return refuse(refusal, 426, WSB_REFUSAL_VERSION, "Only version 13 of the WebSocket protocol is spoken here.");
  }
  const auto key = request.header("Sec-WebSocket-Key");
  if (!key) return bad_request(refusal, "Sec-WebSocket-Key is missing.");
  if (!is_key(*key)) return bad_request(refusal, "Sec-WebSocket-Key is not 16 bytes in base64.");
  return true;
}

// RFC 6455, 4.1 (10): tokens, all different.
bool read_subprotocols(const Request& request, std::vector<std::string>& offered, Refusal& refusal) {
  constexpr std::string_view kName = "Sec-WebSocket-Protocol";
  bool present = false;
  std::vector<std::string_view> names;
  for (const Header& header : request.headers) {
    if (!equals_ignoring_case(header.name, kName)) continue;
    present = true;
    const std::vector<std::string_view> members = split_list(header.value);
    names.insert(names.end(), members.begin(), members.end());
  }
  if (!present) return true;
  if (names.empty() || !std::all_of(names.begin(), names.end(), is_token)) {
    return bad_request(refusal, "Sec-WebSocket-Protocol is not a list of tokens.");
  }
  offered.assign(names.begin(), names.end());
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end()) {
    return bad_request(refusal, "Sec-WebSocket-Protocol names a subprotocol twice.");
  }
  return true;
}

bool read_extensions(const Request& request, const DeflateConfig& config, Handshake& out, Refusal& refusal) {
  constexpr std::string_view kName = "Sec-WebSocket-Extensions";
  const auto first = request.header(kName);
  if (!first) return true;
  const bool well_formed = request.count(kName) == 1
                               ? negotiate_deflate(*first, config, out.deflate, out.deflate_response)
                               : negotiate_deflate(request.joined(kName), config, out.deflate, out.deflate_response);
  return well_formed || bad_request(refusal, "Sec-WebSocket-Extensions is not well-formed.");
}

bool judge_body(const Request& request, Refusal& refusal) {
  const auto length = request.header("Content-Length");
  const bool has_length = length && length->find_first_not_of('0') != std::string_view::npos;
  if (has_length || request.header("Transfer-Encoding"))
    return bad_request(refusal, "A WebSocket handshake has no body.");
  return true;
}

bool judge_origin(const Request& request, const HandshakeConfig& config, Refusal& refusal) {
  const auto origin = request.header("Origin");
  if (!origin || origin_allowed(*origin, request.host, config.origins)) return true;
  return refuse(refusal, 403, WSB_REFUSAL_ORIGIN, "This origin is not allowed.");
}

bool choose_subprotocol(const HandshakeConfig& config, Handshake& out, Refusal& refusal) {
  for (const std::string& spoken : config.subprotocols) {
    if (std::find(out.offered.begin(), out.offered.end(), spoken) == out.offered.end()) continue;
    out.subprotocol = spoken;
    return true;
  }
  if (!config.require_subprotocol) return true;
  std::string list;
  for (const std::string& spoken : config.subprotocols) {
    if (!list.empty()) list += ", ";
    list += spoken;
  }
  refuse(refusal, 400, WSB_REFUSAL_SUBPROTOCOL, "One of these subprotocols is needed: ");
  refusal.body += list;
  refusal.headers.emplace_back("Sec-WebSocket-Protocol", std::move(list));
  return false;
}

void judge_app_beat(const Request& request, const HandshakeConfig& config, Handshake& out) {
  if (!config.app_beat) return;
  const bool offered = std::find(out.offered.begin(), out.offered.end(), kAppBeatSubprotocol) != out.offered.end();
  if (offered && out.subprotocol.empty()) out.subprotocol = kAppBeatSubprotocol;
  out.wants_app_beat = offered || query_param(request.query, kAppBeatParameter) == kAppBeatParameterValue;
}

}  // namespace

bool wants_websocket(const Request& request) noexcept {
  return request.has_token("Upgrade", "websocket");
}

bool judge_handshake(const Request& request, const HandshakeConfig& config, Handshake& out, Refusal& refusal) {
  out = {};
  refusal = {};
  if (!judge_request_line(request, refusal) || !judge_upgrade(request, refusal) ||
      !judge_version_and_key(request, refusal) || !read_subprotocols(request, out.offered, refusal) ||
      !read_extensions(request, config.deflate, out, refusal) || !judge_body(request, refusal) ||
      !judge_origin(request, config, refusal) || !choose_subprotocol(config, out, refusal)) {
    return false;
  }
  judge_app_beat(request, config, out);
  out.accept = accept_for_key(*request.header("Sec-WebSocket-Key"));
  return true;
}

std::string accept_for_key(std::string_view key) {
  std::string text;
  text.reserve(key.size() + kGuid.size());
  text.append(key).append(kGuid);
  unsigned char digest[SHA_DIGEST_LENGTH];
  if (SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest) == nullptr) throw std::bad_alloc();
  unsigned char encoded[(SHA_DIGEST_LENGTH + 2) / 3 * 4 + 1];
  const int size = EVP_EncodeBlock(encoded, digest, SHA_DIGEST_LENGTH);
  return std::string(reinterpret_cast<const char*>(encoded), static_cast<size_t>(size));
}

}  // namespace wsb::core
