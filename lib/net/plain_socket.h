// A plain connection's transport: the socket itself, in the loop's epoll set. What lws and libuv add to one is of use to TLS alone: allocations
// larger than all of ours, up to seven changes of the epoll set for one connection, a poll without waiting after every event, an eventfd written at
// every accept, and where lws's assertions are on, as in Debian's build, a search through the table of all descriptors at every end.
#pragma once

#include <sys/uio.h>

#include "net/socket.h"

namespace wsb::net {

class PlainSocket final : public Socket, public Watched {
 public:
  PlainSocket(Loop::Impl& loop, int fd) noexcept : Socket(loop, fd) {}

  int64_t write(const core::Span* spans, size_t count) override;
  void want_writable() override;
  void set_reading(bool reading) override;
  void shutdown_write() override;
  void end(core::Ending ending) override;

  // Begins to read. From here on it frees itself when it has ended. False: it cannot be watched, and is the caller's.
  bool watch() noexcept;
  void ready(uint32_t events) override;

 private:
  ~PlainSocket() override = default;
  friend struct std::default_delete<PlainSocket>;

  int64_t read_some(uint8_t* bytes, size_t n) noexcept override;
  int64_t send_some(iovec* pieces, size_t count) noexcept;
  void readable();
  uint32_t wishes() const noexcept;
  void follow_wishes() noexcept;
  void finish();

  bool writable_wanted_ = false;
};

}  // namespace wsb::net
