// Opening listening sockets: TCP on one or several descriptors, Unix paths, inherited descriptors.
#include "net/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "net/errors.h"

namespace wsb::net {

namespace {

// The kernel's unsent queue per connection is kept this short, so that pings and Close frames pass what waits in ours.
constexpr int kNotSentLowatBytes = 128 * 1024;

class Fd {
 public:
  explicit Fd(int fd) noexcept : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

[[noreturn]] void fail_address(const std::string& what) {
  throw NetError(Fault::kAddress, with_errno(what, errno));
}

void set_option(int fd, int level, int name, int value) {
  // Best effort: an option that this kernel or socket family lacks changes nothing that is promised.
  (void)::setsockopt(fd, level, name, &value, sizeof value);
}

// Accepted sockets inherit these, which saves three system calls per connection.
void set_tcp_options(int fd, const ListenConfig& config) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kNotSentLowatBytes);
  if (config.tcp_user_timeout_ms != 0) {
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(config.tcp_user_timeout_ms));
  }
}

uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  return 0;
}

void set_port(sockaddr* address, uint16_t port) {
  if (address->sa_family == AF_INET) reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
  if (address->sa_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
}

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

AddressList resolve(const ListenConfig& config) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int result = ::getaddrinfo(config.host.c_str(), std::to_string(config.port).c_str(), &hints, &found);
  if (result != 0) throw NetError(Fault::kAddress, "host '" + config.host + "': " + ::gai_strerror(result));
  return {found, &::freeaddrinfo};
}

std::string describe(const ListenConfig& config, uint16_t port) {
  const bool v6 = config.host.find(':') != std::string::npos;
  return "cannot listen on " + (v6 ? "[" + config.host + "]" : config.host) + ":" + std::to_string(port);
}

}  // namespace

std::string with_errno(const std::string& text, int error) {
  char buffer[128];
  return text + ": " + ::strerror_r(error, buffer, sizeof buffer);
}

Listeners::Listeners(const ListenConfig& config, size_t workers) {
  try {
    if (config.inherited_fd != 0) {
      open_inherited(config, workers);
    } else if (!config.unix_path.empty()) {
      open_unix(config, workers);
    } else {
      open_tcp(config, workers);
    }
  } catch (...) {
    for (const int fd : fds_) ::close(fd);
    throw;
  }
}

Listeners::~Listeners() {
  for (const int fd : fds_) {
    if (fd >= 0) ::close(fd);
  }
}

int Listeners::take(size_t worker) noexcept {
  return std::exchange(fds_[worker], -1);
}

// The first socket is bound without SO_REUSEPORT: a second server on the same port is an error, not a silent sharer. It joins
// the group of our own sockets afterwards.
void Listeners::open_tcp(const ListenConfig& config, size_t workers) {
  const AddressList list = resolve(config);
  const addrinfo& address = *list;
  port_ = config.port;
  for (size_t i = 0; i < workers; ++i) {
    Fd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) throw NetError(Fault::kSystem, with_errno("socket", errno));
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (address.ai_family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, config.host == "::" ? 0 : 1);
    if (i != 0) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    set_port(address.ai_addr, port_);
    if (::bind(fd.get(), address.ai_addr, address.ai_addrlen) != 0) fail_address(describe(config, port_));
    if (i == 0) {
      port_ = port_of(fd.get());
      if (workers > 1) {
        // Listening settles whether the port is ours alone; only then may it be shared.
        if (::listen(fd.get(), config.backlog) != 0) fail_address(describe(config, port_));
        set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
      }
    }
    set_tcp_options(fd.get(), config);
    if (::listen(fd.get(), config.backlog) != 0) fail_address(describe(config, port_));
    fds_.push_back(fd.release());
  }
}

void Listeners::duplicate(int fd, size_t workers) {
  while (fds_.size() < workers) {
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) throw NetError(Fault::kSystem, with_errno("duplicate of the listening socket", errno));
    fds_.push_back(copy);
  }
}

void Listeners::open_unix(const ListenConfig& config, size_t workers) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (config.unix_path.size() >= sizeof address.sun_path) {
    throw NetError(Fault::kAddress, "unix_path: longer than " + std::to_string(sizeof address.sun_path - 1) + " bytes");
  }
  std::memcpy(address.sun_path, config.unix_path.c_str(), config.unix_path.size() + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) throw NetError(Fault::kSystem, with_errno("socket", errno));
  int bound = ::bind(fd.get(), generic, sizeof address);
  if (bound != 0 && errno == EADDRINUSE) {
    // Stale if nobody accepts there.
    Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const bool stale =
        probe.get() >= 0 && ::connect(probe.get(), generic, sizeof address) != 0 && errno == ECONNREFUSED;
    if (stale) {
      remove_unix_socket(config.unix_path);
      bound = ::bind(fd.get(), generic, sizeof address);
    } else {
      errno = EADDRINUSE;
    }
  }
  if (bound != 0) fail_address("cannot listen on " + config.unix_path);
  unix_path_ = config.unix_path;
  if (::listen(fd.get(), config.backlog) != 0) fail_address("cannot listen on " + config.unix_path);
  fds_.push_back(fd.release());
  duplicate(fds_.front(), workers);
}

void Listeners::open_inherited(const ListenConfig& config, size_t workers) {
  int listening = 0;
  socklen_t size = sizeof listening;
  if (::getsockopt(config.inherited_fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0) {
    fail_address("listen_fd " + std::to_string(config.inherited_fd));
  }
  int type = 0;
  size = sizeof type;
  (void)::getsockopt(config.inherited_fd, SOL_SOCKET, SO_TYPE, &type, &size);
  if (listening == 0 || type != SOCK_STREAM) {
    throw NetError(Fault::kAddress,
                   "listen_fd " + std::to_string(config.inherited_fd) + ": not a listening stream socket");
  }
  duplicate(config.inherited_fd, workers);
  const int flags = ::fcntl(fds_.front(), F_GETFL);
  if (flags < 0 || ::fcntl(fds_.front(), F_SETFL, flags | O_NONBLOCK) != 0) fail_address("listen_fd");
  port_ = port_of(fds_.front());
  if (port_ != 0) set_tcp_options(fds_.front(), config);
}

void remove_unix_socket(const std::string& path) noexcept {
  struct stat status {};
  if (!path.empty() && ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) (void)::unlink(path.c_str());
}

}  // namespace wsb::net
