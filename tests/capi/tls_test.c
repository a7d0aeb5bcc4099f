/* TLS: echo and close over it, reload, client certificates, versions, session resumption between workers. */
#include <openssl/err.h>
#include <signal.h>
#include <unistd.h>

#include "support.h"
#include "support_tls.h"

/* Files shared by all tests of this program: authorities ca and other-ca, certificates server, second and client. */
static char directory[256];

static char *file_of(const char *name) {
  static char paths[8][512];
  static size_t next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", directory, name);
  return path;
}

static int make_files(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN); /* for OpenSSL's writes on the client's side */
  make_directory(directory, sizeof directory);
  const bool made =
      tls_make_certificate(directory, "ca", NULL) && tls_make_certificate(directory, "other-ca", NULL) &&
      tls_make_certificate(directory, "server", "ca") && tls_make_certificate(directory, "second", "ca") &&
      tls_make_certificate(directory, "client", "ca") && tls_make_certificate(directory, "stranger", "other-ca");
  return made ? 0 : -1;
}

static int remove_files(void **state) {
  (void)state;
  remove_directory(directory);
  return 0;
}

static void configure(Rig *rig) {
  rig->config.tls_cert_file = file_of("server.crt");
  rig->config.tls_key_file = file_of("server.key");
}

static SSL_CTX *client_context(void) {
  SSL_CTX *context = tls_client_context(directory, "ca");
  assert_non_null(context);
  return context;
}

/* A client that holds its context alone. */
static Client *open_client(Rig *rig) {
  SSL_CTX *context = client_context();
  Client *client = tls_open(context, rig->port, NULL);
  assert_non_null(client);
  SSL_CTX_free(context);
  return client;
}

static void echo(Rig *rig, const Record *record) {
  if (record->type != WSB_EVENT_MESSAGE) return;
  wsb_send(rig->server, record->conn, record->as.message.kind, record->as.message.data, record->as.message.length);
}

/* One text there and back. */
static void check_echo(Client *client, const char *text) {
  assert_true(client_send_text(client, text));
  expect_text(client, text);
}

static void echo_and_close(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig->config.max_queue_bytes = 8 << 20;
  rig->config.max_message_bytes = 4 << 20;
  rig->on_record = echo;
  rig_start(rig);
  SSL_CTX *context = client_context();
  Client *client = tls_open(context, rig->port, NULL);
  assert_non_null(client);
  assert_string_equal(tls_server_name(client), "server");
  check_echo(client, "over TLS");
  static const size_t sizes[] = {1, 16383, 16384, 16385, 100000, 3 << 20}; /* around one record, and many */
  uint8_t *data = malloc(3 << 20);
  assert_non_null(data);
  for (size_t i = 0; i < 3 << 20; ++i) data[i] = (uint8_t)(i % 241);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    assert_true(client_send(client, OP_BINARY, data, sizes[i]));
    const Frame frame = expect_frame(client, OP_BINARY);
    assert_int_equal(frame.length, sizes[i]);
    assert_int_equal(memcmp(frame.data, data, sizes[i]), 0);
  }
  free(data);
  const wsb_conn conn = rig_expect(rig, WSB_EVENT_OPEN, 0)->conn;
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  assert_int_equal(wsb_conn_get_info(rig->server, conn, &info), WSB_OK);
  assert_int_equal(info.tls, 1);
  assert_true(client_send_close(client, 4000, "bye"));
  expect_close(client, 4000, "");
  expect_end(client);
  const Record *closed = rig_expect_close(rig, conn);
  assert_int_equal(closed->as.close.clean, 1);
  assert_int_equal(closed->as.close.code, 4000);
  client_free(client);
  SSL_CTX_free(context);
  rig_finish(rig);
}

/* Frames that arrive together in one record, and one frame in many records. */
static void record_boundaries(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig_start(rig);
  Client *client = open_client(rig);
  enum { COUNT = 2000 }; /* of 8 bytes: all in one record of 16 KiB */
  uint8_t *stream = malloc(COUNT * 8);
  assert_non_null(stream);
  size_t length = 0;
  for (int i = 0; i < COUNT; ++i) length += build_frame(stream + length, OP_TEXT, "ab", 2);
  assert_true(client_send_bytes(client, stream, length));
  rig_expect(rig, WSB_EVENT_MESSAGE, COUNT - 1);
  for (size_t i = 0; i < 80; ++i) assert_true(client_send_bytes(client, stream + i, 1));
  rig_expect(rig, WSB_EVENT_MESSAGE, COUNT + 9);
  free(stream);
  client_free(client);
  rig_finish(rig);
}

/* What follows a long message in its last record is neither lost nor left lying. */
static void long_messages_end_inside_records(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig->on_record = echo;
  rig_start(rig);
  Client *client = open_client(rig);
  enum { LONGEST = 300000 };
  uint8_t *data = malloc(LONGEST);
  uint8_t *stream = malloc(2 * LONGEST + 100);
  assert_true(data != NULL && stream != NULL);
  for (size_t i = 0; i < LONGEST; ++i) data[i] = (uint8_t)(i % 239);
  static const size_t sizes[] = {16300, 16370, 20000, 32768, 100000, 163840, LONGEST};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    size_t length = build_frame(stream, OP_BINARY, data, sizes[i]);
    length += build_frame(stream + length, OP_TEXT, "between", 7);
    length += build_frame(stream + length, OP_BINARY, data, sizes[i] / 2);
    length += build_frame(stream + length, OP_TEXT, "last", 4);
    assert_true(client_send_bytes(client, stream, length));
    for (size_t half = 1; half <= 2; ++half) {
      const Frame frame = expect_frame(client, OP_BINARY);
      assert_int_equal(frame.length, sizes[i] / half);
      assert_int_equal(memcmp(frame.data, data, sizes[i] / half), 0);
      expect_text(client, half == 1 ? "between" : "last");
    }
  }
  free(stream);
  free(data);
  client_free(client);
  rig_finish(rig);
}

/* The client says that nothing more will come, and keeps its TCP connection. */
static void close_notify_in_a_long_message(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig_start(rig);
  Client *client = open_client(rig);
  const wsb_conn conn = rig_expect(rig, WSB_EVENT_OPEN, 0)->conn;
  enum { LENGTH = 200000 };
  uint8_t *data = calloc(1, LENGTH);
  uint8_t *stream = malloc(LENGTH + 14);
  assert_true(data != NULL && stream != NULL);
  const size_t length = build_frame(stream, OP_BINARY, data, LENGTH);
  assert_true(client_send_bytes(client, stream, length / 2));
  SSL_shutdown(client->ssl);
  const Record *closed = rig_expect_close(rig, conn);
  assert_int_equal(closed->as.close.code, 1006);
  assert_int_equal(closed->as.close.cause, WSB_CAUSE_NETWORK_ERROR);
  free(stream);
  free(data);
  client_free(client);
  rig_finish(rig);
}

static void plain_bytes_are_refused(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig_start(rig);
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  assert_int_equal(client_handshake(client, "/", NULL, PATIENCE_MS), -1);
  assert_true(client_read_end(client, PATIENCE_MS));
  client_free(client);
  SSL_CTX *context = client_context();
  client = tls_open(context, rig->port, NULL); /* it still serves */
  assert_non_null(client);
  client_free(client);
  SSL_CTX_free(context);
  rig_finish(rig);
}

static void reload(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig->config.workers = 2;
  rig->on_record = echo;
  rig_create(rig);
  assert_int_equal(wsb_server_reload_tls(rig->server, NULL, NULL), WSB_E_STATE); /* not running */
  rig_start(rig);
  SSL_CTX *context = client_context();
  Client *old = tls_open(context, rig->port, NULL);
  assert_non_null(old);
  assert_int_equal(wsb_server_reload_tls(rig->server, file_of("second.crt"), NULL), WSB_E_INVALID);
  assert_int_equal(wsb_server_reload_tls(rig->server, NULL, file_of("second.key")), WSB_E_INVALID);
  assert_int_equal(wsb_server_reload_tls(rig->server, file_of("second.crt"), file_of("second.key")), WSB_OK);
  for (int i = 0; i < 8; ++i) {
    Client *client = tls_open(context, rig->port, NULL);
    assert_non_null(client);
    assert_string_equal(tls_server_name(client), "second");
    check_echo(client, "new");
    client_free(client);
  }
  check_echo(old, "the old one goes on");
  assert_int_equal(wsb_server_reload_tls(rig->server, NULL, NULL), WSB_OK); /* the configured files again */
  Client *client = tls_open(context, rig->port, NULL);
  assert_non_null(client);
  assert_string_equal(tls_server_name(client), "server");
  client_free(client);
  check_echo(old, "and on");
  client_free(old);
  SSL_CTX_free(context);
  rig_finish(rig);
}

static void bad_reload_keeps_the_old(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig_start(rig);
  FILE *file = fopen(file_of("garbage.pem"), "w");
  assert_non_null(file);
  fputs("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", file);
  fclose(file);
  static const struct {
    const char *cert, *key, *named;
  } wrong[] = {{"none.crt", "second.key", "none.crt"},
               {"second.crt", "none.key", "none.key"},
               {"garbage.pem", "second.key", "garbage.pem"},
               {"second.crt", "garbage.pem", "garbage.pem"},
               {"second.crt", "server.key", "server.key"}}; /* a key of another certificate */
  SSL_CTX *context = client_context();
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    expect_error(wsb_server_reload_tls(rig->server, file_of(wrong[i].cert), file_of(wrong[i].key)), WSB_E_TLS,
                 wrong[i].named);
    Client *client = tls_open(context, rig->port, NULL);
    assert_non_null(client);
    assert_string_equal(tls_server_name(client), "server");
    client_free(client);
  }
  SSL_CTX_free(context);
  rig_finish(rig);
}

static void reload_without_tls(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  expect_error(wsb_server_reload_tls(rig->server, NULL, NULL), WSB_E_STATE, NULL);
  assert_int_equal(wsb_server_reload_tls(rig->server, file_of("server.crt"), file_of("server.key")), WSB_E_STATE);
  rig_finish(rig);
}

/* The subject that on_handshake saw, "-" for none. */
static void remember_subject(const wsb_handshake_event *event, void *user) {
  Rig *rig = user;
  const char *subject = wsb_request_client_subject(event->request);
  pthread_mutex_lock(&rig->mutex);
  snprintf(rig->context, 128, "%s", subject != NULL ? subject : "-");
  pthread_mutex_unlock(&rig->mutex);
}

/* Connects with this certificate (NULL: none); gives the subject seen, or NULL if there was no connection. */
static const char *try_certificate(Rig *rig, const char *certificate) {
  SSL_CTX *context = client_context();
  if (certificate != NULL) assert_true(tls_present(context, directory, certificate));
  ((char *)rig->context)[0] = '\0';
  Client *client = tls_open(context, rig->port, NULL);
  ERR_clear_error();
  SSL_CTX_free(context);
  if (client == NULL) return NULL;
  client_free(client);
  return rig->context;
}

static void client_certificates(void **state) {
  Rig *rig = *state;
  char subject[128];
  rig->context = subject;
  configure(rig);
  rig->callbacks.on_handshake = remember_subject;
  rig->config.tls_ca_file = file_of("ca.crt");
  rig->config.tls_client_cert = WSB_CLIENT_CERT_REQUIRED;
  rig_start(rig);
  assert_null(try_certificate(rig, NULL));
  assert_null(try_certificate(rig, "stranger"));
  assert_string_equal(try_certificate(rig, "client"), "CN=client");
  rig_finish(rig);
  rig->config.tls_client_cert = WSB_CLIENT_CERT_OPTIONAL;
  rig_start(rig);
  assert_string_equal(try_certificate(rig, NULL), "-");
  assert_string_equal(try_certificate(rig, "client"), "CN=client");
  assert_null(try_certificate(rig, "stranger"));
  rig_finish(rig);
  rig->config.tls_client_cert = WSB_CLIENT_CERT_NONE;
  rig_start(rig);
  assert_string_equal(try_certificate(rig, "stranger"), "-");
  rig_finish(rig);
}

/* The version agreed with a client that speaks only `version`, or 0. */
static int try_version(Rig *rig, int version) {
  SSL_CTX *context = client_context();
  SSL_CTX_set_security_level(context, 0); /* so that the client does offer old versions */
  assert_int_equal(SSL_CTX_set_min_proto_version(context, version), 1);
  assert_int_equal(SSL_CTX_set_max_proto_version(context, version), 1);
  Client *client = tls_open(context, rig->port, NULL);
  const int agreed = client != NULL ? SSL_version(client->ssl) : 0;
  ERR_clear_error();
  client_free(client);
  SSL_CTX_free(context);
  return agreed;
}

static void versions(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig_start(rig);
  assert_int_equal(try_version(rig, TLS1_VERSION), 0);
  assert_int_equal(try_version(rig, TLS1_1_VERSION), 0);
  assert_int_equal(try_version(rig, TLS1_2_VERSION), TLS1_2_VERSION);
  assert_int_equal(try_version(rig, TLS1_3_VERSION), TLS1_3_VERSION);
  rig_finish(rig);
  rig->config.tls_min_version = 13;
  rig_start(rig);
  assert_int_equal(try_version(rig, TLS1_2_VERSION), 0);
  assert_int_equal(try_version(rig, TLS1_3_VERSION), TLS1_3_VERSION);
  rig_finish(rig);
}

static SSL_SESSION *last_session;

static int keep_session(SSL *ssl, SSL_SESSION *session) {
  (void)ssl;
  SSL_SESSION_free(last_session);
  last_session = session;
  return 1;
}

/* Ends a client whose session will be used again: OpenSSL discards sessions of connections that were not shut down. */
static void leave(Client *client) {
  SSL_shutdown(client->ssl);
  client_free(client);
}

/* A session from one worker is taken by the others. */
static void resumption(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig->config.workers = 4;
  rig->on_record = echo;
  rig_start(rig);
  for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; ++version) {
    SSL_CTX *context = client_context();
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    Client *client = tls_open(context, rig->port, NULL);
    assert_non_null(client);
    check_echo(client, "first"); /* with TLS 1.3 the ticket comes with the first data */
    assert_false(SSL_session_reused(client->ssl));
    leave(client);
    assert_non_null(last_session);
    for (int i = 0; i < 16; ++i) {
      SSL_SESSION *session = last_session;
      SSL_SESSION_up_ref(session);
      client = tls_open(context, rig->port, session);
      assert_non_null(client);
      check_echo(client, "resumed");
      assert_true(SSL_session_reused(client->ssl));
      leave(client);
      SSL_SESSION_free(session);
    }
    SSL_SESSION_free(last_session);
    last_session = NULL;
    SSL_CTX_free(context);
  }
  rig_finish(rig);
}

static void handshake_timeout(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig->config.handshake_timeout_ms = 150;
  rig_start(rig);
  Client *client = client_tcp("127.0.0.1", rig->port, 0); /* says nothing: the TLS handshake counts too */
  assert_true(client_read_end(client, PATIENCE_MS));
  client_free(client);
  rig_finish(rig);
}

static volatile sig_atomic_t pipe_signals;
static void count_pipe(int number) {
  (void)number;
  pipe_signals = 1;
}

static void *make_resets(void *argument) {
  Rig *rig = argument;
  sigset_t pipe_only; /* this thread's own writes are not what is tested */
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
  SSL_CTX *context = tls_client_context(directory, "ca");
  for (int i = 0; i < 20; ++i) {
    Client *client = tls_open(context, rig->port, NULL);
    Frame frame;
    if (client == NULL || !client_send_text(client, "flood") || !client_read(client, &frame, PATIENCE_MS)) abort();
    client_reset(client);
  }
  SSL_CTX_free(context);
  return NULL;
}

/* OpenSSL writes without MSG_NOSIGNAL: on a caller's thread the library must keep SIGPIPE away by itself. */
static void no_sigpipe_on_our_thread(void **state) {
  Rig *rig = *state;
  configure(rig);
  rig->on_record = rig_flood;
  signal(SIGPIPE, count_pipe);
  const pthread_t runner = rig_run(rig);
  pthread_t resets;
  assert_int_equal(pthread_create(&resets, NULL, make_resets, rig), 0);
  pthread_join(resets, NULL);
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  pthread_join(runner, NULL);
  signal(SIGPIPE, SIG_IGN);
  assert_int_equal(pipe_signals, 0);
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(echo_and_close),
      RIG_TEST(record_boundaries),
      RIG_TEST(long_messages_end_inside_records),
      RIG_TEST(close_notify_in_a_long_message),
      RIG_TEST(plain_bytes_are_refused),
      RIG_TEST(reload),
      RIG_TEST(bad_reload_keeps_the_old),
      RIG_TEST(reload_without_tls),
      RIG_TEST(client_certificates),
      RIG_TEST(versions),
      RIG_TEST(resumption),
      RIG_TEST(handshake_timeout),
      RIG_TEST(no_sigpipe_on_our_thread),
  };
  return cmocka_run_group_tests_name("tls", tests, make_files, remove_files);
}
