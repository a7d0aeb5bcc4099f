// Who may connect: the secret of --token, in the handshake or in the first message.
#pragma once

#include <wsbeat/wsbeat.h>

#include <string_view>

#include "options.h"

namespace tool {

// True if the two are equal; how long it takes does not tell where they differ, nor how long the secret is.
bool equal_in_constant_time(std::string_view given, std::string_view secret);

// Where a request may carry a secret.
enum class Carriers {
  kAll,        // Bearer, Basic password, cookie, query parameter
  kDeliberate  // Bearer and query parameter: what no browser adds by itself
};

// True if the request carries the secret; cookie and query parameter are called `name`.
bool request_carries(const wsb_request *request, std::string_view secret, const char *name, Carriers carriers);

// True unless --token is set and the request carries it nowhere (Bearer, Basic password, cookie or query parameter
// "token", or offered as the subprotocol "wsbeat.token." and the token in base64url).
bool request_has_token(const Options &options, const wsb_request *request);

// True if "/auth" with this token authenticates: the secret, or anything but nothing when there is none.
bool token_fits(const Options &options, std::string_view token);

// on_handshake: refuses with 401 what must carry the secret and does not.
void judge_handshake(const Options &options, wsb_request *request);

// How a 401 asks for the secret.
enum class Challenge {
  kBearerOrBasic,
  kBearer  // for what a page fetches by itself: Basic would make the browser ask its user
};
void respond_unauthorized(wsb_request *request, Challenge challenge);

}  // namespace tool
