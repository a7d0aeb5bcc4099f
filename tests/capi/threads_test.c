/* Many threads on one server: senders, readers of every figure, and stop, while connections come and go. */
#include <stdatomic.h>

#include "support.h"

enum { SENDERS = 8, CONNECTORS = 2, OBSERVERS = 2, TABLE = 256 };

/* Counts instead of records: there are too many events to keep. */
typedef struct Load {
  wsb_server *server;
  uint32_t port;
  _Atomic uint64_t conns[TABLE]; /* recent ids, also stale ones */
  atomic_uint opens;
  atomic_uint closes;
  atomic_uint bad; /* events before an open, after a close, or with a wrong user pointer */
  atomic_uint wrong_results;
  atomic_uint sent;
  atomic_bool done;
} Load;

/* What conn_user points to: 1 while open. */
typedef struct Life {
  int alive;
} Life;

static void load_open(const wsb_open_event *event, void *user) {
  Load *load = user;
  Life *life = calloc(1, sizeof *life);
  if (life == NULL) abort();
  life->alive = 1;
  if (event->conn_user != NULL || wsb_conn_set_user(load->server, event->conn, life) != WSB_OK)
    atomic_fetch_add(&load->bad, 1);
  const unsigned number = atomic_fetch_add(&load->opens, 1);
  atomic_store(&load->conns[number % TABLE], event->conn);
}

static void load_message(const wsb_message_event *event, void *user) {
  Load *load = user;
  const Life *life = event->conn_user;
  if (life == NULL || life->alive != 1) atomic_fetch_add(&load->bad, 1);
  const int result = wsb_send(load->server, event->conn, event->kind, event->data, event->length);
  if (result != WSB_OK && result != WSB_E_CLOSED && result != WSB_E_FULL) atomic_fetch_add(&load->wrong_results, 1);
}

static void load_close(const wsb_close_event *event, void *user) {
  Load *load = user;
  Life *life = event->conn_user;
  if (life == NULL || life->alive != 1) {
    atomic_fetch_add(&load->bad, 1);
  } else {
    life->alive = 0;
    free(life);
  }
  atomic_fetch_add(&load->closes, 1);
}

static void load_start(Load *load, uint32_t workers) {
  wsb_config config;
  wsb_callbacks callbacks;
  memset(load, 0, sizeof *load);
  wsb_config_init(&config);
  wsb_callbacks_init(&callbacks);
  config.workers = workers;
  config.max_queue_bytes = 65536;
  config.close_timeout_ms = 1000;
  callbacks.user = load;
  callbacks.on_open = load_open;
  callbacks.on_message = load_message;
  callbacks.on_close = load_close;
  assert_int_equal(wsb_server_create(&config, &callbacks, &load->server), WSB_OK);
  assert_int_equal(wsb_server_start(load->server), WSB_OK);
  load->port = wsb_server_port(load->server);
}

static wsb_conn pick(Load *load, uint32_t *random) {
  *random = *random * 1664525U + 1013904223U;
  return atomic_load(&load->conns[(*random >> 16) % TABLE]);
}

static void check_result(Load *load, int64_t result) {
  if (result < 0 && result != WSB_E_CLOSED && result != WSB_E_FULL) atomic_fetch_add(&load->wrong_results, 1);
}

static void *sender(void *argument) {
  Load *load = argument;
  uint32_t random = (uint32_t)(uintptr_t)&random;
  wsb_message *message = wsb_message_create(WSB_TEXT, "shared", 6);
  uint8_t large[3000] = {0};
  while (!atomic_load(&load->done)) {
    const wsb_conn conn = pick(load, &random);
    const int result = wsb_send(load->server, conn, WSB_BINARY, large, random % sizeof large);
    check_result(load, result);
    if (result == WSB_OK) atomic_fetch_add(&load->sent, 1);
    check_result(load, wsb_send_message(load->server, conn, message));
    switch (random >> 20 & 63) {
      case 0:
        check_result(load, wsb_close(load->server, conn, 4000, "bye", 3));
        break;
      case 1:
        check_result(load, wsb_abort(load->server, conn));
        break;
      case 2:
        check_result(load, wsb_ping(load->server, conn, "p", 1));
        break;
      case 3:
        check_result(load, wsb_conn_pause(load->server, conn));
        break;
      case 4:
        check_result(load, wsb_conn_set_heartbeat(load->server, conn, 60000, 20000, WSB_LIVENESS_PONG));
        break;
      case 5:
        check_result(load, wsb_conn_authenticate(load->server, conn));
        break;
      default:
        check_result(load, wsb_conn_resume(load->server, conn));
    }
    pause_ms(1);
  }
  wsb_message_release(message);
  return NULL;
}

static void *connector(void *argument) {
  Load *load = argument;
  for (unsigned i = 0; !atomic_load(&load->done); ++i) {
    Client *client = client_open(load->port);
    if (client == NULL) continue; /* the server may be stopping */
    for (int k = 0; k < 5; ++k) client_send_text(client, "echo this");
    Frame frame;
    for (int k = 0; k < 3 && client_read(client, &frame, 20); ++k) {
    }
    if (i % 3 == 0) client_send_close(client, 1000, "");
    if (i % 3 == 1) {
      client_reset(client);
    } else {
      client_free(client);
    }
  }
  return NULL;
}

static int visit(wsb_conn conn, void *user) {
  Load *load = user;
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  const int result = wsb_conn_get_info(load->server, conn, &info);
  if (result != WSB_OK && result != WSB_E_CLOSED) atomic_fetch_add(&load->wrong_results, 1);
  if (result == WSB_OK && (info.conn != conn || info.state < WSB_STATE_OPEN || info.state > WSB_STATE_CLOSED)) {
    atomic_fetch_add(&load->bad, 1);
  }
  return 0;
}

static void *observer(void *argument) {
  Load *load = argument;
  uint32_t random = 7;
  char *text = malloc(65536);
  char peer[32];
  while (!atomic_load(&load->done)) {
    wsb_metrics metrics;
    wsb_metrics_init(&metrics);
    check_result(load, wsb_server_get_metrics(load->server, &metrics));
    check_result(load, wsb_server_metrics_text(load->server, text, 65536));
    check_result(load, wsb_server_for_each(load->server, visit, load));
    const wsb_conn conn = pick(load, &random);
    check_result(load, wsb_conn_string(load->server, conn, WSB_STRING_PEER, peer, sizeof peer));
    check_result(load, wsb_buffered_amount(load->server, conn));
    wsb_conn_user(load->server, conn);
    pause_ms(1);
  }
  free(text);
  return NULL;
}

/* Everybody works for a while; then the server stops, before the threads or after them. */
static void run_load(uint32_t workers, bool stop_under_load) {
  Load *load = malloc(sizeof *load);
  assert_non_null(load);
  load_start(load, workers);
  Client *steady[4];
  for (size_t i = 0; i < 4; ++i) assert_non_null(steady[i] = client_open(load->port));
  pthread_t threads[SENDERS + CONNECTORS + OBSERVERS];
  for (size_t i = 0; i < SENDERS + CONNECTORS + OBSERVERS; ++i) {
    void *(*const work)(void *) = i < SENDERS ? sender : i < SENDERS + CONNECTORS ? connector : observer;
    assert_int_equal(pthread_create(&threads[i], NULL, work, load), 0);
  }
  pause_ms(700);
  wsb_stop_options options;
  wsb_stop_options_init(&options);
  options.deadline_ms = 500;
  wsb_stop_result result = {.size = sizeof result};
  if (stop_under_load) assert_int_equal(wsb_server_stop(load->server, &options, &result), WSB_OK);
  atomic_store(&load->done, true);
  for (size_t i = 0; i < SENDERS + CONNECTORS + OBSERVERS; ++i) pthread_join(threads[i], NULL);
  if (!stop_under_load) assert_int_equal(wsb_server_stop(load->server, &options, &result), WSB_OK);
  const unsigned opens = atomic_load(&load->opens);
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(load->server, &metrics), WSB_OK);
  assert_int_equal(metrics.opened, opens);
  assert_int_equal(metrics.closed, opens);
  assert_int_equal(metrics.connections, 0);
  assert_int_equal(metrics.queue_bytes, 0);
  assert_int_equal(wsb_server_destroy(load->server), WSB_OK);
  assert_true(opens > 10);
  assert_true(atomic_load(&load->sent) > 10);
  assert_int_equal(atomic_load(&load->closes), opens);
  assert_int_equal(atomic_load(&load->bad), 0);
  assert_int_equal(atomic_load(&load->wrong_results), 0);
  for (size_t i = 0; i < 4; ++i) client_free(steady[i]);
  free(load);
}

static void one_worker(void **state) {
  (void)state;
  run_load(1, false);
}

static void four_workers(void **state) {
  (void)state;
  run_load(4, false);
}

static void stop_under_load(void **state) {
  (void)state;
  run_load(1, true);
  run_load(4, true);
}

/* Eight threads send to one connection: every message arrives once, each thread's in its order. */
typedef struct Numbered {
  wsb_server *server;
  wsb_conn conn;
  uint8_t thread;
  atomic_uint *failures;
} Numbered;

enum { EACH = 500 };

static void *numbered_sender(void *argument) {
  const Numbered *numbered = argument;
  for (uint32_t i = 0; i < EACH; ++i) {
    const uint8_t data[] = {numbered->thread, (uint8_t)(i >> 8), (uint8_t)i};
    if (wsb_send(numbered->server, numbered->conn, WSB_BINARY, data, sizeof data) != WSB_OK)
      atomic_fetch_add(numbered->failures, 1);
  }
  return NULL;
}

static void order_per_thread(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  atomic_uint failures = 0;
  pthread_t threads[SENDERS];
  Numbered numbered[SENDERS];
  for (uint8_t i = 0; i < SENDERS; ++i) {
    numbered[i] = (Numbered){rig->server, conn, i, &failures};
    assert_int_equal(pthread_create(&threads[i], NULL, numbered_sender, &numbered[i]), 0);
  }
  uint32_t next[SENDERS] = {0};
  for (uint32_t i = 0; i < SENDERS * EACH; ++i) {
    const Frame frame = expect_frame(client, OP_BINARY);
    assert_int_equal(frame.length, 3);
    assert_in_range(frame.data[0], 0, SENDERS - 1);
    assert_int_equal((uint32_t)frame.data[1] << 8 | frame.data[2], next[frame.data[0]]);
    ++next[frame.data[0]];
  }
  for (size_t i = 0; i < SENDERS; ++i) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&failures), 0);
  client_free(client);
  rig_finish(rig);
}

/* The functions that a callback may not call refuse; nothing hangs, nothing is freed. */
typedef struct Forbidden {
  int results[5];
} Forbidden;

static void try_forbidden(Rig *rig, const Record *record) {
  Forbidden *forbidden = rig->context;
  if (record->type != WSB_EVENT_MESSAGE) return;
  forbidden->results[0] = wsb_server_stop(rig->server, NULL, NULL);
  forbidden->results[1] = wsb_server_destroy(rig->server);
  forbidden->results[2] = wsb_server_start(rig->server);
  forbidden->results[3] = wsb_server_run(rig->server);
  forbidden->results[4] = wsb_send(rig->server, record->conn, WSB_TEXT, "alive", 5);
}

static void refused_in_callbacks(void **state) {
  Rig *rig = *state;
  Forbidden forbidden = {0};
  rig->context = &forbidden;
  rig->on_record = try_forbidden;
  rig->config.workers = 2;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  assert_true(client_send_text(client, "try"));
  expect_text(client, "alive");
  client_free(client);
  rig_finish(rig);
  for (size_t i = 0; i < 4; ++i) assert_int_equal(forbidden.results[i], WSB_E_IN_CALLBACK);
  assert_int_equal(forbidden.results[4], WSB_OK);
}

static void *stopper(void *argument) {
  Rig *rig = argument;
  wsb_stop_result result = {.size = sizeof result};
  return (void *)(intptr_t)wsb_server_stop(rig->server, NULL, &result);
}

/* Several threads stop at once: all wait for the same end. */
static void stopped_by_many(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  pthread_t threads[4];
  for (size_t i = 0; i < 4; ++i) assert_int_equal(pthread_create(&threads[i], NULL, stopper, rig), 0);
  expect_close(client, 1001, "server is closing");
  assert_true(client_send_close(client, 1001, ""));
  for (size_t i = 0; i < 4; ++i) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    assert_int_equal((intptr_t)result, WSB_OK);
  }
  rig_finish(rig);
  client_free(client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(one_worker),       RIG_TEST(four_workers),         RIG_TEST(stop_under_load),
      RIG_TEST(order_per_thread), RIG_TEST(refused_in_callbacks), RIG_TEST(stopped_by_many),
  };
  return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
