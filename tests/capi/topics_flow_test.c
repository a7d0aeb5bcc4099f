/* Topics under load: full queues and their policies, publishers on many threads, order, queue delivery. */
#include <stdatomic.h>

#include "support.h"

enum { SIZE = 4000 };

static wsb_publish_result publish_bytes(Rig *rig, const char *topic, size_t size) {
  static const uint8_t data[1 << 16];
  wsb_publish_result result;
  wsb_publish_result_init(&result);
  assert_int_equal(wsb_publish(rig->server, topic, strlen(topic), WSB_BINARY, data, size, NULL, &result), WSB_OK);
  return result;
}

/* Publishes until a full queue has refused, and returns how many were taken. */
static size_t publish_until_refused(Rig *rig, const char *topic) {
  for (size_t taken = 0;; ++taken) {
    const wsb_publish_result result = publish_bytes(rig, topic, SIZE);
    assert_int_equal(result.reached + result.refused, 1);
    if (result.refused == 1) return taken;
  }
}

/* On the connection's worker: "fill" publishes to it until its queue has refused, what else comes is published. */
static void publish_there(Rig *rig, const Record *record) {
  if (record->type != WSB_EVENT_MESSAGE) return;
  wsb_publish_result *last = rig->context;
  const wsb_message_event *event = &record->as.message;
  const bool fill = event->length == 4 && memcmp(event->data, "fill", 4) == 0;
  static const uint8_t data[SIZE];
  wsb_publish_result_init(last);
  do {
    const void *bytes = fill ? data : (const void *)event->data;
    (void)wsb_publish(rig->server, "jam", 3, WSB_BINARY, bytes, fill ? SIZE : event->length, NULL, last);
  } while (fill && last->reached != 0);
}

static void refused_when_full(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 65536;
  rig->config.workers = 2;
  rig_start(rig);
  wsb_conn slow;
  wsb_conn quick;
  Client *slow_client = rig_client_with(rig, &slow, "/", NULL, 4096);
  Client *quick_client = rig_client(rig, &quick);
  assert_int_equal(wsb_subscribe(rig->server, slow, "jam", 3), WSB_OK);
  size_t sent = rig_jam(rig, slow, SIZE);
  sent += publish_until_refused(rig, "jam");
  assert_int_equal(wsb_subscribe(rig->server, quick, "*", 1), WSB_OK);
  const wsb_publish_result result = publish_bytes(rig, "jam", SIZE);
  assert_int_equal(result.reached, 1);
  assert_int_equal(result.refused, 1);
  assert_int_equal(expect_frame(quick_client, OP_BINARY).length, SIZE);
  const size_t drains = rig_count(rig, WSB_EVENT_DRAIN);
  for (; sent > 0; --sent) assert_int_equal(expect_frame(slow_client, OP_BINARY).length, SIZE);
  assert_int_equal(rig_expect(rig, WSB_EVENT_DRAIN, drains)->conn, slow);
  assert_int_equal(wsb_unsubscribe(rig->server, quick, "*", 1), WSB_OK);
  const wsb_publish_result large =
      publish_bytes(rig, "jam", 65536); /* as large as the queue: fits when that is empty */
  assert_int_equal(large.reached, 1);
  assert_int_equal(expect_frame(slow_client, OP_BINARY).length, 65536);
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  assert_int_equal(metrics.publish_refused, 2);
  client_free(slow_client);
  client_free(quick_client);
  rig_finish(rig);
}

static void refused_on_the_own_worker(void **state) {
  Rig *rig = *state;
  wsb_publish_result last;
  rig->config.max_queue_bytes = 65536;
  rig->on_record = publish_there;
  rig->context = &last;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  assert_int_equal(wsb_subscribe(rig->server, conn, "jam", 3), WSB_OK);
  assert_true(client_send_text(client, "fill"));
  for (size_t i = 0; i < 65536 / (SIZE + 4); ++i) assert_int_equal(expect_frame(client, OP_BINARY).length, SIZE);
  rig_expect(rig, WSB_EVENT_DRAIN, 0);
  assert_int_equal(last.reached, 0);
  assert_int_equal(last.refused, 1);
  client_free(client);
  rig_finish(rig);
}

/* The publication that finds the queue full counts as refused, and ends the connection. */
static void check_slow_is_closed(Rig *rig, bool own_worker) {
  wsb_publish_result last = {0};
  rig->config.max_queue_bytes = 65536;
  rig->config.slow_consumer = WSB_SLOW_CLOSE;
  rig->config.close_timeout_ms = 300;
  rig->on_record = own_worker ? publish_there : NULL;
  rig->context = &last;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  assert_int_equal(wsb_subscribe(rig->server, conn, "jam", 3), WSB_OK);
  if (own_worker) {
    assert_true(client_send_text(client, "fill"));
  } else {
    (void)publish_until_refused(rig, "jam");
    assert_int_equal(publish_bytes(rig, "jam", SIZE).refused, 0); /* no receiver any more */
  }
  assert_int_equal(rig_expect_close(rig, conn)->as.close.cause, WSB_CAUSE_SLOW_CONSUMER);
  if (own_worker) assert_int_equal(last.refused, 1);
  client_free(client);
  rig_finish(rig);
}

static void slow_is_closed(void **state) {
  check_slow_is_closed(*state, false);
}

static void slow_is_closed_on_the_own_worker(void **state) {
  check_slow_is_closed(*state, true);
}

static void oldest_make_room(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 65536;
  rig->config.slow_consumer = WSB_SLOW_DROP_OLDEST;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  assert_int_equal(wsb_subscribe(rig->server, conn, "jam", 3), WSB_OK);
  enum { COUNT = 3000 };
  uint8_t data[SIZE] = {0};
  for (uint32_t i = 1; i <= COUNT; ++i) {
    memcpy(data, &i, sizeof i);
    wsb_publish_result result;
    wsb_publish_result_init(&result);
    assert_int_equal(wsb_publish(rig->server, "jam", 3, WSB_BINARY, data, SIZE, NULL, &result), WSB_OK);
    assert_int_equal(result.reached, 1);
    /* What the worker has just taken can make no room for the newest. */
    assert_true(wsb_buffered_amount(rig->server, conn) <= 2 * 65536 + SIZE + 4);
  }
  uint32_t previous = 0;
  size_t received = 0;
  do { /* in order, with gaps, to the last one */
    uint32_t number = 0;
    memcpy(&number, expect_frame(client, OP_BINARY).data, sizeof number);
    assert_true(number > previous);
    previous = number;
    ++received;
  } while (previous != COUNT);
  assert_true(received < COUNT);
  client_free(client);
  rig_finish(rig);
}

enum { PUBLISHERS = 4, RECEIVERS = 12, EACH = 500 };

typedef struct Publisher {
  Rig *rig;
  uint32_t number;
  atomic_uint *failures;
  atomic_bool *done;
} Publisher;

static void *publish_in_order(void *argument) {
  Publisher *publisher = argument;
  char topic[16];
  (void)snprintf(topic, sizeof topic, "load.%u", publisher->number);
  for (uint32_t i = 0; i < EACH; ++i) {
    const uint32_t data[2] = {publisher->number, i};
    wsb_publish_result result;
    wsb_publish_result_init(&result);
    const int error =
        wsb_publish(publisher->rig->server, topic, strlen(topic), WSB_BINARY, data, sizeof data, NULL, &result);
    if (error != WSB_OK || result.reached < RECEIVERS || result.refused != 0) atomic_fetch_add(publisher->failures, 1);
  }
  return NULL;
}

/* Connections come, subscribe to everything, and go. */
static void *come_and_go(void *argument) {
  Publisher *publisher = argument;
  Rig *rig = publisher->rig;
  for (size_t i = 0; !atomic_load(publisher->done); ++i) {
    wsb_conn conn;
    Client *client = rig_client(rig, &conn);
    const int first = wsb_subscribe(rig->server, conn, "load.*", 6);
    const int second = wsb_subscribe(rig->server, conn, "other", 5);
    const int ended = i % 2 == 0 ? wsb_unsubscribe(rig->server, conn, "load.*", 6) : WSB_OK;
    if (first != WSB_OK || second != WSB_OK || ended != WSB_OK) atomic_fetch_add(publisher->failures, 1);
    if (i % 3 == 0) {
      client_reset(client);
    } else {
      client_free(client);
    }
  }
  return NULL;
}

/* Each receiver gets each publication exactly once, those of one publisher in order, while others come and go. */
static void many_publishers(void **state) {
  Rig *rig = *state;
  rig->config.workers = 4;
  rig->config.max_queue_bytes = 8 << 20;
  rig_start(rig);
  Client *clients[RECEIVERS];
  for (size_t i = 0; i < RECEIVERS; ++i) {
    wsb_conn conn;
    clients[i] = rig_client(rig, &conn);
    assert_int_equal(wsb_subscribe(rig->server, conn, "load.>", 6), WSB_OK);
    if (i % 2 == 0) assert_int_equal(wsb_subscribe(rig->server, conn, "load.2", 6), WSB_OK);
  }
  atomic_uint failures = 0;
  atomic_bool done = false;
  Publisher publishers[PUBLISHERS + 1];
  pthread_t threads[PUBLISHERS + 1];
  for (uint32_t i = 0; i <= PUBLISHERS; ++i) {
    publishers[i] = (Publisher){rig, i, &failures, &done};
    assert_int_equal(pthread_create(&threads[i], NULL, i < PUBLISHERS ? publish_in_order : come_and_go, &publishers[i]),
                     0);
  }
  for (size_t i = 0; i < RECEIVERS; ++i) {
    uint32_t next[PUBLISHERS] = {0};
    for (size_t k = 0; k < (size_t)PUBLISHERS * EACH; ++k) {
      uint32_t data[2];
      memcpy(data, expect_frame(clients[i], OP_BINARY).data, sizeof data);
      assert_in_range(data[0], 0, PUBLISHERS - 1);
      assert_int_equal(data[1], next[data[0]]++);
    }
    client_free(clients[i]);
  }
  for (size_t i = 0; i < PUBLISHERS; ++i) pthread_join(threads[i], NULL);
  atomic_store(&done, true);
  pthread_join(threads[PUBLISHERS], NULL);
  assert_int_equal(failures, 0);
  rig_finish(rig);
}

typedef struct Retainer {
  Rig *rig;
  atomic_bool done;
} Retainer;

static void *publish_retained(void *argument) {
  Retainer *retainer = argument;
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.flags = WSB_PUBLISH_RETAIN;
  for (uint32_t i = 1; !atomic_load(&retainer->done); ++i) {
    (void)wsb_publish(retainer->rig->server, "count", 5, WSB_BINARY, &i, sizeof i, &options, NULL);
    pause_ms(1);
  }
  return NULL;
}

/* What is retained comes first, and then each later one: none twice, none missing, whenever one subscribes. */
static void retained_in_step(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  rig_start(rig);
  Retainer retainer = {rig, false};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, publish_retained, &retainer), 0);
  for (int i = 0; i < 30; ++i) {
    wsb_conn conn;
    Client *client = rig_client(rig, &conn);
    assert_int_equal(wsb_subscribe(rig->server, conn, "count", 5), WSB_OK);
    uint32_t previous = 0;
    for (int k = 0; k < 5; ++k) {
      uint32_t number;
      memcpy(&number, expect_frame(client, OP_BINARY).data, sizeof number);
      if (k != 0) assert_int_equal(number, previous + 1);
      previous = number;
    }
    client_free(client);
  }
  atomic_store(&retainer.done, true);
  pthread_join(thread, NULL);
  rig_finish(rig);
}

static int refuse_all(const wsb_subscribe_event *event, void *user) {
  (void)user;
  return event->topic[0] == 'n';
}

static void with_queue_delivery(void **state) {
  Rig *rig = *state;
  rig_queue(rig);
  rig->callbacks.on_subscribe = refuse_all;
  rig_start(rig);
  Client *client = client_open(rig->port);
  assert_non_null(client);
  wsb_batch *batch = NULL;
  while (batch == NULL) {
    assert_int_equal(wsb_server_next_events(rig->server, 0, &batch), WSB_OK);
    pause_ms(1);
  }
  const wsb_conn conn = wsb_batch_event(batch, 0)->conn;
  for (size_t i = 0; i < wsb_batch_count(batch); ++i) rig_record_event(rig, wsb_batch_event(batch, i));
  wsb_batch_release(batch);
  assert_int_equal(wsb_subscribe(rig->server, conn, "yes", 3), WSB_OK);
  assert_int_equal(wsb_subscribe(rig->server, conn, "no", 2), WSB_E_REFUSED);
  assert_int_equal(publish_bytes(rig, "yes", 3).reached, 1);
  assert_int_equal(expect_frame(client, OP_BINARY).length, 3);
  client_free(client);
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  while (wsb_server_next_events(rig->server, 0, &batch) == WSB_OK && batch != NULL) {
    for (size_t i = 0; i < wsb_batch_count(batch); ++i) rig_record_event(rig, wsb_batch_event(batch, i));
    wsb_batch_release(batch);
  }
  rig_check_pairs(rig, true);
  assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
  rig->server = NULL;
}

int main(void) {
  const struct CMUnitTest tests[] = {RIG_TEST(refused_when_full), RIG_TEST(refused_on_the_own_worker),
                                     RIG_TEST(slow_is_closed),    RIG_TEST(slow_is_closed_on_the_own_worker),
                                     RIG_TEST(oldest_make_room),  RIG_TEST(many_publishers),
                                     RIG_TEST(retained_in_step),  RIG_TEST(with_queue_delivery)};
  return cmocka_run_group_tests_name("topics_flow", tests, NULL, NULL);
}
