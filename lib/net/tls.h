// OpenSSL settings of a server: loading, checking and exchanging certificates. The handshake itself is lws's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

struct ssl_ctx_st;
struct ssl_st;

namespace wsb::net {

struct TlsConfig {
  std::string cert_file;  // empty: no TLS
  std::string key_file;
  std::string ca_file;
  uint32_t client_cert = 0;   // WSB_CLIENT_CERT_*
  uint32_t min_version = 12;  // 12 or 13
  bool enabled() const noexcept { return !cert_file.empty(); }
};

// A certificate chain and key in memory, immutable, shared by all workers.
class Credentials {
 public:
  // Throws NetError(kTls) with the file and what is wrong with it.
  Credentials(const std::string& cert_file, const std::string& key_file);
  ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  bool apply(ssl_ctx_st* context) const noexcept;
  // For one TLS handshake, in place of whatever its context has.
  bool apply(ssl_st* ssl) const noexcept;
  // A context that lws may call its client context: it would else make one with every root certificate of the system.
  ssl_ctx_st* idle_context() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Keys for session tickets: the same for all workers, so a session is resumed whichever worker accepts.
using TicketKeys = std::array<uint8_t, 80>;
TicketKeys make_ticket_keys();  // throws NetError

// Whether configure_tls will succeed. Throws NetError.
void check_tls(const TlsConfig& config, const TicketKeys& keys);

// Every connection that this context accepts from now on takes the credentials that `current` points to at that time. A context cannot be given others
// itself: it keeps one certificate for each type of key, so that an old one of another type would go on being served. Costs a little at each handshake.
void follow_credentials(ssl_ctx_st* context, const std::shared_ptr<const Credentials>* current) noexcept;

// Sets up a worker's context, made by lws: versions, client certificates, tickets, memory. Throws NetError.
void configure_tls(ssl_ctx_st* context, const TlsConfig& config, const TicketKeys& keys);

// Reads from an established TLS connection: bytes of one record, 0 if none is there yet, -1 at its end.
int64_t tls_read(ssl_st* ssl, uint8_t* bytes, size_t n) noexcept;
// Writes on an established TLS connection: bytes taken, 0 if it would block, -1 if broken. A write that would block must be repeated with
// the same bytes first.
int64_t tls_write(ssl_st* ssl, const uint8_t* bytes, size_t n) noexcept;
void tls_shutdown(ssl_st* ssl) noexcept;
// Whether a decrypted record waits to be read.
bool tls_input_pending(ssl_st* ssl) noexcept;
// Taken from the socket so far, incomplete records included.
uint64_t tls_bytes_read(ssl_st* ssl) noexcept;
std::string tls_client_subject(ssl_st* ssl);

}  // namespace wsb::net
