/* The ranges that wsbeat.h promises for each field of wsb_config, and settings that do not fit together. Sizes are in structs_test.c. */
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

/* One numeric field: zero is the default, low..high is accepted, `special` (if not 0) too; everything else is refused. */
typedef struct Range {
  const char *name;
  size_t offset;
  size_t width;
  uint64_t low;
  uint64_t high;
  uint64_t special;
} Range;

#define RANGE(field, low, high, special) \
  { #field, offsetof(wsb_config, field), sizeof(((wsb_config *)0)->field), low, high, special }

static const Range ranges[] = {
    RANGE(port, 1, 65535, 0),
    RANGE(backlog, 1, 65535, 0),
    RANGE(workers, 1, 64, 0),
    RANGE(delivery, 1, 1, 0),
    RANGE(log_level, 1, 4, 0),
    RANGE(tls_min_version, 12, 13, 0),
    RANGE(heartbeat_interval_ms, 50, 86400000, WSB_OFF),
    RANGE(heartbeat_timeout_ms, 20, 24999, 0),
    RANGE(heartbeat_liveness, 1, 1, 0),
    RANGE(tcp_user_timeout_ms, 1000, 86400000, WSB_OFF),
    RANGE(handshake_timeout_ms, 50, 600000, 0),
    RANGE(close_timeout_ms, 50, 600000, 0),
    RANGE(auth_timeout_ms, 50, 600000, 0),
    RANGE(idle_timeout_ms, 50, 604800000, 0),
    RANGE(message_timeout_ms, 50, 3600000, 0),
    RANGE(max_header_bytes, 256, 1048576, 0),
    RANGE(max_connections, 1, 16000000, 0),
    RANGE(max_connections_per_address, 1, 16000000, 0),
    RANGE(max_messages_per_second, 1, 10000000, 0),
    RANGE(max_message_bytes, 1, UINT64_C(1) << 40, 0),
    RANGE(max_fragments, 1, UINT64_C(1) << 31, 0),
    RANGE(slow_consumer, 1, 2, 0),
    RANGE(max_queue_bytes, 1024, UINT64_C(1) << 40, 0),
    RANGE(max_event_queue_messages, 1, 1 << 24, 0),
    RANGE(max_event_queue_bytes, 1024, UINT64_C(1) << 40, 0),
    RANGE(require_subprotocol, 1, 1, 0),
    RANGE(deflate, 1, 1, 0),
    RANGE(deflate_server_max_window_bits, 9, 15, 0),
    RANGE(deflate_client_max_window_bits, 9, 15, 0),
    RANGE(deflate_server_no_context_takeover, 1, 1, 0),
    RANGE(deflate_client_no_context_takeover, 1, 1, 0),
    RANGE(deflate_level, 1, 9, 0),
    RANGE(deflate_mem_level, 1, 9, 0),
    RANGE(deflate_threshold_bytes, 1, 1 << 30, 0),
    RANGE(app_beat_ms, 50, 86400000, 0),
};
enum { RANGE_COUNT = sizeof ranges / sizeof ranges[0] };

/* Creates and destroys; gives the error. */
static int try_config(const wsb_config *config) {
  wsb_server *server = NULL;
  const int made = wsb_server_create(config, NULL, &server);
  if (made == WSB_OK) {
    assert_int_equal(wsb_server_destroy(server), WSB_OK);
  } else {
    assert_null(server);
  }
  return made;
}

static int try_value(const Range *range, uint64_t value) {
  wsb_config config;
  wsb_config_init(&config);
  config.subprotocols = "v1"; /* so that require_subprotocol makes sense */
  if (range->width == sizeof(uint32_t)) {
    const uint32_t narrow = (uint32_t)value;
    memcpy((char *)&config + range->offset, &narrow, sizeof narrow);
  } else {
    memcpy((char *)&config + range->offset, &value, sizeof value);
  }
  return try_config(&config);
}

static void accepted(void **state) {
  (void)state;
  for (size_t i = 0; i < RANGE_COUNT; ++i) {
    const uint64_t good[] = {0, ranges[i].low, ranges[i].high, ranges[i].special};
    for (size_t k = 0; k < sizeof good / sizeof good[0]; ++k) {
      const int made = try_value(&ranges[i], good[k]);
      if (made != WSB_OK) fail_msg("%s = %llu: %s", ranges[i].name, (unsigned long long)good[k], wsb_last_error());
    }
  }
}

static void refused(void **state) {
  (void)state;
  for (size_t i = 0; i < RANGE_COUNT; ++i) {
    const uint64_t top = ranges[i].width == sizeof(uint32_t) ? UINT32_MAX : UINT64_MAX;
    const uint64_t bad[] = {ranges[i].low - 1, ranges[i].low / 2, ranges[i].high + 1, top - 1, top};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; ++k) {
      const bool fine = bad[k] == 0 || bad[k] > top || (bad[k] >= ranges[i].low && bad[k] <= ranges[i].high);
      if (fine || (bad[k] == ranges[i].special && bad[k] != 0)) continue;
      const int made = try_value(&ranges[i], bad[k]);
      if (made != WSB_E_CONFIG || strstr(wsb_last_error(), ranges[i].name) == NULL) {
        fail_msg("%s = %llu gave %d, last error '%s'", ranges[i].name, (unsigned long long)bad[k], made,
                 wsb_last_error());
      }
    }
  }
}

static void heartbeat_timeout_follows_interval(void **state) {
  (void)state;
  wsb_config config;
  wsb_config_init(&config);
  config.heartbeat_interval_ms = 50;
  assert_int_equal(try_config(&config), WSB_OK);
  config.heartbeat_timeout_ms = 49;
  assert_int_equal(try_config(&config), WSB_OK);
  config.heartbeat_timeout_ms = 50;
  expect_error(try_config(&config), WSB_E_CONFIG, "heartbeat_timeout_ms");
  config.heartbeat_interval_ms = 86400000;
  config.heartbeat_timeout_ms = 86399999;
  assert_int_equal(try_config(&config), WSB_OK);
}

static void last_error_stays_and_is_per_thread(void **state) {
  (void)state;
  wsb_config config;
  wsb_config_init(&config);
  config.workers = 65;
  expect_error(try_config(&config), WSB_E_CONFIG, "workers");
  assert_int_equal(try_config(NULL), WSB_OK);
  assert_non_null(strstr(wsb_last_error(), "workers")); /* successful calls leave it alone */
}

static void *other_thread(void *argument) {
  *(bool *)argument = strcmp(wsb_last_error(), "") == 0;
  return NULL;
}

static void last_error_of_a_new_thread(void **state) {
  (void)state;
  expect_error(wsb_server_create(NULL, NULL, NULL), WSB_E_INVALID, NULL);
  assert_true(strlen(wsb_last_error()) > 0);
  bool empty = false;
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, other_thread, &empty), 0);
  pthread_join(thread, NULL);
  assert_true(empty);
}

static void subprotocols(void **state) {
  (void)state;
  wsb_config config;
  wsb_config_init(&config);
  static const char *const good[] = {"v1", "v2.0,v1.5", "v2.0, v1.5", "a!#$%&'*+-.^_`|~9"};
  static const char *const bad[] = {"has space", "a,b c", "quo\"te", "a/b", "\xc3\xa9", "a,a"};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; ++i) {
    config.subprotocols = good[i];
    if (try_config(&config) != WSB_OK) fail_msg("'%s' was refused: %s", good[i], wsb_last_error());
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    config.subprotocols = bad[i];
    expect_error(try_config(&config), WSB_E_CONFIG, "subprotocols");
  }
  config.subprotocols = NULL;
  config.require_subprotocol = 1;
  expect_error(try_config(&config), WSB_E_CONFIG, "subprotocol");
}

static void trusted_proxies(void **state) {
  (void)state;
  wsb_config config;
  wsb_config_init(&config);
  static const char *const good[] = {"127.0.0.1",      "10.0.0.0/8, ::1", "unix",
                                     "0.0.0.0/0,::/0", "fd00::/8",        "192.0.2.1/32"};
  static const char *const bad[] = {"10.0.0.0/33", "::1/129",    "10.0.0/8",  "example.org",
                                    "10.0.0.0/",   "10.0.0.0/x", "1.2.3.4/-1"};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; ++i) {
    config.trusted_proxies = good[i];
    if (try_config(&config) != WSB_OK) fail_msg("'%s' was refused: %s", good[i], wsb_last_error());
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    config.trusted_proxies = bad[i];
    expect_error(try_config(&config), WSB_E_CONFIG, "trusted_proxies");
  }
}

static void tls_settings(void **state) {
  (void)state;
  wsb_config config;
  wsb_config_init(&config);
  config.tls_cert_file = "cert.pem";
  expect_error(try_config(&config), WSB_E_CONFIG, "tls_key_file");
  wsb_config_init(&config);
  config.tls_key_file = "key.pem";
  expect_error(try_config(&config), WSB_E_CONFIG, "tls_cert_file");
  for (uint32_t wanted = WSB_CLIENT_CERT_OPTIONAL; wanted <= WSB_CLIENT_CERT_REQUIRED; ++wanted) {
    config.tls_cert_file = "cert.pem";
    config.tls_client_cert = wanted;
    expect_error(try_config(&config), WSB_E_CONFIG, "tls_ca_file");
  }
  config.tls_client_cert = 3;
  config.tls_ca_file = "ca.pem";
  expect_error(try_config(&config), WSB_E_CONFIG, "tls_client_cert");
}

/* Files are looked at when the server starts; the text says which. */
static void tls_files(void **state) {
  (void)state;
  char directory[256];
  char garbage[300];
  make_directory(directory, sizeof directory);
  snprintf(garbage, sizeof garbage, "%s/garbage.pem", directory);
  FILE *file = fopen(garbage, "w");
  assert_non_null(file);
  fputs("this is no certificate\n", file);
  fclose(file);
  const char *const files[] = {"/nonexistent/cert.pem", garbage, directory};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; ++i) {
    wsb_config config;
    wsb_config_init(&config);
    config.tls_cert_file = files[i];
    config.tls_key_file = files[i];
    wsb_server *server = NULL;
    assert_int_equal(wsb_server_create(&config, NULL, &server), WSB_OK);
    const int started = wsb_server_start(server);
    char text[512];
    snprintf(text, sizeof text, "%s", wsb_last_error());
    assert_int_equal(wsb_server_destroy(server), WSB_OK);
    assert_int_equal(started, WSB_E_TLS);
    if (strstr(text, files[i]) == NULL) fail_msg("'%s' does not name %s", text, files[i]);
  }
  remove_directory(directory);
}

static void never_called(const wsb_message_event *event, void *user) {
  (void)event;
  (void)user;
}

static void never_called_either(const wsb_fragment_event *event, void *user) {
  (void)event;
  (void)user;
}

static void callbacks_that_exclude_each_other(void **state) {
  (void)state;
  wsb_callbacks callbacks;
  wsb_callbacks_init(&callbacks);
  callbacks.on_message = never_called;
  callbacks.on_fragment = never_called_either;
  wsb_server *server = NULL;
  const int made = wsb_server_create(NULL, &callbacks, &server);
  assert_null(server);
  assert_true(made == WSB_E_INVALID || made == WSB_E_CONFIG);
  assert_non_null(strstr(wsb_last_error(), "on_fragment"));
}

static void queue_delivery_takes_no_callbacks(void **state) {
  Rig *rig = *state;
  const wsb_callbacks all = rig->callbacks;
  rig->config.delivery = WSB_DELIVERY_QUEUE;
  for (size_t i = 0; i < 8; ++i) {
    wsb_callbacks_init(&rig->callbacks);
    rig->callbacks.user = rig;
    if (i == 0) rig->callbacks.on_open = all.on_open;
    if (i == 1) rig->callbacks.on_message = all.on_message;
    if (i == 2) rig->callbacks.on_fragment = never_called_either;
    if (i == 3) rig->callbacks.on_pong = all.on_pong;
    if (i == 4) rig->callbacks.on_drain = all.on_drain;
    if (i == 5) rig->callbacks.on_close = all.on_close;
    if (i == 6) rig->callbacks.on_refused = all.on_refused;
    if (i == 7) rig->callbacks.on_log = all.on_log;
    const int made = wsb_server_create(&rig->config, &rig->callbacks, &rig->server);
    assert_null(rig->server);
    assert_true(made == WSB_E_INVALID || made == WSB_E_CONFIG);
    assert_non_null(strstr(wsb_last_error(), "on_"));
  }
  assert_int_equal(try_config(&rig->config), WSB_OK);
}

/* Strings are copied: the caller's may change after create. */
static void strings_are_copied(void **state) {
  Rig *rig = *state;
  char host[] = "127.0.0.1";
  char protocols[] = "v2,v1";
  rig->config.host = host;
  rig->config.subprotocols = protocols;
  rig_create(rig);
  memset(host, 'x', sizeof host - 1);
  memset(protocols, 'x', sizeof protocols - 1);
  rig_start(rig);
  Client *client = rig_client_with(rig, NULL, "/", "Sec-WebSocket-Protocol: v1, v2\r\n", 0);
  assert_string_equal(rig_expect(rig, WSB_EVENT_OPEN, 0)->as.open.subprotocol, "v2");
  client_free(client);
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepted),
      cmocka_unit_test(refused),
      cmocka_unit_test(heartbeat_timeout_follows_interval),
      cmocka_unit_test(last_error_stays_and_is_per_thread),
      cmocka_unit_test(last_error_of_a_new_thread),
      cmocka_unit_test(subprotocols),
      cmocka_unit_test(trusted_proxies),
      cmocka_unit_test(tls_settings),
      cmocka_unit_test(tls_files),
      cmocka_unit_test(callbacks_that_exclude_each_other),
      RIG_TEST(queue_delivery_takes_no_callbacks),
      RIG_TEST(strings_are_copied),
  };
  return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
