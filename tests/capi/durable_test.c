/* Durable topics: arguments, and what becomes of a publication. Who resumes is in durable_resume_test.c, who falls behind in
 * durable_behind_test.c, how it holds under load in durable_flow_test.c. */
#include "support_durable.h"

static Store store;

/* --------------------------------------------------------------------------------------------------------------- arguments */

static void all_or_none(void **state) {
  Rig *rig = *state;
  rig_create(rig);
  store_init(&store);
  const wsb_backplane whole = store_backplane(&store);
  wsb_backplane part = whole;
  part.keeps = NULL;
  expect_error(wsb_server_set_backplane(rig->server, &part), WSB_E_INVALID, "all of them or none");
  part = whole;
  part.store = NULL;
  expect_error(wsb_server_set_backplane(rig->server, &part), WSB_E_INVALID, "all of them or none");
  part = whole;
  part.replay = NULL;
  expect_error(wsb_server_set_backplane(rig->server, &part), WSB_E_INVALID, "all of them or none");
  part = whole;
  part.forget = NULL;
  expect_error(wsb_server_set_backplane(rig->server, &part), WSB_E_INVALID, "all of them or none");
  assert_int_equal(wsb_server_set_backplane(rig->server, &whole), WSB_OK);
  assert_int_equal(durable_is(rig, "d.1"), 1); /* also before it has started */
  assert_int_equal(durable_publish_with(rig, "d.1", "too early", NULL).backplane, WSB_E_STATE);
  assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
  rig->server = NULL;
  assert_int_equal(store.closes, 1);
  store_free(&store);
}

static void which_are_durable(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  assert_int_equal(durable_is(rig, "d.1"), 1);
  assert_int_equal(durable_is(rig, "d.>"), 1);
  assert_int_equal(durable_is(rig, ">"), 1);
  assert_int_equal(durable_is(rig, "d"), 0);
  assert_int_equal(durable_is(rig, "e.1"), 0);
  expect_error(durable_is(rig, "d..1"), WSB_E_INVALID, "topic");
  expect_error(wsb_topic_is_durable(NULL, "d", 1), WSB_E_INVALID, "server");
  expect_error(wsb_topic_is_durable(rig->server, NULL, 1), WSB_E_INVALID, "NULL");
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  expect_error(durable_is(rig, "d.1"), WSB_E_STATE, NULL); /* nobody is there who knows */
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.key = "k";
  options.key_length = 1;
  assert_int_equal(durable_publish_with(rig, "d.1", "late", &options).backplane, WSB_E_STATE);
  durable_finish(rig, &store);
}

static void without_durable_topics(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  assert_int_equal(durable_is(rig, "d.1"), 0);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(durable_resume(rig, conn, "d.*", 7), WSB_OK);
  const wsb_publish_result result = durable_publish_with(rig, "d.1", "plain", NULL);
  assert_int_equal(result.durable, 0);
  assert_int_equal(result.reached, 1);
  expect_text(client, "plain");
  client_free(client);
  rig_finish(rig);
  assert_int_equal(rig_count(rig, WSB_EVENT_RESUMED), 0);
}

static int publish_wrong(Rig *rig, const char *topic, const char *key, size_t key_length, uint32_t flags) {
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.key = key;
  options.key_length = key_length;
  options.flags = flags;
  return wsb_publish(rig->server, topic, strlen(topic), WSB_TEXT, "x", 1, &options, NULL);
}

static void wrong_arguments(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  char key[129];
  memset(key, 'k', sizeof key);
  expect_error(publish_wrong(rig, "e", key, 1, 0), WSB_E_INVALID, "not durable");
  expect_error(publish_wrong(rig, "d.1", key, 0, 0), WSB_E_INVALID, "key");
  expect_error(publish_wrong(rig, "d.1", NULL, 1, 0), WSB_E_INVALID, "key");
  expect_error(publish_wrong(rig, "d.1", key, 129, 0), WSB_E_INVALID, "key");
  expect_error(publish_wrong(rig, "d.1", "a b", 3, 0), WSB_E_INVALID, "key");
  expect_error(publish_wrong(rig, "d.1", "a\x7f", 2, 0), WSB_E_INVALID, "key");
  expect_error(publish_wrong(rig, "d.1", "\xc3\xa4", 2, 0), WSB_E_INVALID, "key");
  expect_error(publish_wrong(rig, "d.1", NULL, 0, WSB_PUBLISH_LOCAL), WSB_E_INVALID, "LOCAL");
  assert_int_equal(publish_wrong(rig, "d.1", key, 128, 0), WSB_OK);
  assert_int_equal(publish_wrong(rig, "d.1", "!~", 2, 0), WSB_OK);
  assert_true(store_wait(&store, 2));
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  expect_error(durable_subscribe(rig, conn, "d.1", 2, 0), WSB_E_INVALID, "flags");
  expect_error(durable_subscribe(rig, conn, "d.1", 0, 1), WSB_E_INVALID, "after");
  expect_error(durable_subscribe(rig, conn, "d..1", 0, 0), WSB_E_INVALID, "topic");
  expect_error(durable_subscribe(rig, 0, "d.1", 0, 0), WSB_E_CLOSED, NULL);
  wsb_subscribe_options options;
  wsb_subscribe_options_init(&options);
  options.reserved = 1;
  expect_error(wsb_subscribe_with(rig->server, conn, "d.1", 3, &options), WSB_E_INVALID, "reserved");
  options.size = 3;
  expect_error(wsb_subscribe_with(rig->server, conn, "d.1", 3, &options), WSB_E_INVALID, "size");
  expect_error(wsb_subscribe_with(NULL, conn, "d.1", 3, NULL), WSB_E_INVALID, "server");
  store_set(&store, replay_answer, WSB_E_NOMEM);
  expect_error(durable_resume(rig, conn, "d.1", 0), WSB_E_NOMEM, NULL);
  expect_error(wsb_unsubscribe(rig->server, conn, "d.1", 3), WSB_E_NOT_SUBSCRIBED, NULL);
  assert_int_equal(durable_metrics(rig).subscriptions, 0);
  store_set(&store, replay_answer, WSB_OK);
  assert_int_equal(wsb_subscribe_with(rig->server, conn, "d.1", 3, NULL), 1);
  expect_text(client, "resumed d.1 at 2 after 0");
  client_free(client);
  durable_finish(rig, &store);
}

/* -------------------------------------------------------------------------------------------------------------- publishing */

typedef struct Stored {
  pthread_mutex_t mutex;
  wsb_stored_event last;
  unsigned calls;
} Stored;

static Stored stored = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void on_stored(const wsb_stored_event *event, void *context) {
  Stored *to = context;
  pthread_mutex_lock(&to->mutex);
  to->last = *event;
  ++to->calls;
  pthread_mutex_unlock(&to->mutex);
}

static bool was_called(void *argument) {
  pthread_mutex_lock(&stored.mutex);
  const bool reached = stored.calls == *(unsigned *)argument;
  pthread_mutex_unlock(&stored.mutex);
  return reached;
}

static wsb_stored_event expect_stored(unsigned calls) {
  assert_true(wait_until(was_called, &calls, PATIENCE_MS));
  return stored.last;
}

static void nothing_before_it_is_stored(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  durable_start(rig, &store);
  stored.calls = 0;
  wsb_conn conns[2];
  Client *clients[2];
  for (int i = 0; i < 2; ++i) {
    clients[i] = rig_client(rig, &conns[i]);
    assert_int_equal(wsb_subscribe(rig->server, conns[i], "d.*", 3), WSB_OK);
    assert_int_equal(wsb_subscribe(rig->server, conns[i], "d.1", 3), WSB_OK);
  }
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.key = "once";
  options.key_length = 4;
  options.on_stored = on_stored;
  options.context = &stored;
  store_set(&store, hold_feed, true);
  const wsb_publish_result result = durable_publish_with(rig, "d.1", "one", &options);
  assert_int_equal(result.durable, 1);
  assert_int_equal(result.backplane, WSB_OK);
  assert_int_equal(result.reached + result.refused, 0);
  assert_int_equal(durable_publish_with(rig, "d.1", "one again", &options).durable, 1);
  Frame frame;
  assert_false(client_read(clients[0], &frame, LULL_MS));
  assert_int_equal(stored.calls, 0);
  store_set(&store, hold_feed, false);
  const wsb_stored_event second = expect_stored(2);
  assert_int_equal(second.result, WSB_OK);
  assert_int_equal(second.duplicate, 1);
  assert_int_equal(second.sequence, 1);
  options.key = NULL;
  options.key_length = 0;
  (void)durable_publish_with(rig, "d.1", "two", &options);
  const wsb_stored_event third = expect_stored(3);
  assert_int_equal(third.result, WSB_OK);
  assert_int_equal(third.duplicate, 0);
  assert_int_equal(third.sequence, 2);
  assert_int_equal(third.size, sizeof third);
  for (int i = 0; i < 2; ++i) {
    expect_text(clients[i], "1 - one"); /* once, though both patterns match */
    expect_text(clients[i], "2 - two");
    client_free(clients[i]);
  }
  assert_int_equal(durable_made, 2); /* once for all of them */
  const wsb_metrics metrics = durable_metrics(rig);
  assert_int_equal(metrics.durable_stored, 3);
  assert_int_equal(metrics.durable_refused, 0);
  assert_int_equal(metrics.published, 3);
  assert_int_equal(metrics.publish_reached, 4);
  assert_int_equal(metrics.backplane_received, 2);
  assert_int_equal(metrics.backplane_published, 0);
  durable_finish(rig, &store);
}

static void not_stored(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  stored.calls = 0;
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.on_stored = on_stored;
  options.context = &stored;
  store_set(&store, store_answer, WSB_E_FULL);
  const wsb_publish_result full = durable_publish_with(rig, "d.1", "x", &options);
  assert_int_equal(full.durable, 1);
  assert_int_equal(full.backplane, WSB_E_FULL);
  store_set(&store, store_answer, WSB_OK);
  store_set(&store, done_answer, WSB_E_SYSTEM);
  assert_int_equal(durable_publish_with(rig, "d.1", "x", &options).backplane, WSB_OK);
  assert_int_equal(expect_stored(1).result, WSB_E_SYSTEM); /* of the second alone */
  assert_int_equal(durable_metrics(rig).durable_refused, 2);
  assert_int_equal(durable_metrics(rig).durable_stored, 0);
  durable_finish(rig, &store);
}

/* Left out live, though not when it comes back as another connection. */
static void without_the_publisher(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  wsb_conn conns[2];
  Client *clients[2];
  for (int i = 0; i < 2; ++i) {
    clients[i] = rig_client(rig, &conns[i]);
    assert_int_equal(wsb_subscribe(rig->server, conns[i], "d.*", 3), WSB_OK);
  }
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.exclude = conns[0];
  (void)durable_publish_with(rig, "d.1", "of the first", &options);
  assert_true(store_wait(&store, 1));
  durable_publish(rig, &store, "d.1", "for both");
  expect_text(clients[0], "2 - for both");
  expect_text(clients[1], "1 - of the first");
  expect_text(clients[1], "2 - for both");
  assert_int_equal(durable_resume(rig, conns[0], "d.*", 0), 1);
  assert_int_equal(durable_resume(rig, conns[1], "d.*", 0), 1);
  expect_text(clients[0], "2 d.* for both");
  expect_text(clients[0], "resumed d.* at 2 after 1");
  expect_text(clients[1], "1 d.* of the first");
  expect_text(clients[1], "2 d.* for both");
  expect_text(clients[1], "resumed d.* at 2 after 2");
  for (int i = 0; i < 2; ++i) client_free(clients[i]);
  durable_finish(rig, &store);
}

static void publish_retained(Rig *rig, const char *topic, const char *text) {
  const uint64_t next = store_get(&store, count) + 1;
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.flags = WSB_PUBLISH_RETAIN;
  (void)durable_publish_with(rig, topic, text, &options);
  assert_true(store_wait(&store, next));
}

/* Kept when it comes back; made anew for each who gets it later, and not for those who resume. */
static void retained(void **state) {
  Rig *rig = *state;
  rig->config.max_retained_bytes = 1024;
  durable_start(rig, &store);
  wsb_conn conns[4];
  Client *clients[4];
  for (int i = 0; i < 4; ++i) clients[i] = rig_client(rig, &conns[i]);
  assert_int_equal(wsb_subscribe(rig->server, conns[0], "d.1", 3), WSB_OK);
  publish_retained(rig, "d.1", "old");
  publish_retained(rig, "d.1", "new");
  publish_retained(rig, "d.2", "gone");
  publish_retained(rig, "d.2", "");
  expect_text(clients[0], "1 - old");
  expect_text(clients[0], "2 - new");
  assert_int_equal(wsb_subscribe(rig->server, conns[1], "d.>", 3), WSB_OK);
  expect_text(clients[1], "2 d.> new");
  assert_int_equal(durable_subscribe(rig, conns[2], "d.*", 0, 0), 1);
  expect_text(clients[2], "2 d.* new");
  expect_text(clients[2], "resumed d.* at 4 after 0");
  assert_int_equal(durable_resume(rig, conns[3], "d.1", 1), 1);
  expect_text(clients[3], "2 d.1 new");
  expect_text(clients[3], "resumed d.1 at 4 after 1");
  assert_int_equal(durable_metrics(rig).retained_messages, 1);
  char large[1025];
  memset(large, 'x', sizeof large);
  large[1024] = '\0';
  assert_int_equal(publish_wrong(rig, "d.1", NULL, 0, WSB_PUBLISH_RETAIN), WSB_OK);
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.flags = WSB_PUBLISH_RETAIN;
  expect_error(wsb_publish(rig->server, "d.1", 3, WSB_TEXT, large, 1024, &options, NULL), WSB_E_TOO_BIG, NULL);
  assert_true(store_wait(&store, 5));
  for (int i = 0; i < 4; ++i) client_free(clients[i]);
  durable_finish(rig, &store);
}

/* What an application made a message of, and what not: then the payload goes out as it was published. */
static void as_published(void **state) {
  Rig *rig = *state;
  durable_start_raw(rig, &store);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_subscribe(rig->server, conn, "d.1", 3), WSB_OK);
  assert_int_equal(wsb_publish(rig->server, "d.1", 3, WSB_BINARY, "\xff", 1, NULL, NULL), WSB_OK);
  assert_int_equal(wsb_publish(rig->server, "d.1", 3, WSB_TEXT, NULL, 0, NULL, NULL), WSB_OK);
  durable_publish(rig, &store, "d.1", "text");
  assert_int_equal(expect_frame(client, OP_BINARY).length, 1);
  expect_text(client, "");
  expect_text(client, "text");
  assert_int_equal(durable_resume(rig, conn, "d.1", 1), 1);
  expect_text(client, "");
  expect_text(client, "text");
  assert_int_equal(rig_expect(rig, WSB_EVENT_RESUMED, 0)->as.resumed.replayed, 2);
  client_free(client);
  durable_finish(rig, &store);
}

static void malformed(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_subscribe(rig->server, conn, ">", 1), WSB_OK);
  wsb_backplane_message message = {.size = sizeof message,
                                   .topic = "d..1",
                                   .topic_length = 4,
                                   .data = "x",
                                   .length = 1,
                                   .kind = WSB_TEXT,
                                   .sequence = 1};
  store.host->deliver(rig->server, &message);
  message.topic = "d.1";
  message.topic_length = 3;
  message.data = "\xff";
  store.host->deliver(rig->server, &message);
  message.data = "good";
  message.length = 4;
  store.host->deliver(rig->server, &message);
  expect_text(client, "1 - good");
  assert_int_equal(store.host->replayed(rig->server, 12345, &message),
                   WSB_E_CLOSED); /* no such ticket, nor such a worker */
  assert_int_equal(store.host->replayed(rig->server, 0, &message), WSB_E_CLOSED);
  store.host->resumed(rig->server, 12345, 1, 0);
  store.host->resumed(rig->server, 0, 1, 1);
  store_set(&store, hold_replays, true);
  assert_int_equal(durable_resume(rig, conn, ">", 0), 1);
  message.data = "\xff";
  message.length = 1;
  assert_int_equal(store.host->replayed(rig->server, store.last_ticket, &message), WSB_OK); /* left out */
  store_set(&store, hold_replays, false);
  expect_text(client, "resumed > at 0 after 0");
  client_free(client);
  durable_finish(rig, &store);
}

int main(void) {
  const struct CMUnitTest tests[] = {RIG_TEST(all_or_none),
                                     RIG_TEST(which_are_durable),
                                     RIG_TEST(without_durable_topics),
                                     RIG_TEST(wrong_arguments),
                                     RIG_TEST(nothing_before_it_is_stored),
                                     RIG_TEST(not_stored),
                                     RIG_TEST(without_the_publisher),
                                     RIG_TEST(retained),
                                     RIG_TEST(as_published),
                                     RIG_TEST(malformed)};
  return cmocka_run_group_tests_name("durable", tests, NULL, NULL);
}
