// A TLS connection's transport: an lws raw connection. The handshake and reads come through lws; writes go to OpenSSL directly, so that lws never
// holds unsent bytes, because then it would not read.
#pragma once

#include <vector>

#include "net/socket.h"

namespace wsb::net {

class TlsSocket final : public Socket {
 public:
  TlsSocket(Loop::Impl& loop, int fd) noexcept : Socket(loop, fd) {}

  int64_t write(const core::Span* spans, size_t count) override;
  void want_writable() override;
  void set_reading(bool reading) override;
  void shutdown_write() override;
  void end(core::Ending ending) override;
  core::Unread unread() override;
  void ping_left() override;
  std::string client_subject() override;

  // -- what lws reports
  void adopted(lws* wsi) noexcept { wsi_ = wsi; }
  // False: the connection has come to its end, and lws is to close it.
  bool received(uint8_t* bytes, size_t n);
  void writable();

 private:
  int64_t read_some(uint8_t* bytes, size_t n) noexcept override;
  bool read_on(size_t total);
  int64_t flush_blocked() noexcept;
  bool keep_blocked(const uint8_t* from, const uint8_t* to) noexcept;

  lws* wsi_ = nullptr;
  ssl_st* ssl_ = nullptr;         // once bytes have come
  uint64_t read_at_ping_ = 0;     // as tls_bytes_read
  std::vector<uint8_t> blocked_;  // a record that the socket did not take; must be repeated as it is
  bool shutdown_wanted_ = false;
};

}  // namespace wsb::net
