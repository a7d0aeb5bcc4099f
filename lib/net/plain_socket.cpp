// Reading, writing and ends of one plain connection.
#include "net/plain_socket.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace wsb::net {

namespace {
constexpr size_t kMaxPieces = 64;
// A little less than one segment can carry. More at once is put off by the kernel when it paces the connection (BBR): each segment then waits for
// the interrupt of a timer, and a message of 1 MiB costs half as much again.
constexpr size_t kLargestPieceBytes = 63 * 1024;
constexpr size_t kLeastPlacedBytes = 32 * 1024;  // less is not worth a read of its own
}  // namespace

bool PlainSocket::watch() noexcept {
  return loop_.watch(EPOLL_CTL_ADD, fd_, wishes(), this);
}

// Errors and the peer's end are reported whether we wish for anything or not; edge-triggered, while paused, once.
uint32_t PlainSocket::wishes() const noexcept {
  return (reading_ ? uint32_t{EPOLLIN} : uint32_t{EPOLLET}) | (writable_wanted_ ? uint32_t{EPOLLOUT} : 0);
}

void PlainSocket::follow_wishes() noexcept {
  (void)loop_.watch(EPOLL_CTL_MOD, fd_, wishes(), this);  // cannot fail for a descriptor that is in the set
}

void PlainSocket::ready(uint32_t events) {
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (broken && reading_) {
    finish();
    return;
  }
  if (writable_wanted_ && (broken || (events & EPOLLOUT) != 0)) {
    writable_wanted_ = false;
    follow_wishes();
    loop_.events.on_writable(*this);
  }
  if (reading_ && (events & EPOLLIN) != 0) readable();
}

void PlainSocket::readable() {
  core::Place place = loop_.events.place_for_bytes(*this, kLeastPlacedBytes);
  if (place.size == 0) place = {loop_.read_buffer.data(), loop_.read_buffer.size()};
  const int64_t n = read_some(place.data, place.size);
  if (n > 0) {
    heard_ = true;
    deliver(place.data, static_cast<size_t>(n));
  } else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
    finish();
  }
}

int64_t PlainSocket::read_some(uint8_t* bytes, size_t n) noexcept {
  ssize_t got = 0;
  do {
    got = ::recv(fd_, bytes, n, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  return got;
}

// What the socket took, 0 if nothing; less than 0 when it is broken.
int64_t PlainSocket::send_some(iovec* pieces, size_t count) noexcept {
  ssize_t sent = 0;
  do {
    if (count == 1) {
      sent = ::send(fd_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      msghdr message{};
      message.msg_iov = pieces;
      message.msg_iovlen = count;
      sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1;
}

// Small spans leave together, a large one in pieces.
int64_t PlainSocket::write(const core::Span* spans, size_t count) {
  if (ended_) return -1;
  int64_t total = 0;
  size_t offset = 0;
  for (size_t at = 0; at < count;) {
    iovec pieces[kMaxPieces];
    size_t used = 0;
    int64_t bytes = 0;
    do {
      const size_t size = std::min(spans[at].size - offset, kLargestPieceBytes);
      pieces[used++] = {const_cast<uint8_t*>(spans[at].data) + offset, size};
      bytes += static_cast<int64_t>(size);
      offset += size;
      if (offset < spans[at].size) break;
      offset = 0;
    } while (++at < count && used < kMaxPieces && spans[at].size <= kLargestPieceBytes);
    const int64_t sent = send_some(pieces, used);
    if (sent < 0) return total > 0 ? total : -1;
    total += sent;
    if (sent < bytes) break;
  }
  return total;
}

void PlainSocket::want_writable() {
  if (ended_ || writable_wanted_) return;
  writable_wanted_ = true;
  follow_wishes();
}

void PlainSocket::set_reading(bool reading) {
  if (ended_ || reading == reading_) return;
  reading_ = reading;
  follow_wishes();
}

void PlainSocket::shutdown_write() {
  if (!ended_) shut_down_output();
}

void PlainSocket::end(core::Ending ending) {
  if (ended_) return;
  ending_ = ending != core::Ending::kBroken;
  if (ending == core::Ending::kReset) ask_for_reset();
  finish();
}

// Closing the descriptor takes it out of the set.
void PlainSocket::finish() {
  closed();
  ::close(fd_);
  delete this;
}

}  // namespace wsb::net
