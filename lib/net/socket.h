// One connection's transport: an lws raw connection. Reads come through lws; writes go to the socket or to OpenSSL directly, so that lws never
// holds unsent bytes, because then it would not read.
#pragma once

#include <vector>

#include "net/loop_impl.h"

namespace wsb::net {

class Prelude;

class Socket final : public core::Transport {
 public:
  Socket(Loop::Impl& loop, int fd) noexcept : loop_(loop), fd_(fd) {}

  int64_t write(const core::Span* spans, size_t count) override;
  void want_writable() override;
  void lift_queue_limit() override;
  void set_reading(bool reading) override;
  void shutdown_write() override;
  void end(core::Ending ending) override;
  bool input_waiting() override;
  std::string client_subject() override;

  Loop::Impl& loop() const noexcept { return loop_; }
  int descriptor() const noexcept { return fd_; }
  void adopted(lws* wsi) noexcept { wsi_ = wsi; }
  // Has it before lws has, and ends it; null: no longer.
  void set_prelude(Prelude* prelude) noexcept { prelude_ = prelude; }
  void received(uint8_t* bytes, size_t n);
  void writable();
  // lws closed it: what the kernel still holds is read, then the end is reported.
  void closed();
  bool ended() const noexcept { return ended_; }

 private:
  int64_t write_plain(const core::Span* spans, size_t count) noexcept;
  int64_t write_tls(const core::Span* spans, size_t count) noexcept;
  int64_t flush_blocked() noexcept;
  bool keep_blocked(const uint8_t* from, const uint8_t* to) noexcept;
  void drain_input();

  Loop::Impl& loop_;
  lws* wsi_ = nullptr;
  Prelude* prelude_ = nullptr;
  ssl_st* ssl_ = nullptr;
  std::vector<uint8_t> blocked_;  // a TLS record that the socket did not take; must be repeated as it is
  int fd_;
  bool reading_ = true;
  bool heard_ = false;
  bool ending_ = false;
  bool ended_ = false;
  bool shutdown_wanted_ = false;
};

}  // namespace wsb::net
