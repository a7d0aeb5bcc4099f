// Writing, flow control and ends of one transport.
#include "net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <new>

#include <openssl/ssl.h>

namespace wsb::net {

namespace {
constexpr size_t kMaxPieces = 64;
constexpr size_t kTlsRecordBytes = 16 * 1024;         // RFC 8446, 5.1
constexpr size_t kTlsBytesPerTurn = 256 * 1024;       // then others get their turn
constexpr size_t kMaxDrainedBytes = 4 * 1024 * 1024;  // more than a socket's receive buffer normally holds
}  // namespace

int64_t Socket::write(const core::Span* spans, size_t count) {
  if (ended_ || count == 0) return ended_ ? -1 : 0;
  return ssl_ != nullptr ? write_tls(spans, count) : write_plain(spans, count);
}

int64_t Socket::write_plain(const core::Span* spans, size_t count) noexcept {
  iovec pieces[kMaxPieces];
  count = std::min(count, kMaxPieces);
  for (size_t i = 0; i < count; ++i) pieces[i] = {const_cast<uint8_t*>(spans[i].data), spans[i].size};
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

// As tls_write: more than 0 if nothing is blocked any more.
int64_t Socket::flush_blocked() noexcept {
  while (!blocked_.empty()) {
    const int64_t taken = tls_write(ssl_, blocked_.data(), blocked_.size());
    if (taken <= 0) return taken;
    blocked_.erase(blocked_.begin(), blocked_.begin() + taken);
  }
  blocked_.shrink_to_fit();
  return 1;
}

// Without memory the stream cannot go on: its middle would be missing.
bool Socket::keep_blocked(const uint8_t* from, const uint8_t* to) noexcept {
  try {
    blocked_.assign(from, to);
  } catch (const std::bad_alloc&) {
    return false;
  }
  lws_callback_on_writable(wsi_);
  return true;
}

// Small pieces are put together into records of up to 16 KiB.
int64_t Socket::write_tls(const core::Span* spans, size_t count) noexcept {
  if (const int64_t flushed = flush_blocked(); flushed <= 0) return flushed;
  uint8_t record[kTlsRecordBytes];
  int64_t total = 0;
  size_t index = 0;
  size_t offset = 0;
  while (index < count && total < static_cast<int64_t>(kTlsBytesPerTurn)) {
    size_t filled = 0;
    const uint8_t* from = record;
    if (spans[index].size - offset >= kTlsRecordBytes) {
      from = spans[index].data + offset;
      filled = kTlsRecordBytes;
      offset += filled;
    }
    while (index < count && filled < kTlsRecordBytes) {
      const size_t step = std::min(spans[index].size - offset, kTlsRecordBytes - filled);
      std::memcpy(record + filled, spans[index].data + offset, step);
      filled += step;
      offset += step;
      if (offset != spans[index].size) break;
      ++index;
      offset = 0;
    }
    if (index < count && offset == spans[index].size) {
      ++index;
      offset = 0;
    }
    const int64_t taken = tls_write(ssl_, from, filled);
    if (taken < 0) return -1;
    total += static_cast<int64_t>(filled);
    if (taken < static_cast<int64_t>(filled)) {
      if (!keep_blocked(from + taken, from + filled)) return -1;
      break;
    }
  }
  return total;
}

void Socket::want_writable() {
  if (!ended_) lws_callback_on_writable(wsi_);
}

void Socket::lift_queue_limit() {
  const int no_limit = INT_MAX;
  if (!ended_) (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &no_limit, sizeof no_limit);
}

void Socket::set_reading(bool reading) {
  if (ended_ || reading == reading_) return;
  reading_ = reading;
  lws_rx_flow_control(wsi_, reading ? 1 : 0);
}

void Socket::shutdown_write() {
  if (ended_) return;
  if (!blocked_.empty()) {
    shutdown_wanted_ = true;
    return;
  }
  if (ssl_ != nullptr) tls_shutdown(ssl_);
  (void)::shutdown(fd_, SHUT_WR);
}

void Socket::end(core::Ending ending) {
  if (ended_ || wsi_ == nullptr) return;
  ending_ = ending != core::Ending::kBroken;
  if (ending == core::Ending::kReset) {
    const linger at_once{1, 0};
    (void)::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  lws_set_timeout(wsi_, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

bool Socket::input_waiting() {
  if (ended_) return false;
  if (ssl_ != nullptr && tls_input_pending(ssl_)) return true;
  int waiting = 0;
  return ::ioctl(fd_, FIONREAD, &waiting) == 0 && waiting > 0;
}

std::string Socket::client_subject() {
  return ssl_ != nullptr && !ended_ ? tls_client_subject(ssl_) : std::string();
}

void Socket::received(uint8_t* bytes, size_t n) {
  if (!heard_) {
    heard_ = true;
    // A TLS connection in the raw role keeps lws's handshake time limit until told otherwise.
    lws_set_timeout(wsi_, NO_PENDING_TIMEOUT, 0);
    if (loop_.config.tls.enabled()) ssl_ = lws_get_ssl(wsi_);
  }
  loop_.events.on_bytes(*this, bytes, n);
}

void Socket::writable() {
  const int64_t flushed = flush_blocked();
  if (flushed == 0) {
    lws_callback_on_writable(wsi_);
    return;
  }
  if (flushed > 0 && shutdown_wanted_) {
    shutdown_wanted_ = false;
    shutdown_write();
  }
  loop_.events.on_writable(*this);
}

// After a reset libuv reports an error without reading; a Close frame may lie before it in the kernel's queue.
void Socket::drain_input() {
  if (!reading_ || !heard_) return;
  uint8_t* bytes = loop_.drain_buffer.data();
  for (size_t drained = 0; drained < kMaxDrainedBytes && reading_;) {
    const ssize_t n = ssl_ != nullptr ? SSL_read(ssl_, bytes, static_cast<int>(loop_.drain_buffer.size()))
                                      : ::recv(fd_, bytes, loop_.drain_buffer.size(), MSG_DONTWAIT);
    if (n <= 0) break;
    loop_.events.on_bytes(*this, bytes, static_cast<size_t>(n));
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
