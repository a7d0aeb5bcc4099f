// Writing, flow control and ends of one TLS connection.
#include "net/tls_socket.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace wsb::net {

namespace {
constexpr size_t kTlsRecordBytes = 16 * 1024;    // RFC 8446, 5.1
constexpr size_t kTlsBytesPerTurn = 256 * 1024;  // then others get their turn
}  // namespace

// As tls_write: more than 0 if nothing is blocked any more.
int64_t TlsSocket::flush_blocked() noexcept {
  while (!blocked_.empty()) {
    const int64_t taken = tls_write(ssl_, blocked_.data(), blocked_.size());
    if (taken <= 0) return taken;
    blocked_.erase(blocked_.begin(), blocked_.begin() + taken);
  }
  blocked_.shrink_to_fit();
  return 1;
}

// Without memory the stream cannot go on: its middle would be missing.
bool TlsSocket::keep_blocked(const uint8_t* from, const uint8_t* to) noexcept {
  try {
    blocked_.assign(from, to);
  } catch (const std::bad_alloc&) {
    return false;
  }
  lws_callback_on_writable(wsi_);
  return true;
}

// Small pieces are put together into records of up to 16 KiB.
int64_t TlsSocket::write(const core::Span* spans, size_t count) {
  if (ended_ || count == 0) return ended_ ? -1 : 0;
  if (ssl_ == nullptr) return -1;  // nothing is said before something was heard
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

void TlsSocket::want_writable() {
  if (!ended_) lws_callback_on_writable(wsi_);
}

void TlsSocket::set_reading(bool reading) {
  if (ended_ || reading == reading_) return;
  reading_ = reading;
  lws_rx_flow_control(wsi_, reading ? 1 : 0);
}

void TlsSocket::shutdown_write() {
  if (ended_) return;
  if (!blocked_.empty()) {
    shutdown_wanted_ = true;
    return;
  }
  if (ssl_ != nullptr) tls_shutdown(ssl_);
  shut_down_output();
}

void TlsSocket::end(core::Ending ending) {
  if (ended_ || wsi_ == nullptr) return;
  ending_ = ending != core::Ending::kBroken;
  if (ending == core::Ending::kReset) ask_for_reset();
  lws_set_timeout(wsi_, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

// Only whole records are delivered, and the last one may be long in coming.
core::Unread TlsSocket::unread() {
  if (ended_ || ssl_ == nullptr) return core::Unread::kNothing;
  if (tls_input_pending(ssl_) || Socket::unread() == core::Unread::kBytes) return core::Unread::kBytes;
  return tls_bytes_read(ssl_) != read_at_ping_ ? core::Unread::kPart : core::Unread::kNothing;
}

void TlsSocket::ping_left() {
  if (ssl_ != nullptr) read_at_ping_ = tls_bytes_read(ssl_);
}

std::string TlsSocket::client_subject() {
  return ssl_ != nullptr && !ended_ ? tls_client_subject(ssl_) : std::string();
}

int64_t TlsSocket::read_some(uint8_t* bytes, size_t n) noexcept {
  return ssl_ != nullptr ? tls_read(ssl_, bytes, n) : -1;
}

bool TlsSocket::received(uint8_t* bytes, size_t n) {
  if (!heard_) {
    heard_ = true;
    // A TLS connection in the raw role keeps lws's handshake time limit until told otherwise.
    lws_set_timeout(wsi_, NO_PENDING_TIMEOUT, 0);
    ssl_ = lws_get_ssl(wsi_);
  }
  deliver(bytes, n);
  return read_on(n);
}

// The rest of a long message: decrypted where it belongs, and without a turn of lws for each record. The place takes a whole one: what of it were left
// behind, no event of the socket would tell of.
bool TlsSocket::read_on(size_t total) {
  while (total < kTlsBytesPerTurn) {
    const core::Place place = loop_.events.place_for_bytes(*this, kTlsRecordBytes);
    if (place.size == 0) break;
    const int64_t n = tls_read(ssl_, place.data, place.size);
    if (n <= 0) return n == 0;
    deliver(place.data, static_cast<size_t>(n));
    total += static_cast<size_t>(n);
  }
  return true;
}

void TlsSocket::writable() {
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

}  // namespace wsb::net
