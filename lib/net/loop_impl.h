// Insides of Loop, shared by the files of net. The only header that includes libwebsockets.h and uv.h.
#pragma once

#include <libwebsockets.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <memory>

#include "net/loop.h"

namespace wsb::net {

class PlainSocket;
class Socket;
class TlsSocket;

// Something in the loop's epoll set.
class Watched {
 public:
  // The kernel has news of it: EPOLLIN and its like.
  virtual void ready(uint32_t events) = 0;

 protected:
  ~Watched() = default;
};

// Waits on an epoll set of its own. With TLS, lws and the libuv loop that it needs take part: libuv then does the waiting, and polls the set as one
// descriptor. Without, neither is there.
struct Loop::Impl {
  Impl(core::TransportEvents& events, const LoopConfig& config);
  ~Impl();

  void run();
  void close_set() noexcept;
  // epoll_ctl; false if the kernel has no room for one more.
  bool watch(int operation, int fd, uint32_t wishes, Watched* watched) const noexcept;
  // Waits for news and passes them on.
  void serve(int timeout_ms);
  core::TimeUs next_deadline() const noexcept { return std::min(alarm_at, accept_again_at); }
  int wait_ms() const noexcept;
  void on_due();

  void open_lws();
  void open_context();
  void close_lws() noexcept;
  void arm_timer() noexcept;
  // lws made a TLS context: ours to set up. False makes lws give up; tls_error tells why.
  bool set_up_tls(ssl_ctx_st* made) noexcept;
  void turn();
  void close_listener() noexcept;
  void accept_waiting(int most) noexcept;
  void adopt(int fd, const struct sockaddr_storage& address) noexcept;
  // From here on a socket that was accepted looks after itself; or it ends at once.
  void serve(std::unique_ptr<PlainSocket> socket) noexcept;
  void serve(std::unique_ptr<TlsSocket> socket) noexcept;
  void pause_accepting(int error) noexcept;
  void watch_listener() noexcept;

  struct Waker final : Watched {
    explicit Waker(Impl& its_loop) noexcept : loop(its_loop) {}
    void ready(uint32_t events) override;
    Impl& loop;
    int fd = -1;
  };
  struct Acceptor final : Watched {
    explicit Acceptor(Impl& its_loop) noexcept : loop(its_loop) {}
    void ready(uint32_t events) override;
    Impl& loop;
    int fd = -1;
  };

  core::TransportEvents& events;
  const LoopConfig config;
  int set_fd = -1;
  Waker waker{*this};
  Acceptor acceptor{*this};
  bool stopped = false;
  bool accept_failing = false;
  core::TimeUs now = 0;  // 0: not read in this turn
  core::TimeUs alarm_at = core::kNever;
  core::TimeUs accept_again_at = core::kNever;

  // -- for TLS alone
  bool has_uv = false;
  uv_loop_t loop{};
  uv_prepare_t prepare{};
  uv_check_t check{};
  uv_poll_t poll{};
  uv_timer_t timer{};
  core::TimeUs timer_set_for = core::kNever;
  lws_context* context = nullptr;
  lws_vhost* vhost = nullptr;
  std::shared_ptr<const Credentials> credentials;  // for new connections
  ssl_ctx_st* tls_context = nullptr;               // made by lws
  std::string tls_error;
  TlsSocket* adopting = nullptr;

  std::array<uint8_t, 64 * 1024> drain_buffer;  // of Socket::drain_input
  std::array<uint8_t, 256 * 1024> read_buffer;  // of plain sockets; lws has one of its own
};

}  // namespace wsb::net
