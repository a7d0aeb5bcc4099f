// Listening sockets: opened here, polled and accepted from by the loop.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace wsb::net {

struct ListenConfig {
  std::string host;
  std::string unix_path;
  int inherited_fd = 0;  // 0: none
  uint16_t port = 0;
  int backlog = 1024;
  uint32_t tcp_user_timeout_ms = 0;  // 0: leave the kernel's
};

// One non-blocking listening descriptor per worker, all for the same address. Closed by the destructor; what a worker took is its own.
class Listeners {
 public:
  // Throws NetError.
  Listeners(const ListenConfig& config, size_t workers);
  ~Listeners();
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  int take(size_t worker) noexcept;
  uint16_t port() const noexcept { return port_; }
  // The file that must be removed when the server ends, "" if none.
  const std::string& unix_path() const noexcept { return unix_path_; }

 private:
  void open_tcp(const ListenConfig& config, size_t workers);
  void open_unix(const ListenConfig& config, size_t workers);
  void open_inherited(const ListenConfig& config, size_t workers);
  void duplicate(int fd, size_t workers);

  std::vector<int> fds_;
  uint16_t port_ = 0;
  std::string unix_path_;
};

// Removes a socket file that this process made, if it is still one.
void remove_unix_socket(const std::string& path) noexcept;

}  // namespace wsb::net
