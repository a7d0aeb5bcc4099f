// Insides of Loop, shared by loop.cpp, accept.cpp and socket.cpp. The only header that includes libwebsockets.h and uv.h.
#pragma once

#include <libwebsockets.h>
#include <uv.h>

#include <array>
#include <memory>

#include "net/loop.h"

namespace wsb::net {

class PlainSocket;
class Socket;
class TlsSocket;

struct Loop::Impl {
  Impl(core::TransportEvents& events, const LoopConfig& config);
  ~Impl();

  void open_context();
  void close_context() noexcept;
  // lws made a TLS context: ours to set up. False makes lws give up; tls_error tells why.
  bool set_up_tls(ssl_ctx_st* made) noexcept;
  void turn();
  // Plain sockets have an epoll set of their own, which the loop polls as one descriptor.
  void open_sockets();
  void serve_sockets();
  void close_sockets() noexcept;
  void close_listener() noexcept;
  void accept_waiting(int most) noexcept;
  void adopt(int fd, const struct sockaddr_storage& address) noexcept;
  // From here on a socket that was accepted looks after itself; or it ends at once.
  void serve(std::unique_ptr<PlainSocket> socket) noexcept;
  void serve(std::unique_ptr<TlsSocket> socket) noexcept;
  void pause_accepting(int error) noexcept;
  void watch_listener() noexcept;

  core::TransportEvents& events;
  const LoopConfig config;
  uv_loop_t loop{};
  uv_prepare_t prepare{};
  uv_check_t check{};
  uv_async_t async{};
  uv_timer_t alarm{};
  uv_timer_t accept_pause{};
  uv_poll_t listener{};
  uv_poll_t sockets{};
  int sockets_fd = -1;
  int listen_fd = -1;
  bool accept_failing = false;
  lws_context* context = nullptr;
  lws_vhost* vhost = nullptr;
  std::shared_ptr<const Credentials> credentials;  // for new connections
  ssl_ctx_st* tls_context = nullptr;               // made by lws
  std::string tls_error;
  TlsSocket* adopting = nullptr;
  core::TimeUs now = 0;  // 0: not read in this turn
  core::TimeUs alarm_at = core::kNever;
  std::array<uint8_t, 64 * 1024> drain_buffer;  // of Socket::drain_input
  std::array<uint8_t, 256 * 1024> read_buffer;  // of plain sockets; lws has one of its own
};

}  // namespace wsb::net
