// One link: bytes out and in.
#include "link.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "stats.h"

namespace load {

namespace {
constexpr size_t kMaxHeadBytes = 4096;
constexpr uint8_t kPing = 9;
constexpr uint8_t kClose = 8;
}  // namespace

void Workload::on_end(Link & /*link*/) {
  errno = 0;
  die("the server ended a connection");
}

Link::~Link() {
  if (ssl_ != nullptr) SSL_free(ssl_);
  if (fd_ >= 0) close(fd_);
}

void Link::connect_small(int receive_buffer) {
  receive_buffer_ = receive_buffer;
  connect();
}

void Link::connect() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(engine_.options.port);
  inet_pton(AF_INET, engine_.options.host.c_str(), &address.sin_addr);
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) die("socket");
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (receive_buffer_ != 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_, sizeof receive_buffer_);
  if (::connect(fd_, reinterpret_cast<sockaddr *>(&address), sizeof address) < 0 && errno != EINPROGRESS)
    die("connect");
  phase_ = Phase::kConnecting;
  wants_write_ = true;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.ptr = this;
  if (epoll_ctl(engine_.poller, EPOLL_CTL_ADD, fd_, &event) < 0) die("epoll_ctl");
}

void Link::reset() {
  const linger at_once{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  if (ssl_ != nullptr) SSL_free(ssl_);
  close(fd_);
  ssl_ = nullptr;
  fd_ = -1;
  phase_ = Phase::kNone;
  reading_ = true;
  skip_ = have_ = 0;
  position_ = owed_ = 0;
  head_.clear();
  control_out_.clear();
  sent_ns.clear();
}

void Link::ended() {
  reset();
  workload_.on_end(*this);
}

void Link::watch() {
  epoll_event event{};
  event.events = (reading_ ? EPOLLIN : 0U) | (wants_write_ ? EPOLLOUT : 0U);
  event.data.ptr = this;
  if (epoll_ctl(engine_.poller, EPOLL_CTL_MOD, fd_, &event) < 0) die("epoll_ctl");
}

void Link::set_reading(bool reading) {
  if (reading == reading_) return;
  reading_ = reading;
  watch();
}

void Link::on_event(uint32_t events) {
  if (phase_ == Phase::kConnecting) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    if (error != 0) die("connect");
    wants_write_ = false;
    watch();
    if (engine_.tls == nullptr) {
      begin_upgrade();
      return;
    }
    ssl_ = SSL_new(engine_.tls);
    SSL_set_fd(ssl_, fd_);
    SSL_set_connect_state(ssl_);
    phase_ = Phase::kTls;
  }
  if (phase_ == Phase::kTls) {
    shake_hands();
    return;
  }
  if ((events & EPOLLOUT) != 0) flush();
  if (phase_ != Phase::kNone && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read();
}

void Link::shake_hands() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) {
    if (wants_write_) {
      wants_write_ = false;
      watch();
    }
    begin_upgrade();
    return;
  }
  const int error = SSL_get_error(ssl_, result);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
    ended();
    return;
  }
  if (wants_write_ == (error == SSL_ERROR_WANT_WRITE)) return;
  wants_write_ = error == SSL_ERROR_WANT_WRITE;
  watch();
}

void Link::begin_upgrade() {
  phase_ = Phase::kUpgrading;
  if (send_some(engine_.request.data(), engine_.request.size()) != static_cast<long>(engine_.request.size()))
    die("send");
}

// Bytes taken, 0 if the socket is full.
long Link::send_some(const char *data, size_t length) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    const int sent = SSL_write(ssl_, data, static_cast<int>(length));
    return std::max(sent, 0);
  }
  const ssize_t sent = ::send(fd_, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
  return std::max<long>(sent, 0);  // an end is seen when reading
}

void Link::send_messages(const Pattern &pattern, uint64_t count) {
  pattern_ = &pattern;
  owed_ += count * pattern.frame_bytes;
  flush();
}

void Link::send_close() {
  static const char kFrame[] = "\x88\x82\0\0\0\0\x03\xe8";  // 1000, a mask of zeros
  control_out_.append(kFrame, sizeof kFrame - 1);
  flush();
}

void Link::flush() {
  bool full = false;
  while (!full && (owed_ != 0 || !control_out_.empty())) {
    const bool boundary = pattern_ == nullptr || position_ % pattern_->frame_bytes == 0;
    if (boundary && !control_out_.empty()) {
      const long sent = send_some(control_out_.data(), control_out_.size());
      full = sent < static_cast<long>(control_out_.size());
      control_out_.erase(0, static_cast<size_t>(sent));
      if (full) break;
      continue;
    }
    const size_t from = position_ % pattern_->bytes.size();
    size_t want = static_cast<size_t>(std::min<uint64_t>(owed_, pattern_->bytes.size() - from));
    if (!control_out_.empty()) want = std::min<size_t>(want, pattern_->frame_bytes - position_ % pattern_->frame_bytes);
    const long sent = send_some(pattern_->bytes.data() + from, want);
    full = sent < static_cast<long>(want);
    position_ += static_cast<uint64_t>(sent);
    owed_ -= static_cast<uint64_t>(sent);
  }
  if (full == wants_write_) return;
  wants_write_ = full;
  watch();
}

void Link::read() {
  std::string &input = engine_.input;
  for (bool more = true; more && phase_ != Phase::kNone && reading_;) {
    ssize_t got;
    if (ssl_ != nullptr) {
      ERR_clear_error();
      got = SSL_read(ssl_, input.data(), static_cast<int>(input.size()));
      if (got <= 0 && SSL_get_error(ssl_, static_cast<int>(got)) == SSL_ERROR_WANT_READ) return;
    } else {
      got = recv(fd_, input.data(), input.size(), MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) return;
      more = false;
    }
    if (got <= 0) {
      ended();
      return;
    }
    if (phase_ == Phase::kOpen) {
      on_frames(reinterpret_cast<uint8_t *>(input.data()), static_cast<size_t>(got));
    } else {
      on_head(input.data(), static_cast<size_t>(got));
    }
  }
}

void Link::on_head(const char *data, size_t length) {
  head_.append(data, length);
  errno = 0;
  if (head_.size() > kMaxHeadBytes) die("the handshake's answer is too long");
  const size_t end = head_.find("\r\n\r\n");
  if (end == std::string::npos) return;
  if (head_.compare(0, 12, "HTTP/1.1 101") != 0) die("the handshake was refused: " + head_.substr(0, head_.find('\r')));
  if (engine_.options.deflate && head_.find("permessage-deflate") == std::string::npos)
    die("the server does not speak permessage-deflate");
  const std::string rest = head_.substr(end + 4);
  head_ = std::string();
  phase_ = Phase::kOpen;
  workload_.on_open(*this);
  if (!rest.empty() && phase_ == Phase::kOpen) on_frames(reinterpret_cast<const uint8_t *>(rest.data()), rest.size());
}

// False: the header is not complete.
bool Link::take_header(const uint8_t *&data, const uint8_t *end, uint32_t &complete) {
  size_t need = 2;
  for (;;) {
    if (have_ >= 2) need = (header_[1] & 0x7f) == 127 ? 10 : (header_[1] & 0x7f) == 126 ? 4 : 2;
    if (have_ == need) break;
    if (data == end) return false;
    header_[have_++] = *data++;
  }
  have_ = 0;
  skip_ = header_[1] & 0x7f;
  if (need > 2) skip_ = 0;
  for (size_t i = 2; i < need; ++i) skip_ = skip_ << 8 | header_[i];
  control_ = (header_[0] & 8) != 0;
  counts_ = !control_ && (header_[0] & 0x80) != 0;
  if (skip_ == 0) complete += counts_ ? 1 : 0;
  if (skip_ == 0 && control_) end_control();
  return true;
}

void Link::end_control() {
  const uint8_t opcode = header_[0] & 15;
  if (opcode == kPing) {
    ++pings_;
    control_out_ += static_cast<char>(0x8a);
    control_out_ += static_cast<char>(0x80 | payload_.size());
    control_out_.append(4, '\0').append(payload_);
    flush();
  } else if (opcode == kClose) {
    payload_.clear();
    ended();
    return;
  }
  payload_.clear();
}

void Link::on_frames(const uint8_t *data, size_t length) {
  uint32_t complete = 0;
  const uint8_t *const end = data + length;
  while (data < end && phase_ == Phase::kOpen) {
    if (skip_ == 0) {
      if (!take_header(data, end, complete)) break;
      continue;
    }
    const uint64_t step = std::min<uint64_t>(skip_, static_cast<uint64_t>(end - data));
    if (control_) payload_.append(reinterpret_cast<const char *>(data), step);
    data += step;
    skip_ -= step;
    if (skip_ != 0) break;
    complete += counts_ ? 1 : 0;
    if (control_) end_control();
  }
  if (complete != 0 && phase_ == Phase::kOpen) workload_.on_messages(*this, complete);
}

}  // namespace load
