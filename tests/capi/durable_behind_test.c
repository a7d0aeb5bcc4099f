/* Durable topics: connections that fall behind, policies for full queues, and what never fits. */
#include "support_durable.h"

static Store store;

enum { SIZE = 4000 };

static void expect_silence(Client *client) {
  Frame frame;
  assert_false(client_read(client, &frame, LULL_MS));
  assert_false(client->ended);
}

static void publish_bytes(Rig *rig, const char *topic, uint32_t number) {
  uint8_t data[SIZE] = {0};
  memcpy(data, &number, sizeof number);
  const uint64_t next = store_get(&store, count) + 1;
  assert_int_equal(wsb_publish(rig->server, topic, strlen(topic), WSB_BINARY, data, sizeof data, NULL, NULL), WSB_OK);
  assert_true(store_wait(&store, next));
}

static void expect_number(Client *client, uint32_t number) {
  uint32_t found = 0;
  const Frame frame = expect_frame(client, OP_BINARY);
  assert_int_equal(frame.length, SIZE);
  memcpy(&found, frame.data, sizeof found);
  assert_int_equal(found, number);
}

static void start_with_small_queues(Rig *rig, uint32_t policy) {
  rig->config.max_queue_bytes = 65536;
  rig->config.slow_consumer = policy;
  durable_start_raw(rig, &store);
}

/* Nothing is lost, nothing comes twice, and plain messages are refused as ever. */
static void falls_behind(void **state) {
  Rig *rig = *state;
  start_with_small_queues(rig, WSB_SLOW_REFUSE);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  assert_int_equal(wsb_subscribe(rig->server, conn, "d.*", 3), WSB_OK);
  const size_t jam = rig_jam(rig, conn, SIZE);
  const size_t drains = rig_count(rig, WSB_EVENT_DRAIN);
  const uint64_t refused = durable_metrics(rig).queue_refused;
  enum { COUNT = 100 };
  for (uint32_t i = 1; i <= COUNT; ++i) publish_bytes(rig, "d.1", i);
  assert_int_equal(store_get(&store, begun), 1);
  assert_int_equal(store_active(&store), 1);
  for (size_t i = 0; i < jam; ++i) expect_number(client, 0);
  for (uint32_t i = 1; i <= COUNT; ++i) expect_number(client, i);
  publish_bytes(rig, "d.1", COUNT + 1);
  expect_number(client, COUNT + 1);
  assert_true(store_get(&store, full) > 0);
  const wsb_metrics metrics = durable_metrics(rig);
  assert_int_equal(metrics.replays, 1);
  assert_int_equal(metrics.publish_refused, 0);
  assert_int_equal(metrics.queue_refused, refused); /* nobody was told that it was full */
  assert_true(metrics.replayed >= COUNT / 2 && metrics.replayed <= COUNT);
  assert_int_equal(rig_count(rig, WSB_EVENT_RESUMED), 0);     /* nobody asked */
  assert_true(rig_count(rig, WSB_EVENT_DRAIN) <= drains + 1); /* of rig_jam's refusal */
  client_free(client);
  durable_finish(rig, &store);
}

/* Of two subscriptions of one connection one falls behind: nothing new for both may pass what is replayed for that one. */
static void falls_behind_with_another(void **state) {
  Rig *rig = *state;
  start_with_small_queues(rig, WSB_SLOW_REFUSE);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  assert_int_equal(wsb_subscribe(rig->server, conn, "d.1", 3), WSB_OK);
  assert_int_equal(wsb_subscribe(rig->server, conn, "d.*", 3), WSB_OK);
  const size_t jam = rig_jam(rig, conn, SIZE);
  store_set(&store, hold_replays, true);
  publish_bytes(rig, "d.2", 1); /* refused: "d.*" falls behind */
  assert_int_equal(store_active(&store), 1);
  for (size_t i = 0; i < jam; ++i) expect_number(client, 0);
  publish_bytes(rig, "d.1", 2); /* there is room, but it must not come before 1 */
  assert_int_equal(store_active(&store), 2);
  publish_bytes(rig, "d.3", 3);
  assert_int_equal(store_active(&store), 2);
  expect_silence(client);
  store_set(&store, hold_replays, false);
  uint32_t seen[4] = {0};
  uint32_t last_of_star = 0;
  for (int i = 0; i < 4; ++i) { /* 1, 2 and 3 for "d.*", and once more 2 for "d.1" */
    uint32_t number = 0;
    memcpy(&number, expect_frame(client, OP_BINARY).data, sizeof number);
    assert_in_range(number, 1, 3);
    ++seen[number];
    if (number == 2) continue;
    assert_true(number > last_of_star);
    last_of_star = number;
  }
  assert_int_equal(seen[1], 1);
  assert_int_equal(seen[2], 2);
  assert_int_equal(seen[3], 1);
  publish_bytes(rig, "d.1", 4);
  expect_number(client, 4);
  expect_silence(client);
  client_free(client);
  durable_finish(rig, &store);
}

/* Before its first answer: the one that was asked for is told when all of it has been made up for. */
static void falls_behind_before_the_answer(void **state) {
  Rig *rig = *state;
  start_with_small_queues(rig, WSB_SLOW_REFUSE);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  store_set(&store, hold_replays, true);
  assert_int_equal(durable_subscribe(rig, conn, "d.*", 0, 0), 1);
  const uint64_t first = store.last_ticket;
  const size_t jam = rig_jam(rig, conn, SIZE);
  publish_bytes(rig, "d.1", 1);
  assert_true(store.last_ticket != first);
  assert_int_equal(store_get(&store, forgotten), 1);
  store_set(&store, hold_replays, false);
  for (size_t i = 0; i < jam; ++i) expect_number(client, 0);
  expect_number(client, 1);
  const wsb_resumed_event *event = &rig_expect(rig, WSB_EVENT_RESUMED, 0)->as.resumed;
  assert_int_equal(event->sequence, 1);
  assert_int_equal(event->replayed, 1);
  client_free(client);
  durable_finish(rig, &store);
  assert_int_equal(rig_count(rig, WSB_EVENT_RESUMED), 1);
}

/* What it missed is gone, or nobody replays it: it is to come back. */
static void check_too_far_behind(Rig *rig, bool no_replay) {
  rig->config.close_timeout_ms = 300;
  start_with_small_queues(rig, WSB_SLOW_REFUSE);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  assert_int_equal(wsb_subscribe(rig->server, conn, "d.*", 3), WSB_OK);
  (void)rig_jam(rig, conn, SIZE);
  if (no_replay) {
    store_set(&store, replay_answer, WSB_E_NOMEM);
  } else {
    store_set(&store, max_replay, 0);
  }
  publish_bytes(rig, "d.1", 1);
  const wsb_close_event *event = &rig_expect_close(rig, conn)->as.close;
  assert_int_equal(event->cause, WSB_CAUSE_SLOW_CONSUMER);
  assert_int_equal(event->code_sent, WSB_CLOSE_TRY_AGAIN_LATER);
  assert_int_equal(durable_metrics(rig).replays_missed, no_replay ? 0 : 1);
  client_free(client);
  durable_finish(rig, &store);
}

static void too_far_behind(void **state) {
  check_too_far_behind(*state, false);
}

static void no_replay_for_who_falls_behind(void **state) {
  check_too_far_behind(*state, true);
}

static void policy_close(void **state) {
  Rig *rig = *state;
  rig->config.close_timeout_ms = 300;
  start_with_small_queues(rig, WSB_SLOW_CLOSE);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  for (uint32_t i = 1; i <= 200; ++i) publish_bytes(rig, "d.1", i);
  assert_int_equal(durable_resume(rig, conn, "d.*", 0), 1); /* which is paced, and closes nobody */
  for (uint32_t i = 1; i <= 200; ++i) expect_number(client, i);
  rig_expect(rig, WSB_EVENT_RESUMED, 0);
  assert_true(store_get(&store, full) > 0);
  assert_int_equal(rig_count(rig, WSB_EVENT_CLOSE), 0);
  for (uint32_t i = 201; rig_count(rig, WSB_EVENT_CLOSE) == 0 && i < 10000; ++i) publish_bytes(rig, "d.1", i);
  assert_int_equal(rig_expect_close(rig, conn)->as.close.cause, WSB_CAUSE_SLOW_CONSUMER);
  client_free(client);
  durable_finish(rig, &store);
}

static void policy_drop_oldest(void **state) {
  Rig *rig = *state;
  start_with_small_queues(rig, WSB_SLOW_DROP_OLDEST);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  assert_int_equal(wsb_subscribe(rig->server, conn, "d.*", 3), WSB_OK);
  enum { COUNT = 2000 };
  for (uint32_t i = 1; i <= COUNT; ++i) publish_bytes(rig, "d.1", i);
  uint32_t previous = 0;
  size_t received = 0;
  while (previous != COUNT) { /* in order, with gaps, to the last one */
    uint32_t number = 0;
    memcpy(&number, expect_frame(client, OP_BINARY).data, sizeof number);
    assert_true(number > previous);
    previous = number;
    ++received;
  }
  assert_true(received < COUNT);
  assert_int_equal(store_get(&store, begun), 0);
  client_free(client);
  durable_finish(rig, &store);
}

/* What can never fit is left out, live and in a replay; nobody waits for it. */
static void too_large(void **state) {
  Rig *rig = *state;
  start_with_small_queues(rig, WSB_SLOW_REFUSE);
  static uint8_t large[65537];
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_subscribe(rig->server, conn, "d.*", 3), WSB_OK);
  assert_int_equal(wsb_publish(rig->server, "d.1", 3, WSB_BINARY, large, sizeof large, NULL, NULL), WSB_OK);
  assert_int_equal(wsb_publish(rig->server, "d.1", 3, WSB_BINARY, large, sizeof large - 1, NULL, NULL), WSB_OK);
  assert_int_equal(expect_frame(client, OP_BINARY).length, sizeof large - 1);
  durable_publish(rig, &store, "d.1", "small");
  expect_text(client, "small");
  assert_int_equal(durable_metrics(rig).publish_refused, 1);
  assert_int_equal(durable_resume(rig, conn, "d.*", 0), 1);
  assert_int_equal(expect_frame(client, OP_BINARY).length, sizeof large - 1);
  expect_text(client, "small");
  assert_int_equal(rig_expect(rig, WSB_EVENT_RESUMED, 0)->as.resumed.replayed, 2);
  client_free(client);
  durable_finish(rig, &store);
}

int main(void) {
  const struct CMUnitTest tests[] = {RIG_TEST(falls_behind),
                                     RIG_TEST(falls_behind_with_another),
                                     RIG_TEST(falls_behind_before_the_answer),
                                     RIG_TEST(too_far_behind),
                                     RIG_TEST(no_replay_for_who_falls_behind),
                                     RIG_TEST(policy_close),
                                     RIG_TEST(policy_drop_oldest),
                                     RIG_TEST(too_large)};
  return cmocka_run_group_tests_name("durable_behind", tests, NULL, NULL);
}
