// --nats: the backplane of libwsbeat-nats, which is loaded only then.
#pragma once

#include <wsbeat/wsbeat.h>

#include "options.h"

namespace tool {

// Before the server starts. Throws std::runtime_error with a text that names the flag.
void join_nats(const Options &options, wsb_server *server);

}  // namespace tool
