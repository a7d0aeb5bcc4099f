// The end of a socket, and its options.
#include "net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <climits>

namespace wsb::net {

namespace {
constexpr size_t kMaxDrainedBytes = 4 * 1024 * 1024;  // more than a socket's receive buffer normally holds
}  // namespace

void Socket::lift_queue_limit() {
  const int no_limit = INT_MAX;
  if (!ended_) (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &no_limit, sizeof no_limit);
}

core::Unread Socket::unread() {
  int waiting = 0;
  const bool some = !ended_ && ::ioctl(fd_, FIONREAD, &waiting) == 0 && waiting > 0;
  return some ? core::Unread::kBytes : core::Unread::kNothing;
}

void Socket::ask_for_reset() noexcept {
  const linger at_once{1, 0};
  (void)::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void Socket::shut_down_output() noexcept {
  (void)::shutdown(fd_, SHUT_WR);
}

// After a reset an error is reported without reading; a Close frame may lie before it in the kernel's queue, also while we do not read.
void Socket::drain_input() {
  if (!heard_) return;
  uint8_t* bytes = loop_.drain_buffer.data();
  for (size_t drained = 0; drained < kMaxDrainedBytes;) {
    const int64_t n = read_some(bytes, loop_.drain_buffer.size());
    if (n <= 0) break;
    deliver(bytes, static_cast<size_t>(n));
    drained += static_cast<size_t>(n);
  }
}

void Socket::closed() {
  if (ended_) return;
  if (!ending_) drain_input();
  ended_ = true;
  loop_.events.on_ended(*this);
}

}  // namespace wsb::net
