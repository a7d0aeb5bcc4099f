// What every connection's transport is, plain or TLS: a descriptor, whether it is read, and how it ends.
#pragma once

#include "net/loop_impl.h"

namespace wsb::net {

class Socket : public core::Transport {
 public:
  void lift_queue_limit() override;
  core::Unread unread() override;
  std::string client_subject() override { return {}; }

  int descriptor() const noexcept { return fd_; }
  // The socket has ended: what the kernel still holds is read, then the end is reported. Once.
  void closed();

 protected:
  Socket(Loop::Impl& loop, int fd) noexcept : loop_(loop), fd_(fd) {}

  // As recv: what is there now, without waiting.
  virtual int64_t read_some(uint8_t* bytes, size_t n) noexcept = 0;
  void deliver(uint8_t* bytes, size_t n) { loop_.events.on_bytes(*this, bytes, n); }
  // The peer is to see a reset when the descriptor is closed.
  void ask_for_reset() noexcept;
  // FIN.
  void shut_down_output() noexcept;

  Loop::Impl& loop_;
  int fd_;
  bool reading_ = true;
  bool heard_ = false;
  bool ending_ = false;  // we end it: what the peer may still have sent is of no interest
  bool ended_ = false;

 private:
  void drain_input();
};

}  // namespace wsb::net
