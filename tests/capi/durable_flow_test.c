/* Durable topics under load: clients that come and go while others publish get each message exactly once and in order; and ends amid all that. */
#include "support_durable.h"

static Store store;

enum { PUBLISHERS = 3, EACH = 600, GOAL = PUBLISHERS * EACH, RECEIVERS = 6, WANDERERS = 3 };

/* Small numbers of its own for each thread, so that a run can be repeated. */
static uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525U + 1013904223U;
  return *state >> 16;
}

/* On the connection's worker: "resume AFTER" does so for all durable topics, "nap" lets queues fill. */
static void heed(Rig *rig, const Record *record) {
  durable_tell(rig, record);
  if (record->type != WSB_EVENT_MESSAGE) return;
  const char *text = (const char *)record->as.message.data;
  if (strncmp(text, "resume ", 7) == 0) {
    (void)durable_resume(rig, record->conn, "d.>", strtoull(text + 7, NULL, 10));
  } else if (strcmp(text, "subscribe") == 0) {
    (void)wsb_subscribe_with(rig->server, record->conn, "d.>", 3, NULL);
  } else if (strcmp(text, "nap") == 0) {
    pause_ms(20);
  } else {
    (void)wsb_unsubscribe(rig->server, record->conn, "d.>", 3);
  }
}

static bool ask_to_resume(Client *client, uint64_t after) {
  char text[40];
  (void)snprintf(text, sizeof text, "resume %llu", (unsigned long long)after);
  return client_send_text(client, text);
}

/* ------------------------------------------------------------------------------------------------------------- exactly once */

typedef struct Receiver {
  Rig *rig;
  uint32_t random;
  uint64_t seen;
  size_t connections;
  size_t live;
  size_t behind; /* messages of a replay for which it had not asked */
  char fault[128];
} Receiver;

/* One message of the server; false if it must not be. */
static bool take_in(Receiver *receiver, Client *client, const Frame *frame, bool *resumed) {
  char text[400];
  (void)snprintf(text, sizeof text, "%.*s", (int)frame->length, (const char *)frame->data);
  unsigned long long sequence = 0;
  if (sscanf(text, "resumed d.> at %llu", &sequence) == 1) {
    if (*resumed || sequence != receiver->seen || strstr(text, "missed") != NULL) return false;
    *resumed = true;
    return client_send_text(client, "nap");
  }
  char subscription[8];
  if (sscanf(text, "%llu %7s", &sequence, subscription) != 2 || sequence != receiver->seen + 1) return false;
  const bool live = strcmp(subscription, "-") == 0;
  if (!live && strcmp(subscription, "d.>") != 0) return false;
  if (live && !*resumed) return false;
  receiver->seen = sequence;
  receiver->live += live;
  receiver->behind += !live && *resumed;
  return true;
}

static void receive_some(Receiver *receiver, Client *client, size_t budget) {
  bool resumed = false;
  while (budget-- > 0 && (receiver->seen < GOAL || !resumed)) {
    Frame frame;
    if (!client_read(client, &frame, PATIENCE_MS)) {
      (void)snprintf(receiver->fault, sizeof receiver->fault, "silence after %llu", (unsigned long long)receiver->seen);
      return;
    }
    if (!take_in(receiver, client, &frame, &resumed)) {
      (void)snprintf(receiver->fault, sizeof receiver->fault, "after %llu came %.60s",
                     (unsigned long long)receiver->seen, (const char *)frame.data);
      return;
    }
  }
}

static void *receive_all(void *argument) {
  Receiver *receiver = argument;
  while (receiver->seen < GOAL && receiver->fault[0] == '\0') {
    Client *client = client_open(receiver->rig->port);
    if (client == NULL || !ask_to_resume(client, receiver->seen)) {
      (void)snprintf(receiver->fault, sizeof receiver->fault, "no connection");
    } else {
      ++receiver->connections;
      receive_some(receiver, client, next_random(&receiver->random) % 300);
    }
    if (next_random(&receiver->random) % 2 == 0 && client != NULL) {
      client_reset(client);
    } else {
      client_free(client);
    }
  }
  return NULL;
}

typedef struct Publisher {
  Rig *rig;
  uint32_t number;
  atomic_uint *failures;
} Publisher;

static void *publish_all(void *argument) {
  const Publisher *publisher = argument;
  char topic[16];
  char data[200];
  memset(data, 'x', sizeof data);
  (void)snprintf(topic, sizeof topic, "d.%u", publisher->number);
  for (int i = 0; i < EACH; ++i) {
    wsb_publish_result result;
    wsb_publish_result_init(&result);
    const int error =
        wsb_publish(publisher->rig->server, topic, strlen(topic), WSB_TEXT, data, sizeof data, NULL, &result);
    if (error != WSB_OK || result.durable != 1 || result.backplane != WSB_OK) atomic_fetch_add(publisher->failures, 1);
    if (i % 8 == 0) pause_ms(8);
  }
  return NULL;
}

typedef struct Wanderer {
  Rig *rig;
  uint32_t random;
  atomic_bool *done;
} Wanderer;

/* Asks for this and that, and does not wait for the answer. */
static void *wander(void *argument) {
  Wanderer *wanderer = argument;
  while (!atomic_load(wanderer->done)) {
    Client *client = client_open(wanderer->rig->port);
    for (uint32_t i = next_random(&wanderer->random) % 6; client != NULL && i > 0; --i) {
      const uint32_t what = next_random(&wanderer->random) % 3;
      if (what == 0) (void)ask_to_resume(client, next_random(&wanderer->random) % GOAL);
      if (what == 1) (void)client_send_text(client, "subscribe");
      if (what == 2) (void)client_send_text(client, "unsubscribe");
      Frame frame;
      (void)client_read(client, &frame, (int)(next_random(&wanderer->random) % 4));
    }
    client_free(client);
  }
  return NULL;
}

static void each_exactly_once(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  rig->config.max_queue_bytes = 4096;
  rig->on_record = heed;
  durable_start(rig, &store);
  atomic_uint failures = 0;
  atomic_bool done = false;
  pthread_t threads[PUBLISHERS + RECEIVERS + WANDERERS];
  Publisher publishers[PUBLISHERS];
  static Receiver receivers[RECEIVERS];
  Wanderer wanderers[WANDERERS];
  size_t started = 0;
  for (uint32_t i = 0; i < PUBLISHERS; ++i) {
    publishers[i] = (Publisher){rig, i, &failures};
    assert_int_equal(pthread_create(&threads[started++], NULL, publish_all, &publishers[i]), 0);
  }
  for (uint32_t i = 0; i < RECEIVERS; ++i) {
    receivers[i] = (Receiver){.rig = rig, .random = i + 1};
    assert_int_equal(pthread_create(&threads[started++], NULL, receive_all, &receivers[i]), 0);
  }
  for (uint32_t i = 0; i < WANDERERS; ++i) {
    wanderers[i] = (Wanderer){rig, i + 100, &done};
    assert_int_equal(pthread_create(&threads[started++], NULL, wander, &wanderers[i]), 0);
  }
  for (size_t i = 0; i < PUBLISHERS + RECEIVERS; ++i) pthread_join(threads[i], NULL);
  atomic_store(&done, true);
  for (size_t i = PUBLISHERS + RECEIVERS; i < started; ++i) pthread_join(threads[i], NULL);
  assert_int_equal(failures, 0);
  size_t connections = 0;
  size_t live = 0;
  size_t behind = 0;
  for (size_t i = 0; i < RECEIVERS; ++i) {
    assert_string_equal(receivers[i].fault, "");
    assert_int_equal(receivers[i].seen, GOAL);
    connections += receivers[i].connections;
    live += receivers[i].live;
    behind += receivers[i].behind;
  }
  const wsb_metrics metrics = durable_metrics(rig);
  print_message(
      "%zu connections, %zu messages live, %zu replayed to who fell behind, %llu replays of %llu messages, %zu offers "
      "refused\n",
      connections, live, behind, (unsigned long long)metrics.replays, (unsigned long long)metrics.replayed,
      (size_t)store_get(&store, full));
  assert_int_equal(metrics.durable_stored, GOAL);
  assert_true(metrics.replays > connections);
  assert_true(live > 0 && behind > 0 && store_get(&store, full) > 0); /* all of it was tried */
  durable_finish(rig, &store);
}

/* --------------------------------------------------------------------------------------------------------------------- ends */

enum { STORES = 400 };

typedef struct Call {
  atomic_uint answers;
  atomic_int result;
} Call;

typedef struct Storer {
  Rig *rig;
  Call calls[STORES];
  size_t accepted;
  atomic_bool refused;
} Storer;

static void answered(const wsb_stored_event *event, void *context) {
  Call *call = context;
  atomic_store(&call->result, event->result);
  atomic_fetch_add(&call->answers, 1);
}

/* Goes on until the server has stopped. */
static void *store_until_refused(void *argument) {
  Storer *storer = argument;
  while (storer->accepted < STORES) {
    wsb_publish_options options;
    wsb_publish_options_init(&options);
    options.on_stored = answered;
    options.context = &storer->calls[storer->accepted];
    wsb_publish_result result;
    wsb_publish_result_init(&result);
    const int error = wsb_publish(storer->rig->server, "d.stop", 6, WSB_TEXT, "x", 1, &options, &result);
    if (error != WSB_OK || result.backplane != WSB_OK) {
      atomic_store(&storer->refused, true);
      break;
    }
    ++storer->accepted;
    pause_ms(1);
  }
  return NULL;
}

static bool has_enough(void *argument) {
  (void)argument;
  return store_get(&store, waiting_count) >= 20;
}

/* Each that was accepted is answered exactly once, whether it was stored or not. */
static void stop_amid_stores(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  static Storer storers[PUBLISHERS];
  pthread_t threads[PUBLISHERS];
  durable_publish(rig, &store, "d.stop", "first");
  for (size_t i = 0; i < PUBLISHERS; ++i) {
    storers[i].rig = rig;
    assert_int_equal(pthread_create(&threads[i], NULL, store_until_refused, &storers[i]), 0);
  }
  assert_true(store_wait(&store, 20));
  store_set(&store, hold_feed, true);
  assert_true(wait_until(has_enough, NULL, PATIENCE_MS));
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  size_t accepted = 0;
  size_t answers = 0;
  size_t unknown = 0;
  for (size_t i = 0; i < PUBLISHERS; ++i) {
    pthread_join(threads[i], NULL);
    assert_true(storers[i].refused);
    accepted += storers[i].accepted;
    for (size_t k = 0; k < STORES; ++k) {
      const unsigned its = atomic_load(&storers[i].calls[k].answers);
      assert_int_equal(its, k < storers[i].accepted ? 1 : 0);
      answers += its;
      const int result = atomic_load(&storers[i].calls[k].result);
      assert_true(result == WSB_OK || result == WSB_E_STATE);
      unknown += result == WSB_E_STATE;
    }
  }
  assert_int_equal(accepted, answers);
  assert_true(unknown >= 20);
  const wsb_metrics metrics = durable_metrics(rig);
  assert_int_equal(metrics.durable_stored, answers - unknown + 1);
  assert_in_range(metrics.durable_refused, unknown, unknown + PUBLISHERS);
  durable_finish(rig, &store);
}

/* Replays that wait for their clients, and some that have not begun. */
static void stop_amid_replays(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  rig->config.max_queue_bytes = 65536;
  rig->config.close_timeout_ms = 100;
  durable_start(rig, &store);
  char data[400];
  memset(data, 'x', sizeof data - 1);
  data[sizeof data - 1] = '\0';
  for (int i = 0; i < 50; ++i) durable_publish(rig, &store, "d.1", data);
  enum { COUNT = 8 };
  Client *clients[COUNT];
  for (int i = 0; i < COUNT; ++i) {
    wsb_conn conn;
    clients[i] = rig_client_with(rig, &conn, "/", NULL, 4096);
    (void)rig_jam(rig, conn, 300);
    if (i == COUNT / 2) store_set(&store, hold_replays, true);
    assert_int_equal(durable_resume(rig, conn, "d.*", 0), 1);
    assert_int_equal(wsb_subscribe(rig->server, conn, "d.1", 3), WSB_OK);
  }
  durable_publish(rig, &store, "d.1", data); /* for which there is no room */
  assert_int_equal(store_active(&store), 2 * COUNT);
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  assert_int_equal(store_active(&store), 0);
  assert_int_equal(rig_count(rig, WSB_EVENT_RESUMED), 0);
  for (int i = 0; i < COUNT; ++i) client_free(clients[i]);
  durable_finish(rig, &store);
}

int main(void) {
  const struct CMUnitTest tests[] = {RIG_TEST(each_exactly_once), RIG_TEST(stop_amid_stores),
                                     RIG_TEST(stop_amid_replays)};
  return cmocka_run_group_tests_name("durable_flow", tests, NULL, NULL);
}
