/* Presence: who is on a topic, what watchers are told, limits, ends, slow watchers. */
#include <stdatomic.h>

#include "support_presence.h"

/* A visitor that wants one name only. */
static int take_first(const char *member, size_t length, void *user) {
  memcpy(user, member, length + 1);
  return 1;
}

static wsb_metrics metrics_of(Rig *rig) {
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  return metrics;
}

static void wrong_arguments(void **state) {
  Rig *rig = *state;
  presence_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  static const struct {
    const char *name;
    const char *word;
  } wrong[] = {{"", "empty"},        {"a..b", "token"},  {"a b", "space"},
               {"a.*", "wildcards"}, {">", "wildcards"}, {"\xff", "UTF-8"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    const char *name = wrong[i].name;
    expect_error(presence_join(rig, conn, name, "me"), WSB_E_INVALID, wrong[i].word);
    expect_error(presence_leave(rig, conn, name), WSB_E_INVALID, wrong[i].word);
    expect_error(presence_watch(rig, conn, name), WSB_E_INVALID, wrong[i].word);
    expect_error(presence_unwatch(rig, conn, name), WSB_E_INVALID, wrong[i].word);
    expect_error((int)wsb_members(rig->server, name, strlen(name), take_first, NULL), WSB_E_INVALID, wrong[i].word);
  }
  char longest[256];
  memset(longest, 'a', sizeof longest);
  assert_int_equal(wsb_join(rig->server, conn, longest, 255, longest, 255), WSB_OK);
  expect_error(wsb_join(rig->server, conn, longest, 256, "me", 2), WSB_E_INVALID, "255");
  expect_error(wsb_join(rig->server, conn, "a", 1, longest, 256), WSB_E_INVALID, "255");
  expect_error(presence_join(rig, conn, "a", ""), WSB_E_INVALID, "empty");
  expect_error(presence_join(rig, conn, "a", "x\ny"), WSB_E_INVALID, "control");
  expect_error(wsb_join(rig->server, conn, "a", 1, "x\0y", 3), WSB_E_INVALID, "control");
  expect_error(presence_join(rig, conn, "a", "\xc3"), WSB_E_INVALID, "UTF-8");
  expect_error(wsb_join(rig->server, conn, "a", 1, NULL, 0), WSB_E_INVALID, "member");
  expect_error(wsb_join(rig->server, conn, NULL, 0, "me", 2), WSB_E_INVALID, "topic");
  expect_error(wsb_join(NULL, conn, "a", 1, "me", 2), WSB_E_INVALID, "server");
  expect_error(wsb_leave(NULL, conn, "a", 1), WSB_E_INVALID, "server");
  expect_error(wsb_watch(NULL, conn, "a", 1), WSB_E_INVALID, "server");
  expect_error(wsb_unwatch(NULL, conn, "a", 1), WSB_E_INVALID, "server");
  expect_error((int)wsb_members(NULL, "a", 1, take_first, NULL), WSB_E_INVALID, "server");
  expect_error((int)wsb_members(rig->server, "a", 1, NULL, NULL), WSB_E_INVALID, "visit");
  expect_error(presence_leave(rig, conn, "a"), WSB_E_NOT_SUBSCRIBED, NULL);
  expect_error(presence_unwatch(rig, conn, "a"), WSB_E_NOT_SUBSCRIBED, NULL);
  for (wsb_conn stale = 0; stale <= conn + 1; stale += conn + 1) {
    expect_error(presence_join(rig, stale, "a", "me"), WSB_E_CLOSED, NULL);
    expect_error(presence_leave(rig, stale, "a"), WSB_E_CLOSED, NULL);
    expect_error(presence_watch(rig, stale, "a"), WSB_E_CLOSED, NULL);
    expect_error(presence_unwatch(rig, stale, "a"), WSB_E_CLOSED, NULL);
  }
  client_free(client);
  rig_finish(rig);
}

static void watchers_are_told(void **state) {
  Rig *rig = *state;
  rig->config.workers = 3;
  presence_start(rig);
  enum { COUNT = 6 };
  wsb_conn conns[COUNT];
  Client *clients[COUNT];
  for (size_t i = 0; i < COUNT; ++i) {
    clients[i] = rig_client(rig, &conns[i]);
    assert_int_equal(presence_watch(rig, conns[i], "room"), WSB_OK);
    assert_int_equal(presence_watch(rig, conns[i], "room"), WSB_OK); /* twice is once */
  }
  assert_int_equal(presence_join(rig, conns[0], "room", "alice"), WSB_OK);
  assert_int_equal(presence_join(rig, conns[0], "room", "alice"), WSB_OK);
  assert_int_equal(presence_join(rig, conns[1], "room", "alice"), WSB_OK); /* the same name, once more */
  assert_int_equal(presence_join(rig, conns[2], "other", "carol"), WSB_OK);
  assert_int_equal(presence_join(rig, conns[2], "room", "bob"), WSB_OK);
  assert_int_equal(presence_leave(rig, conns[0], "room"), WSB_OK);
  assert_int_equal(presence_join(rig, conns[1], "room", "dora"), WSB_OK); /* instead of alice */
  presence_expect(rig, "room", "bob,dora,");
  presence_expect(rig, "other", "carol,");
  presence_expect(rig, "nobody.here", "");
  for (size_t i = 0; i < COUNT; ++i) {
    expect_text(clients[i], "+room:alice");
    expect_text(clients[i], "+room:bob");
    expect_text(clients[i], "-room:alice");
    expect_text(clients[i], "+room:dora");
    presence_expect_nothing_else(rig, clients[i], conns[i]);
  }
  assert_int_equal(presence_unwatch(rig, conns[5], "room"), WSB_OK);
  assert_int_equal(presence_leave(rig, conns[2], "room"), WSB_OK);
  presence_expect_nothing_else(rig, clients[5], conns[5]);
  expect_text(clients[4], "-room:bob");
  char first[16];
  assert_int_equal(wsb_members(rig->server, "room", 4, take_first, first), 1);
  assert_string_equal(first, "dora");
  const wsb_metrics metrics = metrics_of(rig);
  assert_int_equal(metrics.presence_members, 2);
  assert_int_equal(metrics.presence_watches, 5);
  assert_int_equal(metrics.presence_joins, 5);
  assert_int_equal(metrics.presence_leaves, 3);
  assert_int_equal(metrics.subscriptions, 0);
  char text[16384];
  assert_true(wsb_server_metrics_text(rig->server, text, sizeof text) < (int64_t)sizeof text);
  assert_non_null(strstr(text, "\nwsbeat_presence_members 2\n"));
  assert_non_null(strstr(text, "\nwsbeat_presence_watches 5\n"));
  assert_non_null(strstr(text, "\nwsbeat_presence_joins_total 5\n"));
  assert_non_null(strstr(text, "\nwsbeat_presence_leaves_total 3\n"));
  for (size_t i = 0; i < COUNT; ++i) client_free(clients[i]);
  rig_finish(rig);
}

/* However a connection ends, it has left before its on_close. */
static atomic_int present_at_close;
static int count_one(const char *member, size_t length, void *user) {
  (void)member;
  (void)length;
  ++*(int *)user;
  return 0;
}
static void look_at_close(Rig *rig, const Record *record) {
  if (record->type != WSB_EVENT_CLOSE) return;
  int count = 0;
  (void)wsb_members(rig->server, "room", 4, count_one, &count);
  atomic_fetch_add(&present_at_close, count);
  if (wsb_join(rig->server, record->conn, "room", 4, "ghost", 5) != WSB_E_CLOSED)
    atomic_fetch_add(&present_at_close, 100);
}

static void all_ends_with_the_connection(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  rig->on_record = look_at_close;
  atomic_store(&present_at_close, 0);
  presence_start(rig);
  wsb_conn watcher;
  Client *looks = rig_client(rig, &watcher);
  assert_int_equal(presence_watch(rig, watcher, "room"), WSB_OK);
  for (int way = 0; way < 4; ++way) {
    wsb_conn conn;
    Client *client = rig_client(rig, &conn);
    assert_int_equal(presence_join(rig, conn, "room", "alice"), WSB_OK);
    assert_int_equal(presence_watch(rig, conn, "room"), WSB_OK);
    expect_text(looks, "+room:alice");
    if (way == 0) client_free(client);                                    /* a reset */
    if (way == 1) assert_int_equal(wsb_abort(rig->server, conn), WSB_OK); /* ours */
    if (way == 2) {                                                       /* a closing handshake */
      assert_int_equal(wsb_close(rig->server, conn, 1000, "", 0), WSB_OK);
      expect_error(presence_join(rig, conn, "other", "alice"), WSB_E_CLOSED, NULL);
      expect_error(presence_watch(rig, conn, "other"), WSB_E_CLOSED, NULL);
      expect_close(client, 1000, "");
      assert_true(client_send_close(client, 1000, ""));
    }
    if (way == 3) { /* the heartbeat's verdict: it answers no ping */
      assert_int_equal(wsb_conn_set_heartbeat(rig->server, conn, 300, 150, WSB_LIVENESS_ANY), WSB_OK);
    }
    expect_text(looks, "-room:alice");
    (void)rig_expect_close(rig, conn);
    if (way != 0) client_free(client);
  }
  assert_int_equal(atomic_load(&present_at_close), 0);
  const wsb_metrics metrics = metrics_of(rig);
  assert_int_equal(metrics.presence_members, 0);
  assert_int_equal(metrics.presence_joins, 4);
  assert_int_equal(metrics.presence_leaves, 4);
  client_free(looks);
  rig_finish(rig);
}

static void limits_are_shared(void **state) {
  Rig *rig = *state;
  rig->config.max_topics_per_connection = 3;
  rig->config.max_subscriptions = 5;
  presence_start(rig);
  wsb_conn one;
  wsb_conn two;
  Client *first = rig_client(rig, &one);
  Client *second = rig_client(rig, &two);
  assert_int_equal(wsb_subscribe(rig->server, one, "a", 1), WSB_OK);
  assert_int_equal(presence_join(rig, one, "b", "me"), WSB_OK);
  assert_int_equal(presence_watch(rig, one, "b"), WSB_OK);
  expect_error(presence_join(rig, one, "c", "me"), WSB_E_LIMIT, NULL);
  expect_error(presence_watch(rig, one, "c"), WSB_E_LIMIT, NULL);
  expect_error(wsb_subscribe(rig->server, one, "c", 1), WSB_E_LIMIT, NULL);
  assert_int_equal(presence_join(rig, one, "b", "another"), WSB_OK); /* instead of the first */
  assert_int_equal(presence_join(rig, two, "b", "me"), WSB_OK);
  assert_int_equal(presence_watch(rig, two, "c"), WSB_OK);
  expect_error(presence_join(rig, two, "c", "me"), WSB_E_LIMIT, NULL); /* all connections */
  expect_error(wsb_subscribe(rig->server, two, "c", 1), WSB_E_LIMIT, NULL);
  assert_int_equal(presence_leave(rig, one, "b"), WSB_OK);
  assert_int_equal(presence_join(rig, two, "c", "me"), WSB_OK);
  client_free(second);
  (void)rig_expect_close(rig, two);
  assert_int_equal(metrics_of(rig).subscriptions, 1);
  assert_int_equal(presence_join(rig, one, "d", "me"), WSB_OK);
  client_free(first);
  rig_finish(rig);
}

/* A change that a full queue refused is told when there is room, as things are then. */
static void change(Rig *rig, wsb_conn member) {
  (void)presence_join(rig, member, "room", "alice");
  (void)presence_leave(rig, member, "room");
  (void)presence_join(rig, member, "room", "bob");
  (void)presence_join(rig, member, "hall", "bob");
}
static void change_there(Rig *rig, const Record *record) {
  if (record->type == WSB_EVENT_MESSAGE) change(rig, record->conn);
}

static void catch_up(Rig *rig, bool on_worker) {
  rig->config.workers = on_worker ? 1 : 2;
  rig->config.max_queue_bytes = 64 * 1024;
  rig->on_record = change_there;
  presence_start(rig);
  enum { COUNT = 3 };
  wsb_conn conns[COUNT];
  Client *clients[COUNT];
  wsb_conn member;
  Client *joins = rig_client(rig, &member);
  for (size_t i = 0; i < COUNT; ++i) {
    clients[i] = rig_client_with(rig, &conns[i], "/", NULL, 4096);
    assert_int_equal(presence_watch(rig, conns[i], "room"), WSB_OK);
    assert_int_equal(presence_watch(rig, conns[i], "hall"), WSB_OK);
    (void)rig_jam(rig, conns[i], 16384);
    while (wsb_send(rig->server, conns[i], WSB_BINARY, "x", 1) == WSB_OK) continue;
  }
  if (on_worker) {
    assert_true(client_send_text(joins, "go"));
    (void)rig_expect(rig, WSB_EVENT_MESSAGE, 0);
    assert_true(client_send_text(joins, "again")); /* the callback has run when the next message comes */
    (void)rig_expect(rig, WSB_EVENT_MESSAGE, 1);
  } else {
    change(rig, member);
  }
  for (size_t i = 0; i < COUNT; ++i) {
    static const char *const told[] = {"-room:alice", "+room:bob", "+hall:bob"};
    bool seen[3] = {false, false, false};
    while (!seen[0] || !seen[1] || !seen[2]) {
      Frame frame;
      assert_true(client_read(clients[i], &frame, PATIENCE_MS));
      if (frame.opcode == OP_BINARY) continue;
      bool known =
          frame.length == 11 && memcmp(frame.data, "+room:alice", 11) == 0 && !seen[0]; /* if it was owed twice over */
      for (int n = 0; n < 3; ++n) {
        if (frame.length != strlen(told[n]) || memcmp(frame.data, told[n], frame.length) != 0) continue;
        known = seen[n] = true;
      }
      assert_true(known);
    }
  }
  for (size_t i = 0; i < COUNT; ++i) client_free(clients[i]);
  client_free(joins);
  rig_finish(rig);
}

static void slow_watchers_catch_up(void **state) {
  catch_up(*state, false);
}
static void slow_watchers_catch_up_on_their_worker(void **state) {
  catch_up(*state, true);
}

/* More names than can be owed: it is closed as too slow. */
static void too_slow_to_watch(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  rig->config.max_queue_bytes = 64 * 1024;
  presence_start(rig);
  wsb_conn slow;
  wsb_conn member;
  Client *joins = rig_client(rig, &member);
  Client *client = rig_client_with(rig, &slow, "/", NULL, 4096);
  assert_int_equal(presence_watch(rig, slow, "room"), WSB_OK);
  (void)rig_jam(rig, slow, 16384);
  while (wsb_send(rig->server, slow, WSB_BINARY, "x", 1) == WSB_OK) continue;
  for (int i = 0; i < 1100; ++i) {
    char name[32];
    (void)snprintf(name, sizeof name, "member %d", i);
    assert_int_equal(presence_join(rig, member, "room", name), WSB_OK);
  }
  assert_true(client_read_end(client, PATIENCE_MS) || client->ended);
  assert_int_equal(rig_expect_close(rig, slow)->as.close.cause, WSB_CAUSE_SLOW_CONSUMER);
  client_free(client);
  client_free(joins);
  rig_finish(rig);
}

/* on_presence may call anything: here it answers a coming with a name of its own. */
static wsb_conn echo_conn;
static wsb_server *echo_server;
static wsb_message *make_and_join(const wsb_presence_event *event, void *user) {
  if (event->present && strcmp(event->member, "echo") != 0)
    (void)wsb_join(echo_server, echo_conn, event->topic, event->topic_length, "echo", 4);
  return strcmp(event->member, "hidden") == 0 ? NULL : presence_text(event, user);
}

static void from_within(void **state) {
  Rig *rig = *state;
  rig->callbacks.on_presence = make_and_join;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  echo_conn = conn;
  echo_server = rig->server;
  assert_int_equal(presence_watch(rig, conn, "room"), WSB_OK);
  wsb_conn other;
  Client *second = rig_client(rig, &other);
  assert_int_equal(presence_join(rig, other, "room", "hidden"), WSB_OK); /* NULL: nobody is sent anything */
  expect_text(client, "+room:echo");
  assert_int_equal(presence_leave(rig, other, "room"), WSB_OK);
  assert_int_equal(presence_join(rig, other, "room", "seen"), WSB_OK);
  expect_text(client, "+room:seen");
  presence_expect_nothing_else(rig, client, conn);
  client_free(second);
  expect_text(client, "-room:seen");
  client_free(client);
  rig_finish(rig);
}

static void without_a_callback(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(presence_watch(rig, conn, "room"), WSB_OK);
  assert_int_equal(presence_join(rig, conn, "room", "me"), WSB_OK);
  presence_expect(rig, "room", "me,");
  presence_expect_nothing_else(rig, client, conn);
  client_free(client);
  rig_finish(rig);
}

static void with_queue_delivery(void **state) {
  Rig *rig = *state;
  rig_queue(rig);
  rig->callbacks.on_presence = presence_text;
  rig_create(rig);
  assert_int_equal(wsb_server_start(rig->server), WSB_OK);
  Client *client = client_open(wsb_server_port(rig->server));
  assert_non_null(client);
  wsb_conn conn = 0;
  for (const uint64_t until = now_ms() + PATIENCE_MS; conn == 0 && now_ms() < until;) {
    wsb_batch *batch = NULL;
    assert_int_equal(wsb_server_next_events(rig->server, 0, &batch), WSB_OK);
    for (size_t i = 0; i < wsb_batch_count(batch); ++i) {
      rig_record_event(rig, wsb_batch_event(batch, i));
      if (wsb_batch_event(batch, i)->type == WSB_EVENT_OPEN) conn = wsb_batch_event(batch, i)->open->conn;
    }
    wsb_batch_release(batch);
  }
  assert_true(conn != 0);
  assert_int_equal(presence_watch(rig, conn, "room"), WSB_OK);
  assert_int_equal(presence_join(rig, conn, "room", "me"), WSB_OK);
  expect_text(client, "+room:me");
  client_free(client);
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  presence_expect(rig, "room", "");
  assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
  rig->server = NULL;
}

/* Many threads join and leave at once: what a watcher was told, in order, ends where the table is, and no change comes twice. */
enum { THREADS = 4, TURNS = 400 };
typedef struct Churn {
  Rig *rig;
  wsb_conn conns[THREADS];
  int number;
} Churn;

static void *churn(void *argument) {
  Churn *mine = argument;
  unsigned seed = (unsigned)mine->number;
  for (int i = 0; i < TURNS; ++i) {
    char name[16];
    (void)snprintf(name, sizeof name, "m%d", rand_r(&seed) % 3);
    const wsb_conn conn = mine->conns[rand_r(&seed) % THREADS];
    if (rand_r(&seed) % 3 != 0) {
      (void)presence_join(mine->rig, conn, "room", name);
    } else {
      (void)presence_leave(mine->rig, conn, "room");
    }
  }
  return NULL;
}

static void many_threads(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  rig->config.max_queue_bytes = 16 << 20;
  presence_start(rig);
  Churn churns[THREADS];
  Client *clients[THREADS];
  for (int i = 0; i < THREADS; ++i) clients[i] = rig_client(rig, &churns[0].conns[i]);
  wsb_conn watcher;
  Client *looks = rig_client(rig, &watcher);
  assert_int_equal(presence_watch(rig, watcher, "room"), WSB_OK);
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; ++i) {
    memcpy(churns[i].conns, churns[0].conns, sizeof churns[i].conns);
    churns[i].rig = rig;
    churns[i].number = i + 1;
    assert_int_equal(pthread_create(&threads[i], NULL, churn, &churns[i]), 0);
  }
  for (int i = 0; i < THREADS; ++i) assert_int_equal(pthread_join(threads[i], NULL), 0);
  for (int i = 0; i < THREADS; ++i) client_free(clients[i]);
  for (int i = 0; i < THREADS; ++i) (void)rig_expect_close(rig, churns[0].conns[i]);
  assert_int_equal(presence_join(rig, watcher, "room", "last"), WSB_OK);
  bool present[3] = {false, false, false};
  for (;;) {
    const Frame frame = expect_frame(looks, OP_TEXT);
    if (frame.length == 10 && memcmp(frame.data, "+room:last", 10) == 0) break;
    assert_int_equal(frame.length, 8);
    const int which = frame.data[7] - '0';
    assert_true(which >= 0 && which < 3);
    assert_int_equal(frame.data[0] == '+', !present[which]);
    present[which] = !present[which];
  }
  assert_false(present[0] || present[1] || present[2]);
  presence_expect(rig, "room", "last,");
  client_free(looks);
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {RIG_TEST(wrong_arguments),
                                     RIG_TEST(watchers_are_told),
                                     RIG_TEST(all_ends_with_the_connection),
                                     RIG_TEST(limits_are_shared),
                                     RIG_TEST(slow_watchers_catch_up),
                                     RIG_TEST(slow_watchers_catch_up_on_their_worker),
                                     RIG_TEST(too_slow_to_watch),
                                     RIG_TEST(from_within),
                                     RIG_TEST(without_a_callback),
                                     RIG_TEST(with_queue_delivery),
                                     RIG_TEST(many_threads)};
  return cmocka_run_group_tests_name("presence", tests, NULL, NULL);
}
