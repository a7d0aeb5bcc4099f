// Written down from the manual pages: both protocols are promised to stay as they are, and a library would be one more dependency.
#include "systemd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace tool {
namespace {

constexpr int kFirstPassed = 3;  // SD_LISTEN_FDS_START

std::string text_of(const char *name) {
  const char *const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// A Unix address in text; "@name" for one without a file.
std::string path_of(const sockaddr_un &address, socklen_t size) {
  const size_t length = size > offsetof(sockaddr_un, sun_path) ? size - offsetof(sockaddr_un, sun_path) : 0;
  if (length == 0) return "@";
  if (address.sun_path[0] == '\0') return "@" + std::string(address.sun_path + 1, length - 1);
  return {address.sun_path, strnlen(address.sun_path, length)};
}

}  // namespace

void take_passed_socket(Options &options) {
  if (text_of("LISTEN_PID") != std::to_string(getpid())) return;
  const std::string count = text_of("LISTEN_FDS");
  for (const char *name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) unsetenv(name);
  if (count.empty() || count == "0") return;
  if (count != "1") throw std::runtime_error("LISTEN_FDS is " + count + ", but only one socket can be served");
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  if (getsockname(kFirstPassed, reinterpret_cast<sockaddr *>(&address), &size) != 0) {
    throw std::runtime_error(std::string("the passed descriptor 3: ") + std::strerror(errno));
  }
  char host[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_UNIX) {
    options.unix_path = path_of(reinterpret_cast<const sockaddr_un &>(address), size);
  } else if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in &>(address).sin_addr, host, sizeof host);
  } else if (address.ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6 &>(address).sin6_addr, host, sizeof host);
  }
  if (address.ss_family != AF_UNIX) options.unix_path.clear();
  options.host = host;
  options.config.listen_fd = kFirstPassed;
}

void tell_systemd(const char *state) {
  const std::string path = text_of("NOTIFY_SOCKET");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return;
  path.copy(address.sun_path, path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  (void)sendto(fd, state, std::strlen(state), MSG_NOSIGNAL, reinterpret_cast<const sockaddr *>(&address), size);
  close(fd);
}

}  // namespace tool
