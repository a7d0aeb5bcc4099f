// A connection before its first own byte: the transport while the PROXY header is read off the socket, before TLS and before anybody else reads it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/loop_impl.h"

namespace wsb::net {

// Frees itself when its socket has ended or was handed on.
class Prelude final : public core::Transport, public Watched {
 public:
  // Reports the connection as accepted. Takes the descriptor. Throws std::bad_alloc without having taken it.
  static void begin(Loop::Impl& loop, int fd, core::PeerAddress peer);

  // Nothing is said before the header has come.
  int64_t write(const core::Span* /*spans*/, size_t /*count*/) override { return 0; }
  void want_writable() override {}
  void set_reading(bool /*reading*/) override {}
  void shutdown_write() override {}
  void end(core::Ending ending) override;
  core::Unread unread() override { return core::Unread::kNothing; }
  std::string client_subject() override { return {}; }

  void ready(uint32_t events) override;

 private:
  Prelude(Loop::Impl& loop, int fd) noexcept : loop_(loop), fd_(fd) {}
  ~Prelude() override = default;

  void readable();
  void take(std::string_view waiting);
  void consume(size_t n) noexcept;
  void fail(const char* why);
  template <typename Next>
  void hand_on(std::unique_ptr<Next> next, core::PeerAddress&& client) noexcept;
  void finish() noexcept;

  Loop::Impl& loop_;
  int fd_;
  std::string seen_;  // of a header that comes in pieces
};

}  // namespace wsb::net
