// The two ways to ask the kernel, and what both begin with.
#pragma once

#include <cstdint>

namespace floor_of {

// A socket that listens on loopback, and the port that it got. Ends the process if there is none.
int listen_on(uint16_t port, bool blocking);
uint16_t port_of(int fd);
[[noreturn]] void die(const char *what);  // with errno's text

// These serve until the process is ended.
[[noreturn]] void serve_epoll(int listener, bool broadcast);
[[noreturn]] void serve_uring(int listener, bool broadcast);

// Why io_uring cannot be used as serve_uring() does; nullptr if it can.
const char *uring_missing();

// Prints what single calls cost.
void time_calls();
void time_uring_calls();

}  // namespace floor_of
