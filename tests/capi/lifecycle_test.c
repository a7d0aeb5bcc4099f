/* A server's life: create, start, run, stop, destroy, in every order. */
#include "support.h"

static void version_and_names(void **state) {
  (void)state;
  assert_int_equal(wsb_version_number(), WSB_VERSION_NUMBER);
  assert_string_equal(wsb_version_string(), WSB_VERSION_STRING);
  assert_string_equal(wsb_strerror(WSB_E_FULL), "send queue full; nothing was queued, on_drain will follow");
  assert_string_equal(wsb_strerror(-1000), "unknown error");
  assert_string_equal(wsb_strerror(17), "unknown error");
#define WSB_XX(name, value, text)        \
  assert_int_equal(WSB_E_##name, value); \
  assert_string_equal(wsb_strerror(value), text);
  WSB_ERROR_MAP(WSB_XX)
#undef WSB_XX
#define WSB_XX(name, value, text) assert_string_equal(wsb_cause_name(value), text);
  WSB_CAUSE_MAP(WSB_XX)
#undef WSB_XX
#define WSB_XX(name, value, text) assert_string_equal(wsb_refusal_name(value), text);
  WSB_REFUSAL_MAP(WSB_XX)
#undef WSB_XX
  assert_string_equal(wsb_cause_name(0), "unknown");
  assert_string_equal(wsb_cause_name(WSB_CAUSE_LAST_ + 1), "unknown");
  assert_string_equal(wsb_refusal_name(WSB_REFUSAL_LAST_ + 1), "unknown");
  assert_string_equal(wsb_initiator_name(WSB_INITIATOR_LOCAL), "local");
  assert_string_equal(wsb_initiator_name(WSB_INITIATOR_REMOTE), "remote");
  assert_string_equal(wsb_initiator_name(WSB_INITIATOR_NETWORK), "network");
  assert_string_equal(wsb_initiator_name(0), "unknown");
  assert_string_equal(wsb_state_name(WSB_STATE_OPEN), "open");
  assert_string_equal(wsb_state_name(WSB_STATE_CLOSING), "closing");
  assert_string_equal(wsb_state_name(WSB_STATE_CLOSED), "closed");
  assert_string_equal(wsb_state_name(9), "unknown");
}

static void null_everywhere(void **state) {
  (void)state;
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  wsb_batch *batch = NULL;
  char text[8];
  expect_error(wsb_server_create(NULL, NULL, NULL), WSB_E_INVALID, NULL);
  assert_int_equal(wsb_server_start(NULL), WSB_E_INVALID);
  assert_int_equal(wsb_server_run(NULL), WSB_E_INVALID);
  assert_int_equal(wsb_server_stop(NULL, NULL, NULL), WSB_E_INVALID);
  assert_int_equal(wsb_server_request_stop(NULL, NULL), WSB_E_INVALID);
  assert_int_equal(wsb_server_destroy(NULL), WSB_OK);
  assert_int_equal(wsb_server_port(NULL), 0);
  assert_int_equal(wsb_server_reload_tls(NULL, NULL, NULL), WSB_E_INVALID);
  assert_int_equal(wsb_server_for_each(NULL, NULL, NULL), WSB_E_INVALID);
  assert_int_equal(wsb_server_event_fd(NULL), WSB_E_INVALID);
  assert_int_equal(wsb_server_next_events(NULL, 0, &batch), WSB_E_INVALID);
  assert_int_equal(wsb_batch_count(NULL), 0);
  assert_null(wsb_batch_event(NULL, 0));
  wsb_batch_release(NULL);
  wsb_message_release(NULL);
  assert_null(wsb_message_ref(NULL));
  assert_int_equal(wsb_send(NULL, 1, WSB_TEXT, "x", 1), WSB_E_INVALID);
  assert_int_equal(wsb_send_message(NULL, 1, NULL), WSB_E_INVALID);
  assert_int_equal(wsb_ping(NULL, 1, NULL, 0), WSB_E_INVALID);
  assert_int_equal(wsb_close(NULL, 1, 1000, NULL, 0), WSB_E_INVALID);
  assert_int_equal(wsb_abort(NULL, 1), WSB_E_INVALID);
  assert_int_equal(wsb_buffered_amount(NULL, 1), WSB_E_INVALID);
  assert_int_equal(wsb_conn_pause(NULL, 1), WSB_E_INVALID);
  assert_int_equal(wsb_conn_resume(NULL, 1), WSB_E_INVALID);
  assert_int_equal(wsb_conn_set_user(NULL, 1, NULL), WSB_E_INVALID);
  assert_null(wsb_conn_user(NULL, 1));
  assert_int_equal(wsb_conn_set_heartbeat(NULL, 1, 0, 0, 0), WSB_E_INVALID);
  assert_int_equal(wsb_conn_authenticate(NULL, 1), WSB_E_INVALID);
  assert_int_equal(wsb_conn_get_info(NULL, 1, NULL), WSB_E_INVALID);
  assert_int_equal(wsb_conn_string(NULL, 1, WSB_STRING_PATH, text, sizeof text), WSB_E_INVALID);
  assert_int_equal(wsb_server_get_metrics(NULL, &metrics), WSB_E_INVALID);
  assert_int_equal(wsb_server_metrics_text(NULL, text, sizeof text), WSB_E_INVALID);
  assert_null(wsb_request_path(NULL));
  assert_null(wsb_request_header(NULL, "host"));
  assert_null(wsb_request_subprotocol(NULL));
}

static void all_defaults(void **state) {
  (void)state;
  wsb_server *server = NULL;
  assert_int_equal(wsb_server_create(NULL, NULL, &server), WSB_OK);
  assert_non_null(server);
  assert_int_equal(wsb_server_port(server), 0);
  assert_int_equal(wsb_server_start(server), WSB_OK);
  const uint32_t port = wsb_server_port(server);
  assert_in_range(port, 1, 65535);
  Client *client = client_open(port);
  assert_non_null(client);
  assert_true(client_send_text(client, "nobody listens"));
  assert_true(client_send(client, OP_PING, "p", 1));
  assert_memory_equal(expect_frame(client, OP_PONG).data, "p", 1);
  assert_int_equal(wsb_server_destroy(server), WSB_OK);
  expect_end(client);
  client_free(client);
}

static void states(void **state) {
  Rig *rig = *state;
  wsb_stop_result result = {.size = sizeof result, .clean = 77, .aborted = 77};
  rig_create(rig);
  expect_error(wsb_server_stop(rig->server, NULL, &result), WSB_E_STATE, NULL);
  assert_int_equal(wsb_server_request_stop(rig->server, NULL), WSB_E_STATE);
  rig_start(rig);
  expect_error(wsb_server_start(rig->server), WSB_E_STATE, NULL);
  assert_int_equal(wsb_server_run(rig->server), WSB_E_STATE);
  assert_int_equal(wsb_server_stop(rig->server, NULL, &result), WSB_OK);
  assert_int_equal(result.clean, 0);
  assert_int_equal(result.aborted, 0);
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  expect_error(wsb_server_start(rig->server), WSB_E_STATE, NULL);
  assert_int_equal(wsb_server_run(rig->server), WSB_E_STATE);
  Client *late = client_tcp("127.0.0.1", rig->port, 0);
  assert_null(late);
  rig_finish(rig);
}

static void never_started(void **state) {
  Rig *rig = *state;
  rig_create(rig);
  assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
  rig->server = NULL;
}

static void stop_options_are_checked(void **state) {
  Rig *rig = *state;
  char reason[125];
  memset(reason, 'r', sizeof reason - 1);
  reason[124] = '\0';
  rig_start(rig);
  const wsb_stop_options wrong[] = {
      {.code = 999},       {.code = 1005},           {.code = 1015},
      {.code = 5000},      {.deadline_ms = 3600001}, {.deadline_ms = 100, .spread_ms = 100},
      {.spread_ms = 5000}, {.reason = reason},       {.reason = "\xff"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    wsb_stop_options options = wrong[i];
    options.size = sizeof options;
    expect_error(wsb_server_stop(rig->server, &options, NULL), WSB_E_INVALID, NULL);
    assert_int_equal(wsb_server_request_stop(rig->server, &options), WSB_E_INVALID);
  }
  Client *client = rig_client(rig, NULL); /* it still serves */
  client_free(client);
  rig_finish(rig);
}

static void stop_says_goodbye(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  rig_start(rig);
  Client *polite = rig_client(rig, NULL);
  wsb_conn silent_conn;
  Client *silent = rig_client(rig, &silent_conn);
  wsb_stop_options options;
  wsb_stop_options_init(&options);
  options.code = 1012;
  options.reason = "back soon";
  options.deadline_ms = 600;
  assert_int_equal(wsb_server_request_stop(rig->server, &options), WSB_OK);
  expect_close(polite, 1012, "back soon");
  assert_true(client_send_close(polite, 1012, ""));
  expect_close(silent, 1012, "back soon");
  wsb_stop_result result = {.size = sizeof result};
  assert_int_equal(wsb_server_stop(rig->server, NULL, &result), WSB_OK);
  assert_int_equal(result.clean, 1);
  assert_int_equal(result.aborted, 1);
  const Record *record = rig_expect_close(rig, silent_conn);
  assert_int_equal(record->as.close.cause, WSB_CAUSE_SERVER_STOP);
  assert_int_equal(record->as.close.code, 1006);
  assert_int_equal(record->as.close.code_sent, 1012);
  assert_int_equal(record->as.close.clean, 0);
  rig_finish(rig);
  client_free(polite);
  client_free(silent);
}

static void earlier_deadline_shortens(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  Client *silent = rig_client(rig, NULL);
  wsb_stop_options options;
  wsb_stop_options_init(&options);
  options.deadline_ms = 60000;
  assert_int_equal(wsb_server_request_stop(rig->server, &options), WSB_OK);
  expect_close(silent, 1001, "server is closing");
  const uint64_t began = now_ms();
  options.deadline_ms = 200;
  assert_int_equal(wsb_server_request_stop(rig->server, &options), WSB_OK);
  rig_finish(rig);
  assert_in_range(now_ms() - began, 0, 4000); /* below close_timeout_ms too */
  client_free(silent);
}

static void handshake_while_stopping(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  Client *early = client_tcp("127.0.0.1", rig->port, 0); /* connected, not yet a WebSocket */
  Client *silent = rig_client(rig, NULL);
  assert_true(client_send_bytes(early, "GET / HTTP/1.1\r\n", 16));
  wsb_stop_options options;
  wsb_stop_options_init(&options);
  options.deadline_ms = 3000;
  assert_int_equal(wsb_server_request_stop(rig->server, &options), WSB_OK);
  expect_close(silent, 1001, "server is closing");
  const int status =
      client_request(early,
                     "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                     PATIENCE_MS);
  assert_int_equal(status, 503);
  assert_int_equal(rig_expect(rig, WSB_EVENT_REFUSED, 0)->as.refused.refusal, WSB_REFUSAL_STOPPING);
  assert_true(client_send_close(silent, 1001, ""));
  rig_finish(rig);
  client_free(early);
  client_free(silent);
}

static void destroy_while_running(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  rig_start(rig);
  Client *clients[6];
  for (size_t i = 0; i < 6; ++i) clients[i] = rig_client(rig, NULL);
  assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
  rig->server = NULL;
  assert_int_equal(rig_count(rig, WSB_EVENT_CLOSE), 6);
  rig_check_pairs(rig, true);
  assert_int_equal(rig_expect(rig, WSB_EVENT_CLOSE, 0)->as.close.cause, WSB_CAUSE_SERVER_STOP);
  for (size_t i = 0; i < 6; ++i) {
    expect_end(clients[i]);
    client_free(clients[i]);
  }
}

static void run_stopped_elsewhere(void **state) {
  Rig *rig = *state;
  for (uint32_t workers = 1; workers <= 3; workers += 2) {
    rig->config.workers = workers;
    const pthread_t runner = rig_run(rig);
    const size_t first = rig_count(rig, WSB_EVENT_OPEN);
    Client *client = rig_client(rig, NULL);
    if (workers == 1) assert_true(pthread_equal(rig_expect(rig, WSB_EVENT_OPEN, first)->thread, runner));
    assert_int_equal(
        wsb_server_stop(rig->server, &(wsb_stop_options){.size = sizeof(wsb_stop_options), .deadline_ms = 200}, NULL),
        WSB_OK);
    void *result = NULL;
    pthread_join(runner, &result);
    assert_int_equal((intptr_t)result, WSB_OK);
    assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
    rig->server = NULL;
    client_free(client);
  }
  rig_check_pairs(rig, true);
}

static void stop_on_message(Rig *rig, const Record *record) {
  if (record->type == WSB_EVENT_MESSAGE && wsb_server_request_stop(rig->server, NULL) != WSB_OK) abort();
}

static void run_stopped_by_callback(void **state) {
  Rig *rig = *state;
  rig->on_record = stop_on_message;
  const pthread_t runner = rig_run(rig);
  Client *client = rig_client(rig, NULL);
  assert_true(client_send_text(client, "stop"));
  expect_close(client, 1001, "server is closing");
  assert_true(client_send_close(client, 1001, ""));
  void *result = NULL;
  pthread_join(runner, &result);
  assert_int_equal((intptr_t)result, WSB_OK);
  rig_finish(rig);
  client_free(client);
}

static void several_servers(void **state) {
  (void)state;
  enum { COUNT = 4 };
  void *rigs[COUNT];
  Client *clients[COUNT];
  for (size_t i = 0; i < COUNT; ++i) {
    rig_setup(&rigs[i]);
    rig_start(rigs[i]);
    clients[i] = rig_client(rigs[i], NULL);
  }
  for (size_t i = 0; i < COUNT; ++i) {
    Rig *rig = rigs[i];
    const wsb_conn conn = rig_expect(rig, WSB_EVENT_OPEN, 0)->conn;
    char text[] = {'s', (char)('0' + i), '\0'};
    assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, text, 2), WSB_OK);
    expect_text(clients[i], text);
    assert_int_equal(rig_count(rig, WSB_EVENT_OPEN), 1);
  }
  for (size_t i = 0; i < COUNT; ++i) {
    client_free(clients[i]);
    rig_finish(rigs[i]);
    rig_teardown(&rigs[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(version_and_names),
      cmocka_unit_test(null_everywhere),
      RIG_TEST(all_defaults),
      RIG_TEST(states),
      RIG_TEST(never_started),
      RIG_TEST(stop_options_are_checked),
      RIG_TEST(stop_says_goodbye),
      RIG_TEST(earlier_deadline_shortens),
      RIG_TEST(handshake_while_stopping),
      RIG_TEST(destroy_while_running),
      RIG_TEST(run_stopped_elsewhere),
      RIG_TEST(run_stopped_by_callback),
      cmocka_unit_test(several_servers),
  };
  return cmocka_run_group_tests_name("lifecycle", tests, NULL, NULL);
}
