// A connection before its first own byte: the PROXY header is read off the socket here, before lws has it and before TLS.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/loop_impl.h"

namespace wsb::net {

// Has the socket until that is handed on or ends; frees itself when libuv has let go of the handle.
class Prelude {
 public:
  static void begin(std::unique_ptr<Socket> socket) noexcept;
  // The socket is closed, its end is reported, and it is gone.
  void end() noexcept;

 private:
  explicit Prelude(Loop::Impl& loop) noexcept : loop_(loop) {}

  void readable();
  void take(std::string_view waiting);
  void consume(size_t n) noexcept;
  void fail(const char* why);
  std::unique_ptr<Socket> leave() noexcept;

  Loop::Impl& loop_;
  uv_poll_t poll_{};
  std::unique_ptr<Socket> socket_;
  std::string seen_;  // of a header that comes in pieces
};

}  // namespace wsb::net
