/* Certificates and the TLS client, on OpenSSL. */
#include "support_tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static void path_of(char *path, size_t capacity, const char *directory, const char *name, const char *suffix) {
  snprintf(path, capacity, "%s/%s.%s", directory, name, suffix);
}

static X509 *read_certificate(const char *directory, const char *name) {
  char path[512];
  path_of(path, sizeof path, directory, name, "crt");
  FILE *file = fopen(path, "r");
  if (file == NULL) return NULL;
  X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
  fclose(file);
  return certificate;
}

static EVP_PKEY *read_key(const char *directory, const char *name) {
  char path[512];
  path_of(path, sizeof path, directory, name, "key");
  FILE *file = fopen(path, "r");
  if (file == NULL) return NULL;
  EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
  fclose(file);
  return key;
}

static bool write_pair(const char *directory, const char *name, X509 *certificate, EVP_PKEY *key) {
  char path[512];
  path_of(path, sizeof path, directory, name, "crt");
  FILE *file = fopen(path, "w");
  if (file == NULL) return false;
  bool written = PEM_write_X509(file, certificate) == 1;
  written = fclose(file) == 0 && written;
  path_of(path, sizeof path, directory, name, "key");
  file = fopen(path, "w");
  if (file == NULL) return false;
  written = PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 && written;
  return fclose(file) == 0 && written;
}

static bool add_extension(X509 *certificate, int kind, const char *value) {
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);
  const bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool tls_make_certificate(const char *directory, const char *name, const char *issuer) {
  static long serial;
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *certificate = X509_new();
  EVP_PKEY *issuer_key = issuer != NULL ? read_key(directory, issuer) : NULL;
  X509 *issuer_certificate = issuer != NULL ? read_certificate(directory, issuer) : NULL;
  bool made =
      key != NULL && certificate != NULL && (issuer == NULL || (issuer_key != NULL && issuer_certificate != NULL));
  if (made) {
    X509_NAME *subject = X509_get_subject_name(certificate);
    made =
        X509_set_version(certificate, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), 86400) != NULL &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1 &&
        X509_set_issuer_name(certificate, issuer != NULL ? X509_get_subject_name(issuer_certificate) : subject) == 1 &&
        X509_set_pubkey(certificate, key) == 1 &&
        add_extension(certificate, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE") &&
        X509_sign(certificate, issuer != NULL ? issuer_key : key, EVP_sha256()) > 0 &&
        write_pair(directory, name, certificate, key);
  }
  X509_free(issuer_certificate);
  EVP_PKEY_free(issuer_key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return made;
}

SSL_CTX *tls_client_context(const char *directory, const char *authority) {
  char path[512];
  path_of(path, sizeof path, directory, authority, "crt");
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (context == NULL) return NULL;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (SSL_CTX_load_verify_locations(context, path, NULL) == 1) return context;
  SSL_CTX_free(context);
  return NULL;
}

bool tls_present(SSL_CTX *context, const char *directory, const char *name) {
  char path[512];
  path_of(path, sizeof path, directory, name, "crt");
  if (SSL_CTX_use_certificate_file(context, path, SSL_FILETYPE_PEM) != 1) return false;
  path_of(path, sizeof path, directory, name, "key");
  return SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) == 1;
}

Client *tls_connect(SSL_CTX *context, uint32_t port, SSL_SESSION *session) {
  Client *client = client_tcp("127.0.0.1", port, 0);
  if (client == NULL) return NULL;
  client->ssl = SSL_new(context);
  if (client->ssl == NULL || SSL_set_fd(client->ssl, client->fd) != 1 ||
      (session != NULL && SSL_set_session(client->ssl, session) != 1) || SSL_connect(client->ssl) != 1) {
    client_free(client);
    return NULL;
  }
  return client;
}

Client *tls_open(SSL_CTX *context, uint32_t port, SSL_SESSION *session) {
  Client *client = tls_connect(context, port, session);
  if (client != NULL && client_handshake(client, "/", NULL, 10000) != 101) {
    client_free(client);
    client = NULL;
  }
  return client;
}

const char *tls_server_name(const Client *client) {
  static char name[256];
  X509 *certificate = SSL_get1_peer_certificate(client->ssl);
  name[0] = '\0';
  if (certificate != NULL) {
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  }
  X509_free(certificate);
  return name;
}
