/* PROXY protocol headers: whose are read, what they change, and what a missing or malformed one gets. */
#include <sys/socket.h>

#include "support.h"

static const char line4[] = "PROXY TCP4 192.0.2.7 10.0.0.1 57005 443\r\n";
static const uint8_t block6[] =
    "\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24"
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
    "\x13\x89\x00\x50";
static const uint8_t local_block[] = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

static Client *connect_with(Rig *rig, const void *header, size_t length) {
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  assert_non_null(client);
  assert_true(client_send_bytes(client, header, length));
  return client;
}

/* Opens behind this header and expects on_open to name `peer`. */
static void open_behind(Rig *rig, const void *header, size_t length, const char *peer, uint32_t port) {
  const size_t before = rig_count(rig, WSB_EVENT_OPEN);
  Client *client = connect_with(rig, header, length);
  assert_int_equal(client_handshake(client, "/", NULL, PATIENCE_MS), 101);
  const Record *open = rig_expect(rig, WSB_EVENT_OPEN, before);
  assert_string_equal(open->as.open.peer, peer);
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  assert_int_equal(wsb_conn_get_info(rig->server, open->conn, &info), WSB_OK);
  if (port != 0) assert_int_equal(info.peer_port, port);
  assert_int_equal(open->as.open.peer_port, info.peer_port);
  client_free(client);
  rig_expect_close(rig, open->conn);
}

/* The `index`-th refusal is one of a header, without an answer, and the connection ends. */
static void expect_refused(Rig *rig, Client *client, size_t index) {
  expect_end(client);
  const wsb_refused_event *refused = &rig_expect(rig, WSB_EVENT_REFUSED, index)->as.refused;
  assert_int_equal(refused->refusal, WSB_REFUSAL_PROXY_HEADER);
  assert_int_equal(refused->status, 0);
  assert_string_equal(refused->peer, "127.0.0.1");
  client_free(client);
}

static void headers_name_the_client(void **state) {
  Rig *rig = *state;
  rig->config.trusted_proxies = "127.0.0.1";
  rig->config.proxy_protocol = WSB_PROXY_PROTOCOL_TRUSTED;
  rig_start(rig);
  open_behind(rig, line4, sizeof line4 - 1, "192.0.2.7", 57005);
  open_behind(rig, block6, sizeof block6 - 1, "2001:db8::7", 5001);
  open_behind(rig, local_block, sizeof local_block - 1, "127.0.0.1", 0);
  open_behind(rig, "PROXY UNKNOWN\r\n", 15, "127.0.0.1", 0);
  rig_finish(rig);
}

static void headers_count_for_limits(void **state) {
  Rig *rig = *state;
  rig->config.trusted_proxies = "127.0.0.1";
  rig->config.proxy_protocol = WSB_PROXY_PROTOCOL_REQUIRED;
  rig->config.max_connections_per_address = 1;
  rig_start(rig);
  Client *first = connect_with(rig, line4, sizeof line4 - 1);
  assert_int_equal(client_handshake(first, "/", NULL, PATIENCE_MS), 101);
  Client *second = connect_with(rig, line4, sizeof line4 - 1);
  assert_int_equal(client_handshake(second, "/", NULL, PATIENCE_MS), 429);
  assert_string_equal(rig_expect(rig, WSB_EVENT_REFUSED, 0)->as.refused.peer, "192.0.2.7");
  Client *other = connect_with(rig, block6, sizeof block6 - 1);
  assert_int_equal(client_handshake(other, "/", NULL, PATIENCE_MS), 101);
  client_free(first);
  client_free(second);
  client_free(other);
  rig_finish(rig);
}

static void a_header_in_pieces(void **state) {
  Rig *rig = *state;
  rig->config.trusted_proxies = "127.0.0.1";
  rig->config.proxy_protocol = WSB_PROXY_PROTOCOL_TRUSTED;
  rig_start(rig);
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  for (size_t i = 0; i < sizeof block6 - 1; ++i) {
    assert_true(client_send_bytes(client, block6 + i, 1));
    if (i % 8 == 0) pause_ms(2); /* so that they do come in pieces */
  }
  assert_int_equal(client_handshake(client, "/", NULL, PATIENCE_MS), 101);
  assert_string_equal(rig_expect(rig, WSB_EVENT_OPEN, 0)->as.open.peer, "2001:db8::7");
  client_free(client);
  rig_finish(rig);
}

static void bad_headers(void **state) {
  Rig *rig = *state;
  rig->config.trusted_proxies = "127.0.0.1";
  rig->config.proxy_protocol = WSB_PROXY_PROTOCOL_TRUSTED;
  rig_start(rig);
  expect_refused(rig, connect_with(rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27), 0);
  expect_refused(rig, connect_with(rig, "PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n", 30), 1);
  Client *cut = connect_with(rig, block6, 20);
  assert_int_equal(shutdown(cut->fd, SHUT_WR), 0);
  expect_refused(rig, cut, 2);
  Client *silent = client_tcp("127.0.0.1", rig->port, 0); /* a proxy that looks whether someone listens */
  client_free(silent);
  open_behind(rig, line4, sizeof line4 - 1, "192.0.2.7", 57005);
  assert_int_equal(rig_count(rig, WSB_EVENT_REFUSED), 3);
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  assert_int_equal(metrics.refused, 3);
  rig_finish(rig);
}

static void a_header_that_does_not_come_in_time(void **state) {
  Rig *rig = *state;
  rig->config.trusted_proxies = "127.0.0.1";
  rig->config.proxy_protocol = WSB_PROXY_PROTOCOL_TRUSTED;
  rig->config.handshake_timeout_ms = 200;
  rig_start(rig);
  const uint64_t began = now_ms();
  Client *slow = connect_with(rig, line4, 10);
  Client *mute = client_tcp("127.0.0.1", rig->port, 0);
  assert_non_null(mute);
  expect_refused(rig, slow, 0);
  expect_refused(rig, mute, 1);
  assert_true(now_ms() - began >= 200);
  rig_finish(rig);
}

static void others_go_without(void **state) {
  Rig *rig = *state;
  rig->config.trusted_proxies = "192.0.2.0/24";
  rig->config.proxy_protocol = WSB_PROXY_PROTOCOL_TRUSTED;
  rig_start(rig);
  open_behind(rig, "", 0, "127.0.0.1", 0);
  Client *liar = connect_with(rig, line4, sizeof line4 - 1);
  assert_int_equal(client_handshake(liar, "/", NULL, PATIENCE_MS), 400);
  assert_int_equal(rig_expect(rig, WSB_EVENT_REFUSED, 0)->as.refused.refusal, WSB_REFUSAL_BAD_REQUEST);
  client_free(liar);
  rig_finish(rig);
}

static void others_are_ended(void **state) {
  Rig *rig = *state;
  rig->config.trusted_proxies = "192.0.2.0/24";
  rig->config.proxy_protocol = WSB_PROXY_PROTOCOL_REQUIRED;
  rig_start(rig);
  expect_refused(rig, client_tcp("127.0.0.1", rig->port, 0), 0);
  expect_refused(rig, connect_with(rig, line4, sizeof line4 - 1), 1);
  rig_finish(rig);
}

static void through_a_unix_socket(void **state) {
  Rig *rig = *state;
  char folder[256];
  char path[300];
  make_directory(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/socket", folder);
  rig->config.unix_path = path;
  rig->config.trusted_proxies = "unix";
  rig->config.proxy_protocol = WSB_PROXY_PROTOCOL_REQUIRED;
  rig_start(rig);
  Client *client = client_unix(path);
  assert_non_null(client);
  assert_true(client_send_bytes(client, line4, 20));
  pause_ms(2); /* so that it comes in two pieces */
  assert_true(client_send_bytes(client, line4 + 20, sizeof line4 - 1 - 20));
  assert_int_equal(client_handshake(client, "/", NULL, PATIENCE_MS), 101);
  assert_string_equal(rig_expect(rig, WSB_EVENT_OPEN, 0)->as.open.peer, "192.0.2.7");
  client_free(client);
  rig_finish(rig);
  remove_directory(folder);
}

static void x_forwarded_for_behind_a_header(void **state) {
  Rig *rig = *state;
  rig->config.trusted_proxies = "127.0.0.1, 192.0.2.7";
  rig->config.proxy_protocol = WSB_PROXY_PROTOCOL_TRUSTED;
  rig_start(rig);
  Client *inner = connect_with(rig, line4, sizeof line4 - 1); /* a proxy before the proxy, trusted too */
  assert_int_equal(client_handshake(inner, "/", "X-Forwarded-For: 198.51.100.9\r\n", PATIENCE_MS), 101);
  assert_string_equal(rig_expect(rig, WSB_EVENT_OPEN, 0)->as.open.peer, "198.51.100.9");
  Client *outer = connect_with(rig, block6, sizeof block6 - 1); /* a client, which can claim nothing */
  assert_int_equal(client_handshake(outer, "/", "X-Forwarded-For: 198.51.100.9\r\n", PATIENCE_MS), 101);
  assert_string_equal(rig_expect(rig, WSB_EVENT_OPEN, 1)->as.open.peer, "2001:db8::7");
  client_free(inner);
  client_free(outer);
  rig_finish(rig);
}

static void stopping_while_headers_are_awaited(void **state) {
  Rig *rig = *state;
  rig->config.trusted_proxies = "127.0.0.1";
  rig->config.proxy_protocol = WSB_PROXY_PROTOCOL_TRUSTED;
  rig->config.workers = 2;
  rig_start(rig);
  Client *waiting[8];
  for (size_t i = 0; i < 8; ++i) waiting[i] = connect_with(rig, line4, i);
  const uint64_t began = now_ms();
  rig_finish(rig);
  assert_true(now_ms() - began < 5000); /* not the handshake's 10 s */
  for (size_t i = 0; i < 8; ++i) client_free(waiting[i]);
}

static void configuration(void **state) {
  (void)state;
  wsb_config config;
  wsb_server *server = NULL;
  wsb_config_init(&config);
  config.proxy_protocol = WSB_PROXY_PROTOCOL_TRUSTED;
  expect_error(wsb_server_create(&config, NULL, &server), WSB_E_CONFIG, "proxy_protocol: needs trusted_proxies");
  config.trusted_proxies = "127.0.0.1";
  config.proxy_protocol = WSB_PROXY_PROTOCOL_REQUIRED + 1;
  expect_error(wsb_server_create(&config, NULL, &server), WSB_E_CONFIG, "proxy_protocol");
  config.proxy_protocol = WSB_PROXY_PROTOCOL_REQUIRED;
  assert_int_equal(wsb_server_create(&config, NULL, &server), WSB_OK);
  wsb_server_destroy(server);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(headers_name_the_client),
      RIG_TEST(headers_count_for_limits),
      RIG_TEST(a_header_in_pieces),
      RIG_TEST(bad_headers),
      RIG_TEST(a_header_that_does_not_come_in_time),
      RIG_TEST(others_go_without),
      RIG_TEST(others_are_ended),
      RIG_TEST(through_a_unix_socket),
      RIG_TEST(x_forwarded_for_behind_a_header),
      RIG_TEST(stopping_while_headers_are_awaited),
      cmocka_unit_test(configuration),
  };
  return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
