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

// A Unix socket's file, told from another that has taken its name since. path "": none.
struct SocketFile {
  std::string path;
  uint64_t device = 0;
  uint64_t inode = 0;
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
  // What must be removed when the server ends.
  const SocketFile& socket_file() const noexcept { return socket_file_; }

 private:
  void open_tcp(const ListenConfig& config, size_t workers);
  void open_unix(const ListenConfig& config, size_t workers);
  void open_inherited(const ListenConfig& config, size_t workers);
  void duplicate(int fd, size_t workers);

  std::vector<int> fds_;
  uint16_t port_ = 0;
  SocketFile socket_file_;
};

// Removes the file, if its name is still its own: a successor may serve there already.
void remove_socket_file(const SocketFile& file) noexcept;

}  // namespace wsb::net
