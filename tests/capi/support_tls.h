/* Certificates made on the spot, and a TLS client for the raw WebSocket client. */
#ifndef WSBEAT_TESTS_CAPI_SUPPORT_TLS_H
#define WSBEAT_TESTS_CAPI_SUPPORT_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "support_client.h"

/* Writes <directory>/<name>.crt and .key: a P-256 certificate with this common name, signed by `issuer` (a name made before
 * in the same directory; NULL: by itself, as an authority). False on failure. */
bool tls_make_certificate(const char *directory, const char *name, const char *issuer);

/* A client context that trusts <directory>/<authority>.crt; the certificate's name is not checked. NULL on failure. */
SSL_CTX *tls_client_context(const char *directory, const char *authority);
/* Makes the context present <directory>/<name>.crt. */
bool tls_present(SSL_CTX *context, const char *directory, const char *name);

/* Connects to 127.0.0.1 with TLS; NULL if the TLS handshake failed. `session` (may be NULL) is offered for resumption. */
Client *tls_connect(SSL_CTX *context, uint32_t port, SSL_SESSION *session);
/* As tls_connect, then a WebSocket handshake on "/"; NULL unless the answer was 101. */
Client *tls_open(SSL_CTX *context, uint32_t port, SSL_SESSION *session);
/* The common name of the server's certificate, in static storage of the calling thread's last call. */
const char *tls_server_name(const Client *client);

#endif
