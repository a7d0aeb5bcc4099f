// The OpenSSL calls.
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <climits>
#include <system_error>

#include "net/errors.h"
#include "wsbeat/wsbeat.h"

namespace wsb::net {

namespace {

// The first error is the cause; those after it only tell who passed it on.
std::string openssl_reason() {
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  if (code != 0 && ERR_SYSTEM_ERROR(code)) return std::generic_category().message(ERR_GET_REASON(code));
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return reason != nullptr ? reason : "unreadable";
}

[[noreturn]] void fail(const std::string& what) {
  throw NetError(Fault::kTls, what + ": " + openssl_reason());
}

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Freer<&SSL_CTX_free>>;

}  // namespace

// A scratch context does the loading and checking, and keeps what was loaded.
struct Credentials::Impl {
  ContextPtr loaded;
};

Credentials::Credentials(const std::string& cert_file, const std::string& key_file) : impl_(std::make_unique<Impl>()) {
  ERR_clear_error();
  impl_->loaded.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = impl_->loaded.get();
  if (context == nullptr) fail("TLS");
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) fail("tls_cert_file '" + cert_file + "'");
  // An encrypted key must not make OpenSSL ask on the terminal.
  SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return -1; });
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    fail("tls_key_file '" + key_file + "'");
  if (SSL_CTX_check_private_key(context) != 1) {
    fail("tls_key_file '" + key_file + "' does not belong to '" + cert_file + "'");
  }
}

Credentials::~Credentials() = default;

bool Credentials::apply(ssl_ctx_st* context) const noexcept {
  SSL_CTX* loaded = impl_->loaded.get();
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(loaded, &chain);
  return SSL_CTX_use_cert_and_key(context, SSL_CTX_get0_certificate(loaded), SSL_CTX_get0_privatekey(loaded), chain,
                                  1) == 1;
}

bool Credentials::apply(ssl_st* ssl) const noexcept {
  SSL_CTX* loaded = impl_->loaded.get();
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(loaded, &chain);
  SSL_certs_clear(ssl);
  return SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(loaded), SSL_CTX_get0_privatekey(loaded), chain, 1) == 1;
}

void follow_credentials(ssl_ctx_st* context, const std::shared_ptr<const Credentials>* current) noexcept {
  SSL_CTX_set_cert_cb(
      context,
      [](SSL* ssl, void* arg) {
        return (*static_cast<const std::shared_ptr<const Credentials>*>(arg))->apply(ssl) ? 1 : 0;
      },
      const_cast<std::shared_ptr<const Credentials>*>(current));
}

ssl_ctx_st* Credentials::idle_context() const noexcept {
  return impl_->loaded.get();
}

TicketKeys make_ticket_keys() {
  TicketKeys keys{};
  if (RAND_bytes(keys.data(), static_cast<int>(keys.size())) != 1) fail("random numbers");
  return keys;
}

void configure_tls(ssl_ctx_st* context, const TlsConfig& config, const TicketKeys& keys) {
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(context, config.min_version == 13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_clear_options(context, SSL_OP_NO_TICKET);
  // Released buffers save 34 KiB per idle connection; the others are for tls_write.
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  static constexpr unsigned char kSessionContext[] = "wsbeat";
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1);
  // Who comes back with a ticket gets another; a second one at once costs a twentieth of a handshake.
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets alone: they work across workers
  TicketKeys copy = keys;
  if (SSL_CTX_set_tlsext_ticket_keys(context, copy.data(), static_cast<long>(copy.size())) != 1) fail("ticket keys");
  if (config.client_cert == WSB_CLIENT_CERT_NONE) return;
  const char* ca = config.ca_file.c_str();
  if (SSL_CTX_load_verify_locations(context, ca, nullptr) != 1) fail("tls_ca_file '" + config.ca_file + "'");
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(ca);
  if (names == nullptr) fail("tls_ca_file '" + config.ca_file + "'");
  SSL_CTX_set_client_CA_list(context, names);
  int mode = SSL_VERIFY_PEER;
  if (config.client_cert == WSB_CLIENT_CERT_REQUIRED) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context, mode, nullptr);
}

// lws loses a context whose set-up fails: so failures are found on one of ours.
void check_tls(const TlsConfig& config, const TicketKeys& keys) {
  const ContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (!context) fail("TLS");
  configure_tls(context.get(), config, keys);
}

int64_t tls_read(ssl_st* ssl, uint8_t* bytes, size_t n) noexcept {
  ERR_clear_error();
  const int got = SSL_read(ssl, bytes, static_cast<int>(std::min<size_t>(n, INT_MAX)));
  if (got > 0) return got;
  const int error = SSL_get_error(ssl, got);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

int64_t tls_write(ssl_st* ssl, const uint8_t* bytes, size_t n) noexcept {
  ERR_clear_error();
  const int written = SSL_write(ssl, bytes, static_cast<int>(std::min<size_t>(n, INT_MAX)));
  if (written > 0) return written;
  const int error = SSL_get_error(ssl, written);
  return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? 0 : -1;
}

void tls_shutdown(ssl_st* ssl) noexcept {
  ERR_clear_error();
  (void)SSL_shutdown(ssl);
  ERR_clear_error();
}

bool tls_input_pending(ssl_st* ssl) noexcept {
  return SSL_pending(ssl) > 0;
}

uint64_t tls_bytes_read(ssl_st* ssl) noexcept {
  return BIO_number_read(SSL_get_rbio(ssl));
}

std::string tls_client_subject(ssl_st* ssl) {
  const std::unique_ptr<X509, Freer<&X509_free>> certificate(SSL_get1_peer_certificate(ssl));
  if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK) return {};
  const std::unique_ptr<BIO, Freer<&BIO_free>> text(BIO_new(BIO_s_mem()));
  if (!text || X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate.get()), 0, XN_FLAG_RFC2253) < 0)
    return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  return {data, static_cast<size_t>(std::max(size, 0L))};
}

}  // namespace wsb::net
