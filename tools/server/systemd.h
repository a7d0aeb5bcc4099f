// The two protocols of systemd's that a service may speak: sockets passed to it (sd_listen_fds(3)) and word of its state (sd_notify(3)).
#pragma once

#include "options.h"

namespace tool {

// If a listening socket was passed to this process it is the one to serve, whatever --host, --port and --unix say; those then tell where it
// listens. Throws std::runtime_error if more than one was passed, or something else than a socket.
void take_passed_socket(Options &options);

// Sends "READY=1" and its like; nothing happens without NOTIFY_SOCKET.
void tell_systemd(const char *state);

}  // namespace tool
