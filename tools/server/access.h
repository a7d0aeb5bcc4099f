// Who may see what is not for everyone: programs and browsers of this machine, and who holds --dashboard-token.
#pragma once

#include <wsbeat/wsbeat.h>

#include "options.h"

namespace tool {

// True if the request was made on this machine: by a loopback address and to a name of this machine (a page that made its own name point
// here is refused), or through a Unix socket; and not passed on by a proxy, as far as its headers tell.
bool comes_from_this_machine(const wsb_request *request);

// True if no web page made the request, or one of this server.
bool has_no_foreign_origin(const wsb_request *request);

// True if the dashboard may be seen by anyone at all: there is a token for it, or only this machine can reach the server.
bool has_dashboard(const Options &options);

enum class DashboardAccess {
  kOff,
  kNotLocal,
  kNeedsDashboardToken,
  kNeedsToken,  // --token
  kWatch,
  kOperate  // may also close connections
};

DashboardAccess judge_dashboard(const Options &options, const wsb_request *request);

}  // namespace tool
