// Comparing secrets and refusing handshakes.
#include "auth.h"

#include <cstdint>
#include <string>

namespace tool {
namespace {

constexpr std::string_view kTokenSubprotocol = "wsbeat.token.";

// RFC 4648, section 5, without padding: all its characters may stand in a subprotocol's name.
std::string base64url(std::string_view text) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string encoded;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) encoded += digits[bits >> (count - 6) & 63];
  }
  if (count > 0) encoded += digits[bits << (6 - count) & 63];
  return encoded;
}

bool offers_token(const wsb_request *request, std::string_view secret) {
  const std::string encoded = base64url(secret);
  bool found = false;
  for (size_t at = 0; const char *offered = wsb_request_subprotocol_at(request, at); ++at) {
    const std::string_view name = offered;
    if (name.substr(0, kTokenSubprotocol.size()) != kTokenSubprotocol) continue;
    if (equal_in_constant_time(name.substr(kTokenSubprotocol.size()), encoded)) found = true;
  }
  return found;
}

}  // namespace

bool equal_in_constant_time(std::string_view given, std::string_view secret) {
  if (secret.empty()) return given.empty();
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (size_t at = 0; at < given.size(); ++at) {
    difference |= static_cast<unsigned char>(given[at]) ^ static_cast<unsigned char>(secret[at % secret.size()]);
  }
  return difference == 0;
}

bool request_carries(const wsb_request *request, std::string_view secret, const char *name, Carriers carriers) {
  const bool all = carriers == Carriers::kAll;
  const char *const candidates[] = {wsb_request_bearer_token(request), wsb_request_query_param(request, name),
                                    all ? wsb_request_basic_password(request) : nullptr,
                                    all ? wsb_request_cookie(request, name) : nullptr};
  bool found = false;
  for (const char *candidate : candidates) {
    if (candidate != nullptr && equal_in_constant_time(candidate, secret)) found = true;
  }
  return found;
}

bool request_has_token(const Options &options, const wsb_request *request) {
  if (!options.has_token) return true;
  const bool offered = offers_token(request, options.token);
  return request_carries(request, options.token, "token", Carriers::kAll) || offered;
}

bool token_fits(const Options &options, std::string_view token) {
  return options.has_token ? equal_in_constant_time(token, options.token) : !token.empty();
}

void judge_handshake(const Options &options, wsb_request *request) {
  const bool later = options.config.auth_timeout_ms != 0;
  if (!later && !request_has_token(options, request)) respond_unauthorized(request, Challenge::kBearerOrBasic);
}

void respond_unauthorized(wsb_request *request, Challenge challenge) {
  static const char body[] =
      "A token is needed: as Bearer, Basic password, subprotocol, cookie or query parameter \"token\".\n";
  wsb_request_add_header(request, "WWW-Authenticate", "Bearer realm=\"wsbeat\"");
  if (challenge == Challenge::kBearerOrBasic) {
    wsb_request_add_header(request, "WWW-Authenticate", "Basic realm=\"wsbeat\", charset=\"UTF-8\"");
  }
  wsb_request_respond(request, 401, nullptr, body, sizeof body - 1);
}

}  // namespace tool
