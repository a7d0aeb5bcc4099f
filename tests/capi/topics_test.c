/* Topics: names, who is reached, lists, limits, the hook, retained messages. */
#include "support.h"

static int subscribe(Rig *rig, wsb_conn conn, const char *topic) {
  return wsb_subscribe(rig->server, conn, topic, strlen(topic));
}

static int unsubscribe(Rig *rig, wsb_conn conn, const char *topic) {
  return wsb_unsubscribe(rig->server, conn, topic, strlen(topic));
}

static wsb_publish_result publish_with(Rig *rig, const char *topic, const char *text, wsb_conn exclude,
                                       uint32_t flags) {
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.exclude = exclude;
  options.flags = flags;
  wsb_publish_result result;
  wsb_publish_result_init(&result);
  assert_int_equal(wsb_publish(rig->server, topic, strlen(topic), WSB_TEXT, text, strlen(text), &options, &result),
                   WSB_OK);
  return result;
}

static uint64_t publish(Rig *rig, const char *topic, const char *text) {
  const wsb_publish_result result = publish_with(rig, topic, text, 0, 0);
  assert_int_equal(result.refused, 0);
  return result.reached;
}

/* Nothing more was sent to the client than what it has read. */
static void expect_nothing_else(Rig *rig, Client *client, wsb_conn conn) {
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, "mark", 4), WSB_OK);
  expect_text(client, "mark");
}

static uint64_t subscriptions(Rig *rig) {
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  return metrics.subscriptions;
}

static void names(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  static const struct {
    const char *name;
    const char *word;
  } wrong[] = {{"", "empty"},   {"a..b", "token"}, {".a", "token"},  {"a b", "space"},
               {"a*", "whole"}, {">.a", "last"},   {"\xff", "UTF-8"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    const char *name = wrong[i].name;
    expect_error(subscribe(rig, conn, name), WSB_E_INVALID, wrong[i].word);
    expect_error(unsubscribe(rig, conn, name), WSB_E_INVALID, wrong[i].word);
    expect_error(wsb_publish(rig->server, name, strlen(name), WSB_TEXT, "x", 1, NULL, NULL), WSB_E_INVALID, "topic");
    expect_error(wsb_topic_covers(name, strlen(name), "a", 1), WSB_E_INVALID, wrong[i].word);
    expect_error(wsb_topic_covers("a", 1, name, strlen(name)), WSB_E_INVALID, wrong[i].word);
  }
  char longest[256];
  memset(longest, 'a', sizeof longest);
  assert_int_equal(wsb_subscribe(rig->server, conn, longest, 255), WSB_OK);
  expect_error(wsb_subscribe(rig->server, conn, longest, 256), WSB_E_INVALID, "255");
  expect_error(wsb_publish(rig->server, "a.*", 3, WSB_TEXT, "x", 1, NULL, NULL), WSB_E_INVALID, "wildcards");
  expect_error(wsb_subscribe(rig->server, conn, NULL, 0), WSB_E_INVALID, "NULL");
  expect_error(wsb_subscribe(NULL, conn, "a", 1), WSB_E_INVALID, "server");
  assert_int_equal(wsb_topic_covers("a.*", 3, "a.b", 3), 1);
  assert_int_equal(wsb_topic_covers("a.*", 3, "a.>", 3), 0);
  client_free(client);
  rig_finish(rig);
}

static void wrong_publications(void **state) {
  Rig *rig = *state;
  rig->config.max_retained_bytes = 1024;
  rig_start(rig);
  expect_error(wsb_publish(rig->server, "a", 1, 3, "x", 1, NULL, NULL), WSB_E_INVALID, "kind");
  expect_error(wsb_publish(rig->server, "a", 1, WSB_TEXT, "\xff", 1, NULL, NULL), WSB_E_INVALID, "UTF-8");
  expect_error(wsb_publish(rig->server, "a", 1, WSB_TEXT, NULL, 1, NULL, NULL), WSB_E_INVALID, "NULL");
  expect_error(wsb_publish(NULL, "a", 1, WSB_TEXT, "x", 1, NULL, NULL), WSB_E_INVALID, "server");
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.flags = 4;
  expect_error(wsb_publish(rig->server, "a", 1, WSB_TEXT, "x", 1, &options, NULL), WSB_E_INVALID, "flags");
  wsb_publish_options_init(&options);
  options.reserved = 1;
  expect_error(wsb_publish(rig->server, "a", 1, WSB_TEXT, "x", 1, &options, NULL), WSB_E_INVALID, "reserved");
  wsb_publish_options_init(&options);
  options.flags = WSB_PUBLISH_RETAIN;
  const uint8_t large[1024] = {0};
  expect_error(wsb_publish(rig->server, "a", 1, WSB_BINARY, large, sizeof large, &options, NULL), WSB_E_TOO_BIG, NULL);
  rig_finish(rig);
}

static void reaches_subscribers(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conns[3];
  Client *clients[3];
  for (size_t i = 0; i < 3; ++i) clients[i] = rig_client(rig, &conns[i]);
  assert_int_equal(publish(rig, "orders.17.created", "nobody"), 0);
  assert_int_equal(subscribe(rig, conns[0], "orders.17.created"), WSB_OK);
  assert_int_equal(subscribe(rig, conns[0], "orders.17.created"), WSB_OK); /* twice is once */
  assert_int_equal(subscribe(rig, conns[0], "orders.>"), WSB_OK);
  assert_int_equal(subscribe(rig, conns[1], "orders.*.created"), WSB_OK);
  assert_int_equal(publish(rig, "orders.17.created", "one"), 2);
  assert_int_equal(publish(rig, "orders.18.created", "two"), 2);
  assert_int_equal(publish(rig, "orders.18.paid", "three"), 1);
  assert_int_equal(publish(rig, "orders", "four"), 0);
  assert_int_equal(publish_with(rig, "orders.1.created", "five", conns[0], 0).reached, 1);
  expect_text(clients[0], "one");
  expect_text(clients[0], "two");
  expect_text(clients[0], "three");
  expect_text(clients[1], "one");
  expect_text(clients[1], "two");
  expect_text(clients[1], "five");
  assert_int_equal(wsb_publish(rig->server, "orders.1", 8, WSB_BINARY, "\0\xff", 2, NULL, NULL), WSB_OK);
  assert_memory_equal(expect_frame(clients[0], OP_BINARY).data, "\0\xff", 2);
  for (size_t i = 0; i < 3; ++i) expect_nothing_else(rig, clients[i], conns[i]);
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  assert_int_equal(metrics.published, 7);
  assert_int_equal(metrics.publish_reached, 7);
  assert_int_equal(metrics.publish_refused, 0);
  for (size_t i = 0; i < 3; ++i) client_free(clients[i]);
  rig_finish(rig);
}

/* Subscribing and unsubscribing have effect when the call returns, whichever worker has the connection. */
static void on_several_workers(void **state) {
  Rig *rig = *state;
  rig->config.workers = 4;
  rig_start(rig);
  enum { COUNT = 16 };
  wsb_conn conns[COUNT];
  Client *clients[COUNT];
  for (size_t i = 0; i < COUNT; ++i) {
    clients[i] = rig_client(rig, &conns[i]);
    assert_int_equal(subscribe(rig, conns[i], i % 2 == 0 ? "news" : "*"), WSB_OK);
    assert_int_equal(publish(rig, "news", "to all"), i + 1);
  }
  for (size_t i = 0; i < COUNT; ++i) {
    for (size_t k = i; k < COUNT; ++k) expect_text(clients[i], "to all");
  }
  for (size_t i = 0; i < COUNT; ++i) {
    assert_int_equal(unsubscribe(rig, conns[i], i % 2 == 0 ? "news" : "*"), WSB_OK);
    assert_int_equal(unsubscribe(rig, conns[i], "news"), WSB_E_NOT_SUBSCRIBED);
    assert_int_equal(publish(rig, "news", "to the rest"), COUNT - i - 1);
    for (size_t k = 0; k < i; ++k) expect_text(clients[i], "to the rest");
    expect_nothing_else(rig, clients[i], conns[i]);
    client_free(clients[i]);
  }
  rig_finish(rig);
}

typedef struct Names {
  char text[256];
  size_t stop_after;
  size_t count;
} Names;

static int note_name(const char *topic, size_t length, void *user) {
  Names *found = user;
  if (strlen(topic) != length) return -1;
  strcat(strcat(found->text, topic), " ");
  return ++found->count == found->stop_after;
}

static void lists(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  Names found = {{0}, 0, 0};
  assert_int_equal(wsb_conn_topics(rig->server, conn, note_name, &found), 0);
  assert_int_equal(subscribe(rig, conn, "a.*.c"), WSB_OK);
  assert_int_equal(subscribe(rig, conn, "b.>"), WSB_OK);
  assert_int_equal(wsb_conn_topics(rig->server, conn, note_name, &found), 2);
  assert_string_equal(found.text, "a.*.c b.> ");
  Names first = {{0}, 1, 0};
  assert_int_equal(wsb_conn_topics(rig->server, conn, note_name, &first), 1);
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  assert_int_equal(wsb_conn_get_info(rig->server, conn, &info), WSB_OK);
  assert_int_equal(info.topics, 2);
  assert_int_equal(unsubscribe(rig, conn, "a.*"), WSB_E_NOT_SUBSCRIBED);
  assert_int_equal(unsubscribe(rig, conn, "a.*.c"), WSB_OK);
  assert_int_equal(unsubscribe(rig, conn, "b.>"), WSB_OK);
  assert_int_equal(wsb_conn_topics(rig->server, conn, note_name, &found), 0);
  expect_error((int)wsb_conn_topics(rig->server, conn, NULL, NULL), WSB_E_INVALID, "visit");
  client_free(client);
  rig_expect_close(rig, conn);
  assert_int_equal(wsb_conn_topics(rig->server, conn, note_name, &found), WSB_E_CLOSED);
  assert_int_equal(subscribe(rig, conn, "a"), WSB_E_CLOSED);
  assert_int_equal(unsubscribe(rig, conn, "a"), WSB_E_CLOSED);
  assert_int_equal(subscribe(rig, 0, "a"), WSB_E_CLOSED);
  assert_int_equal(subscribe(rig, UINT64_MAX, "a"), WSB_E_CLOSED);
  rig_finish(rig);
}

/* What the connection was subscribed to when it ended: read in its on_close. */
static void note_last(Rig *rig, const Record *record) {
  Names *last = rig->context;
  if (record->type != WSB_EVENT_CLOSE) return;
  last->stop_after = 100;
  (void)wsb_conn_topics(rig->server, record->conn, note_name, last);
  if (subscribe(rig, record->conn, "late") != WSB_E_CLOSED) last->count = 1000;
}

static void dropped_with_the_connection(void **state) {
  Rig *rig = *state;
  Names last = {{0}, 0, 0};
  rig->on_record = note_last;
  rig->context = &last;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(subscribe(rig, conn, "a"), WSB_OK);
  assert_int_equal(subscribe(rig, conn, "b"), WSB_OK);
  assert_int_equal(subscriptions(rig), 2);
  client_reset(client);
  rig_expect_close(rig, conn);
  assert_int_equal(publish(rig, "a", "x"), 0);
  rig_finish(rig);
  assert_int_equal(last.count, 2);
  assert_string_equal(last.text, "a b ");
}

static void none_after_close(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(subscribe(rig, conn, "a"), WSB_OK);
  assert_int_equal(wsb_close(rig->server, conn, 1000, NULL, 0), WSB_OK);
  assert_int_equal(subscribe(rig, conn, "b"), WSB_E_CLOSED);
  assert_int_equal(publish(rig, "a", "x"), 0);
  expect_close(client, 1000, "");
  client_free(client);
  rig_expect_close(rig, conn);
  rig_finish(rig);
}

static bool none_subscribed(void *argument) {
  return subscriptions(argument) == 0;
}

static void limits(void **state) {
  Rig *rig = *state;
  rig->config.max_topics_per_connection = 2;
  rig->config.max_subscriptions = 3;
  rig_start(rig);
  wsb_conn conns[2];
  Client *clients[2];
  for (size_t i = 0; i < 2; ++i) clients[i] = rig_client(rig, &conns[i]);
  assert_int_equal(subscribe(rig, conns[0], "a"), WSB_OK);
  assert_int_equal(subscribe(rig, conns[0], "b"), WSB_OK);
  expect_error(subscribe(rig, conns[0], "c"), WSB_E_LIMIT, "limit");
  assert_int_equal(subscribe(rig, conns[0], "b"), WSB_OK); /* it is there already */
  assert_int_equal(subscribe(rig, conns[1], "a"), WSB_OK);
  assert_int_equal(subscribe(rig, conns[1], "b"), WSB_E_LIMIT);
  assert_int_equal(publish(rig, "b", "x"), 1);
  assert_int_equal(unsubscribe(rig, conns[0], "a"), WSB_OK);
  assert_int_equal(subscribe(rig, conns[1], "b"), WSB_OK);
  assert_int_equal(subscriptions(rig), 3);
  for (size_t i = 0; i < 2; ++i) client_free(clients[i]);
  for (size_t i = 0; i < 2; ++i) rig_expect_close(rig, conns[i]);
  assert_true(wait_until(none_subscribed, rig, PATIENCE_MS)); /* on_close comes a moment before */
  rig_finish(rig);
}

static int judge(const wsb_subscribe_event *event, void *user) {
  Rig *rig = user;
  const bool known =
      event->conn != 0 && event->conn_user == rig->context && strlen(event->topic) == event->topic_length;
  return known && strncmp(event->topic, "public.", 7) == 0 ? 0 : 1;
}

static void hook(void **state) {
  Rig *rig = *state;
  rig->callbacks.on_subscribe = judge;
  rig->context = rig;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_conn_set_user(rig->server, conn, rig), WSB_OK);
  assert_int_equal(subscribe(rig, conn, "public.a"), WSB_OK);
  expect_error(subscribe(rig, conn, "private.a"), WSB_E_REFUSED, "refused");
  assert_int_equal(publish(rig, "public.a", "yes") + publish(rig, "private.a", "no"), 1);
  expect_text(client, "yes");
  expect_nothing_else(rig, client, conn);
  client_free(client);
  rig_finish(rig);
}

static void retained(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  rig->config.max_retained_messages = 2;
  rig_start(rig);
  publish_with(rig, "state.a", "old", 0, WSB_PUBLISH_RETAIN);
  publish_with(rig, "state.b", "b", 0, WSB_PUBLISH_RETAIN);
  publish_with(rig, "state.a", "new", 0, WSB_PUBLISH_RETAIN);
  publish(rig, "state.a", "passing");
  for (int i = 0; i < 4; ++i) {
    wsb_conn conn;
    Client *client = rig_client(rig, &conn);
    assert_int_equal(subscribe(rig, conn, "state.a"), WSB_OK);
    assert_int_equal(subscribe(rig, conn, "state.a"), WSB_OK); /* not again */
    expect_text(client, "new");
    assert_int_equal(subscribe(rig, conn, "state.*"), WSB_OK);
    expect_text(client, "b");
    expect_text(client, "new");
    expect_nothing_else(rig, client, conn);
    client_free(client);
    rig_expect_close(rig, conn);
  }
  publish_with(rig, "state.c", "c", 0, WSB_PUBLISH_RETAIN); /* "b" was published longest ago */
  publish_with(rig, "state.a", "", 0, WSB_PUBLISH_RETAIN);
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  assert_int_equal(metrics.retained_messages, 1);
  assert_in_range(metrics.retained_bytes, strlen("state.c") + 1, 32);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(subscribe(rig, conn, ">"), WSB_OK);
  expect_text(client, "c");
  expect_nothing_else(rig, client, conn);
  client_free(client);
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {RIG_TEST(names),
                                     RIG_TEST(wrong_publications),
                                     RIG_TEST(reaches_subscribers),
                                     RIG_TEST(on_several_workers),
                                     RIG_TEST(lists),
                                     RIG_TEST(dropped_with_the_connection),
                                     RIG_TEST(none_after_close),
                                     RIG_TEST(limits),
                                     RIG_TEST(hook),
                                     RIG_TEST(retained)};
  return cmocka_run_group_tests_name("topics", tests, NULL, NULL);
}
