// No server, only a measure: what the system calls cost that no server on TCP sockets can leave out. It answers the
// load client and nothing else: no checks, no limits, no heartbeat, no timers, no Close handshake.
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "servers.h"

namespace floor_of {

void die(const char *what) {
  std::fprintf(stderr, "floor: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

int listen_on(uint16_t port, bool blocking) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
  const int one = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // what it accepts inherits it
  if (bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0 || listen(fd, SOMAXCONN) != 0)
    die("listen");
  return fd;
}

uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr *>(&address), &size) != 0) die("getsockname");
  return ntohs(address.sin_port);
}

#ifndef FLOOR_HAS_URING
const char *uring_missing() {
  return "built without liburing";
}
void serve_uring(int /*listener*/, bool /*broadcast*/) {
  std::abort();
}
void time_uring_calls() {}
#endif

}  // namespace floor_of

namespace {

void usage(FILE *out) {
  std::fputs(
      "usage: floor [options]\nAnswers bench/load on 127.0.0.1 with bare system calls and prints \"listening PORT\". A "
      "measure, not a server.\n"
      "  --port N      0: any free one (0)\n  --broadcast   to everybody instead of back\n  --uring       io_uring "
      "instead of epoll\n"
      "  --check       only says whether that can be had\n  --calls       instead prints what single system calls "
      "cost\n",
      out);
}

}  // namespace

int main(int argc, char **argv) {
  static const option kNames[] = {{"port", required_argument, nullptr, 'p'},
                                  {"broadcast", no_argument, nullptr, 'b'},
                                  {"uring", no_argument, nullptr, 'u'},
                                  {"check", no_argument, nullptr, 'k'},
                                  {"calls", no_argument, nullptr, 'c'},
                                  {"help", no_argument, nullptr, 'h'},
                                  {nullptr, 0, nullptr, 0}};
  uint16_t port = 0;
  bool broadcast = false, uring = false, check = false, calls = false;
  for (int which; (which = getopt_long(argc, argv, "", kNames, nullptr)) != -1;) {
    if (which == 'p') port = static_cast<uint16_t>(std::atoi(optarg));
    broadcast |= which == 'b';
    uring |= which == 'u';
    check |= which == 'k';
    calls |= which == 'c';
    if (which == 'h' || which == '?') {
      usage(which == 'h' ? stdout : stderr);
      return which == 'h' ? 0 : 2;
    }
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (const char *problem = uring ? floor_of::uring_missing() : nullptr) {
    std::fprintf(stderr, "floor: no io_uring: %s\n", problem);
    return 1;
  }
  if (calls) {
    floor_of::time_calls();
    if (floor_of::uring_missing() == nullptr) floor_of::time_uring_calls();
  }
  if (check || calls) return 0;
  const int listener = floor_of::listen_on(port, uring);
  std::printf("listening %d\n", floor_of::port_of(listener));
  std::fflush(stdout);
  if (uring) {
    floor_of::serve_uring(listener, broadcast);
  } else {
    floor_of::serve_epoll(listener, broadcast);
  }
}
