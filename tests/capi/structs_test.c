/* Sized structs: what older (shorter) and newer (longer) callers hand in, byte by byte, and what the library writes back.
 * Copies end at an unreadable page, so a look beyond `size` kills the test. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

enum { PAGE_BYTES = 65536 };

/* Memory for a struct of `size` bytes whose end is the end of the readable memory (but for alignment). */
static void *guarded(size_t size) {
  static uint8_t *area;
  if (area == NULL) {
    area = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED);
    assert_int_equal(mprotect(area + PAGE_BYTES, PAGE_BYTES, PROT_NONE), 0);
  }
  return area + (PAGE_BYTES - size) / sizeof(uint64_t) * sizeof(uint64_t);
}

/* A copy of the first `size` bytes of a struct, with its size set so. */
static void *cut(const void *whole, size_t size) {
  void *copy = guarded(size);
  memcpy(copy, whole, size);
  memcpy(copy, &size, sizeof size);
  return copy;
}

/* A copy with `extra` more bytes, all zero but the one at `marked` (none if beyond). */
static void *stretch(const void *whole, size_t known, size_t extra, size_t marked) {
  uint8_t *copy = guarded(known + extra);
  const size_t size = known + extra;
  memset(copy, 0, size);
  memcpy(copy, whole, known);
  memcpy(copy, &size, sizeof size);
  if (marked < extra) copy[known + marked] = 1;
  return copy;
}

static int try_create(const wsb_config *config, const wsb_callbacks *callbacks) {
  wsb_server *server = NULL;
  const int made = wsb_server_create(config, callbacks, &server);
  if (made == WSB_OK) assert_int_equal(wsb_server_destroy(server), WSB_OK);
  return made;
}

static void size_missing(void **state) {
  (void)state;
  wsb_config config = {0};
  wsb_callbacks callbacks = {0};
  for (size_t size = 0; size < sizeof(size_t); ++size) {
    config.size = size;
    expect_error(try_create(&config, NULL), WSB_E_INVALID, "size");
    callbacks.size = size;
    expect_error(try_create(NULL, &callbacks), WSB_E_INVALID, "size");
  }
}

static void only_size(void **state) {
  (void)state;
  const size_t size = sizeof(size_t);
  assert_int_equal(try_create(cut(&size, size), NULL), WSB_OK);
  assert_int_equal(try_create(NULL, cut(&size, size)), WSB_OK);
}

/* Sizes of structs come in steps of their alignment. */
enum { STEP = sizeof(uint64_t) };

/* A refused value counts when the struct reaches it, and only then. */
static void shorter_config(void **state) {
  (void)state;
  wsb_config config;
  wsb_config_init(&config);
#define CUT_AT(field)                                                                                            \
  do {                                                                                                           \
    config.field = UINT32_MAX - 1;                                                                               \
    assert_int_equal(try_create(cut(&config, offsetof(wsb_config, field) / STEP * STEP), NULL), WSB_OK);         \
    expect_error(try_create(cut(&config, offsetof(wsb_config, field) / STEP * STEP + STEP), NULL), WSB_E_CONFIG, \
                 #field);                                                                                        \
    config.field = 0;                                                                                            \
  } while (0)
  CUT_AT(port);
  CUT_AT(backlog);
  CUT_AT(workers);
  CUT_AT(delivery);
  CUT_AT(log_level);
  CUT_AT(tls_client_cert);
  CUT_AT(tls_min_version);
  CUT_AT(heartbeat_interval_ms);
  CUT_AT(heartbeat_timeout_ms);
  CUT_AT(heartbeat_liveness);
  CUT_AT(tcp_user_timeout_ms);
  CUT_AT(handshake_timeout_ms);
  CUT_AT(close_timeout_ms);
  CUT_AT(auth_timeout_ms);
  CUT_AT(idle_timeout_ms);
  CUT_AT(message_timeout_ms);
  CUT_AT(max_header_bytes);
  CUT_AT(max_connections);
  CUT_AT(max_connections_per_address);
  CUT_AT(max_messages_per_second);
  CUT_AT(max_fragments);
  CUT_AT(slow_consumer);
  CUT_AT(max_event_queue_messages);
  CUT_AT(require_subprotocol);
  CUT_AT(deflate);
  CUT_AT(deflate_server_max_window_bits);
  CUT_AT(deflate_level);
  CUT_AT(deflate_threshold_bytes);
#undef CUT_AT
}

/* Every length is either served or refused, never read beyond. */
static void every_length(void **state) {
  (void)state;
  wsb_config config;
  wsb_config_init(&config);
  config.host = "127.0.0.1";
  for (size_t size = sizeof(size_t); size <= sizeof config; size += sizeof(uint32_t)) {
    assert_int_equal(try_create(cut(&config, size), NULL), size % STEP == 0 ? WSB_OK : WSB_E_INVALID);
  }
  wsb_callbacks callbacks;
  wsb_callbacks_init(&callbacks);
  for (size_t size = sizeof(size_t); size <= sizeof callbacks; size += sizeof(void *)) {
    assert_int_equal(try_create(NULL, cut(&callbacks, size)), WSB_OK);
  }
}

static void on_open(const wsb_open_event *event, void *user) {
  (void)event;
  (void)user;
}

static void longer_input(void **state) {
  (void)state;
  wsb_config config;
  wsb_callbacks callbacks;
  wsb_config_init(&config);
  wsb_callbacks_init(&callbacks);
  callbacks.on_open = on_open;
  for (size_t extra = 8; extra <= 264; extra += 64) {
    assert_int_equal(try_create(stretch(&config, sizeof config, extra, SIZE_MAX), NULL), WSB_OK);
    assert_int_equal(try_create(NULL, stretch(&callbacks, sizeof callbacks, extra, SIZE_MAX)), WSB_OK);
    for (size_t marked = 0; marked < extra; marked += 7) {
      expect_error(try_create(stretch(&config, sizeof config, extra, marked), NULL), WSB_E_INVALID, "wsb_config");
      expect_error(try_create(NULL, stretch(&callbacks, sizeof callbacks, extra, marked)), WSB_E_INVALID,
                   "wsb_callbacks");
    }
    const size_t last = extra - 1;
    expect_error(try_create(stretch(&config, sizeof config, extra, last), NULL), WSB_E_INVALID, NULL);
  }
}

/* A shorter callbacks struct: later members are taken as NULL although memory holds something there. */
static void shorter_callbacks_are_not_called(void **state) {
  Rig *rig = *state;
  rig->callbacks.size = offsetof(wsb_callbacks, on_message);
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  assert_true(client_send_text(client, "hello"));
  assert_true(client_send_close(client, 1000, ""));
  expect_close(client, 1000, "");
  expect_end(client);
  client_free(client);
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  assert_int_equal(rig_count(rig, WSB_EVENT_OPEN), 1);
  assert_int_equal(rig_count(rig, WSB_EVENT_MESSAGE), 0);
  assert_int_equal(rig_count(rig, WSB_EVENT_CLOSE), 0);
}

static void stop_options_sizes(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_stop_options options;
  wsb_stop_options_init(&options);
  for (size_t size = 0; size < sizeof(size_t); ++size) {
    options.size = size;
    assert_int_equal(wsb_server_request_stop(rig->server, &options), WSB_E_INVALID);
  }
  const wsb_stop_options *newer = stretch(&options, sizeof options, 16, 3);
  expect_error(wsb_server_request_stop(rig->server, newer), WSB_E_INVALID, "wsb_stop_options");
  assert_int_equal(wsb_server_stop(rig->server, newer, NULL), WSB_E_INVALID);
  options.code = 17;
  assert_int_equal(wsb_server_request_stop(rig->server, cut(&options, offsetof(wsb_stop_options, code) + STEP)),
                   WSB_E_INVALID);
  /* accepted: the refused code is beyond the end, and a zero tail is nothing new */
  assert_int_equal(wsb_server_request_stop(rig->server, cut(&options, offsetof(wsb_stop_options, code))), WSB_OK);
  options.code = 0;
  assert_int_equal(wsb_server_stop(rig->server, stretch(&options, sizeof options, 16, SIZE_MAX), NULL), WSB_OK);
  rig_finish(rig);
}

static void stop_result_sizes(void **state) {
  Rig *rig = *state;
  for (size_t size = 0; size <= 40; size += 8) {
    rig_start(rig);
    Client *client = rig_client(rig, NULL);
    assert_int_equal(wsb_server_request_stop(rig->server, NULL), WSB_OK);
    expect_close(client, 1001, "server is closing");
    assert_true(client_send_close(client, 1001, ""));
    uint64_t memory[6];
    memset(memory, 0xa5, sizeof memory);
    const uint64_t untouched = memory[5];
    memcpy(memory, &size, sizeof size);
    wsb_stop_result *result = (wsb_stop_result *)(void *)memory;
    assert_int_equal(wsb_server_stop(rig->server, NULL, result), size == 0 ? WSB_E_INVALID : WSB_OK);
    if (size >= 16) assert_int_equal(memory[1], 1);
    if (size >= 24) assert_int_equal(memory[2], 0);
    for (size_t i = 3; i < size / 8; ++i) assert_int_equal(memory[i], 0);
    for (size_t i = size == 0 ? 1 : size / 8; i < 6; ++i) assert_int_equal(memory[i], untouched);
    client_free(client);
    rig_finish(rig);
  }
}

/* Checks one output struct of every size against a full one; `steady` says which bytes may be compared. */
static void check_output(int (*fill)(Rig *rig, void *out), Rig *rig, const uint8_t *full, size_t known,
                         bool (*steady)(size_t)) {
  enum { EXTRA = 64 };
  uint8_t *memory = malloc(known + 2 * EXTRA);
  assert_non_null(memory);
  for (size_t size = 0; size <= known + EXTRA; size += sizeof(uint32_t)) {
    memset(memory, 0xa5, known + 2 * EXTRA);
    memcpy(memory, &size, sizeof size);
    const int filled = fill(rig, memory);
    if (size < sizeof(size_t)) {
      assert_int_equal(filled, WSB_E_INVALID);
    } else if (filled != WSB_OK) {
      fail_msg("size %zu gave %d", size, filled);
    }
    for (size_t i = sizeof(size_t); i < known + 2 * EXTRA; ++i) {
      const uint8_t expected = i >= size ? 0xa5 : i < known ? full[i] : 0;
      if ((i < known && i < size && !steady(i)) || memory[i] == expected) continue;
      fail_msg("size %zu: byte %zu is %02x, expected %02x", size, i, memory[i], expected);
    }
  }
  free(memory);
}

static int fill_info(Rig *rig, void *out) {
  return wsb_conn_get_info(rig->server, *(wsb_conn *)rig->context, out);
}
static int fill_metrics(Rig *rig, void *out) {
  return wsb_server_get_metrics(rig->server, out);
}

static bool info_is_steady(size_t at) {
  return at < offsetof(wsb_conn_info, open_us) || at >= offsetof(wsb_conn_info, bytes_in);
}

static bool metrics_are_steady(size_t at) {
  return at < offsetof(wsb_metrics, writes) || at >= offsetof(wsb_metrics, closed_by_cause);
}

static void output_sizes(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = WSB_OFF;
  rig_start(rig);
  wsb_conn conn;
  client_free(rig_client(rig, &conn));
  rig_expect_close(rig, conn);
  Client *client = rig_client(rig, &conn);
  rig->context = &conn;
  assert_true(client_send_text(client, "counted"));
  rig_expect(rig, WSB_EVENT_MESSAGE, 0);
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  assert_int_equal(fill_info(rig, &info), WSB_OK);
  assert_int_equal(info.messages_in, 1);
  check_output(fill_info, rig, (const uint8_t *)&info, sizeof info, info_is_steady);
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(fill_metrics(rig, &metrics), WSB_OK);
  assert_int_equal(metrics.opened, 2);
  check_output(fill_metrics, rig, (const uint8_t *)&metrics, sizeof metrics, metrics_are_steady);
  client_free(client);
  rig_finish(rig);
}

/* Events carry their own size, so that an application can see what a newer library adds. */
static void event_sizes(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_true(client_send_text(client, "x"));
  assert_true(client_send(client, OP_PONG, "u", 1));
  rig_expect(rig, WSB_EVENT_PONG, 0);
  client_free(client);
  rig_expect_close(rig, conn);
  assert_int_equal(rig_expect(rig, WSB_EVENT_OPEN, 0)->as.open.size, sizeof(wsb_open_event));
  assert_int_equal(rig_expect(rig, WSB_EVENT_MESSAGE, 0)->as.message.size, sizeof(wsb_message_event));
  assert_int_equal(rig_expect(rig, WSB_EVENT_PONG, 0)->as.pong.size, sizeof(wsb_pong_event));
  assert_int_equal(rig_expect(rig, WSB_EVENT_CLOSE, 0)->as.close.size, sizeof(wsb_close_event));
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(size_missing), cmocka_unit_test(only_size),    cmocka_unit_test(shorter_config),
      cmocka_unit_test(every_length), cmocka_unit_test(longer_input), RIG_TEST(shorter_callbacks_are_not_called),
      RIG_TEST(stop_options_sizes),   RIG_TEST(stop_result_sizes),    RIG_TEST(output_sizes),
      RIG_TEST(event_sizes),
  };
  return cmocka_run_group_tests_name("structs", tests, NULL, NULL);
}
