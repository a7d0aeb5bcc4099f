/* Durable topics: subscriptions that resume, end, begin anew, fall behind. */
#include <poll.h>

#include "support_durable.h"

static Store store;

enum { SIZE = 4000 };

static void three_messages(Rig *rig) {
  durable_publish(rig, &store, "d.1", "one");
  durable_publish(rig, &store, "d.2", "two");
  durable_publish(rig, &store, "d.1", "three");
}

static void expect_silence(Client *client) {
  Frame frame;
  assert_false(client_read(client, &frame, LULL_MS));
  assert_false(client->ended);
}

/* What was missed, then on_resumed, then what is new, in this order on the wire. */
static void resumes(void **state) {
  Rig *rig = *state;
  rig->config.workers = 2;
  durable_start(rig, &store);
  three_messages(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_conn_set_user(rig->server, conn, &store), WSB_OK);
  assert_int_equal(durable_resume(rig, conn, "d.1", 1), 1);
  expect_text(client, "3 d.1 three");
  expect_text(client, "resumed d.1 at 3 after 1");
  durable_publish(rig, &store, "d.1", "four");
  expect_text(client, "4 - four");
  assert_int_equal(durable_resume(rig, conn, "*.2", 0), 1); /* another one, from the beginning */
  expect_text(client, "2 *.2 two");
  expect_text(client, "resumed *.2 at 4 after 1");
  const Record *record = rig_expect(rig, WSB_EVENT_RESUMED, 0);
  assert_int_equal(record->conn, conn);
  assert_ptr_equal(record->conn_user, &store);
  const wsb_resumed_event *event = &record->as.resumed;
  assert_int_equal(event->size, sizeof *event);
  assert_int_equal(event->topic_length, 3);
  assert_string_equal(event->topic, "d.1");
  assert_int_equal(event->sequence, 3);
  assert_int_equal(event->replayed, 1);
  assert_int_equal(event->missed, 0);
  wsb_metrics metrics = durable_metrics(rig);
  assert_int_equal(metrics.replays, 2);
  assert_int_equal(metrics.replayed, 2);
  assert_int_equal(metrics.replays_missed, 0);
  assert_int_equal(metrics.subscriptions, 2);
  char text[16384];
  assert_true(wsb_server_metrics_text(rig->server, text, sizeof text) < (int64_t)sizeof text);
  assert_non_null(strstr(text, "\nwsbeat_durable_stored_total 4\n"));
  assert_non_null(strstr(text, "\nwsbeat_durable_refused_total 0\n"));
  assert_non_null(strstr(text, "\nwsbeat_replays_total 2\n"));
  assert_non_null(strstr(text, "\nwsbeat_replayed_total 2\n"));
  assert_non_null(strstr(text, "\nwsbeat_replays_missed_total 0\n"));
  client_free(client);
  durable_finish(rig, &store);
}

/* While it is paused new durable messages wait for the replay's end, plain ones do not, and another subscription gets both. */
static void paused_until_then(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  three_messages(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  store_set(&store, hold_replays, true);
  assert_int_equal(durable_resume(rig, conn, ">", 2), 1);
  durable_publish(rig, &store, "d.1", "four");
  assert_int_equal(durable_publish_with(rig, "plain", "at once", NULL).reached, 1);
  expect_text(client, "at once");
  assert_int_equal(wsb_subscribe(rig->server, conn, "d.2", 3), WSB_OK);
  durable_publish(rig, &store, "d.2", "five");
  expect_text(client, "5 - five");
  expect_silence(client);
  store_set(&store, hold_replays, false);
  expect_text(client, "3 > three");
  expect_text(client, "4 > four");
  expect_text(client, "5 > five"); /* of this subscription */
  expect_text(client, "resumed > at 5 after 3");
  durable_publish(rig, &store, "d.2", "six");
  expect_text(client, "6 - six");
  expect_silence(client);
  client_free(client);
  durable_finish(rig, &store);
}

static void only_the_position(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  three_messages(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  store_set(&store, hold_replays, true);
  assert_int_equal(wsb_subscribe_with(rig->server, conn, "d.>", 3, NULL), 1);
  durable_publish(rig, &store, "d.1", "four"); /* it has effect at once, whenever the answer comes */
  expect_text(client, "4 - four");
  store_set(&store, hold_replays, false);
  expect_text(client, "resumed d.> at 4 after 0");
  assert_int_equal(wsb_subscribe(rig->server, conn, "d.>", 3), WSB_OK); /* is there */
  assert_int_equal(durable_subscribe(rig, conn, "plain", 0, 0), WSB_OK);
  durable_publish(rig, &store, "d.1", "five");
  expect_text(client, "5 - five");
  assert_int_equal(rig_count(rig, WSB_EVENT_RESUMED), 1);
  assert_int_equal(durable_metrics(rig).replays, 0);
  client_free(client);
  durable_finish(rig, &store);
}

static void missed(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  three_messages(rig);
  durable_publish(rig, &store, "d.1", "four");
  store_set(&store, first, 3);
  store_set(&store, max_replay, 1);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(durable_resume(rig, conn, "d.1", 1), 1); /* the second is gone */
  expect_text(client, "resumed d.1 at 4 after 0 missed");
  assert_int_equal(durable_resume(rig, conn, "d.2", 2), 1); /* nothing of it is gone */
  expect_text(client, "resumed d.2 at 4 after 0");
  assert_int_equal(durable_resume(rig, conn, "d.*", 2), 1); /* too many */
  expect_text(client, "resumed d.* at 4 after 0 missed");
  assert_int_equal(durable_resume(rig, conn, "d.>", 5), 1); /* of another store */
  expect_text(client, "resumed d.> at 4 after 0 missed");
  assert_int_equal(durable_resume(rig, conn, "*.1", UINT64_MAX), 1);
  expect_text(client, "resumed *.1 at 4 after 0 missed");
  assert_int_equal(durable_resume(rig, conn, "d.3", 4), 1); /* nothing came after it */
  expect_text(client, "resumed d.3 at 4 after 0");
  durable_publish(rig, &store, "d.1", "five"); /* it goes on, once however many match */
  expect_text(client, "5 - five");
  expect_silence(client);
  assert_int_equal(durable_metrics(rig).replays_missed, 4);
  client_free(client);
  durable_finish(rig, &store);
}

/* A ticket that is over or forgotten means nothing any more. */
static void expect_unknown(Rig *rig, uint64_t ticket) {
  const wsb_backplane_message message = {.size = sizeof message,
                                         .topic = "d.1",
                                         .topic_length = 3,
                                         .data = "late",
                                         .length = 4,
                                         .kind = WSB_TEXT,
                                         .sequence = 1};
  assert_int_equal(store.host->replayed(rig->server, ticket, &message), WSB_E_CLOSED);
  store.host->resumed(rig->server, ticket, 1, 0);
  store.host->resumed(rig->server, ticket, 1, 1);
}

static void begins_anew(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  three_messages(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  store_set(&store, hold_replays, true);
  assert_int_equal(durable_resume(rig, conn, "d.*", 0), 1);
  const uint64_t first = store.last_ticket;
  assert_int_equal(durable_resume(rig, conn, "d.*", 2), 1);
  const uint64_t second = store.last_ticket;
  assert_true(first != second);
  expect_unknown(rig, first);
  assert_int_equal(store_get(&store, forgotten), 1);
  assert_int_equal(store_active(&store), 1);
  store_set(&store, hold_replays, false);
  expect_text(client, "3 d.* three");
  expect_text(client, "resumed d.* at 3 after 1");
  expect_unknown(rig, second);
  assert_int_equal(durable_resume(rig, conn, "d.*", 2), 1); /* a live one */
  expect_text(client, "3 d.* three");
  expect_text(client, "resumed d.* at 3 after 1");
  store_set(&store, hold_replays, true);
  assert_int_equal(durable_resume(rig, conn, "d.*", 0), 1);
  assert_int_equal(durable_subscribe(rig, conn, "d.*", 0, 0), 1); /* never mind what was missed */
  durable_publish(rig, &store, "d.1", "four");
  expect_text(client, "4 - four");
  store_set(&store, hold_replays, false);
  expect_text(client, "resumed d.* at 4 after 0");
  assert_int_equal(rig_count(rig, WSB_EVENT_RESUMED), 3);
  assert_int_equal(durable_metrics(rig).subscriptions, 1);
  client_free(client);
  durable_finish(rig, &store);
}

static void ends_amid_a_replay(void **state) {
  Rig *rig = *state;
  durable_start(rig, &store);
  three_messages(rig);
  wsb_conn conns[2];
  Client *clients[2];
  uint64_t tickets[2];
  store_set(&store, hold_replays, true);
  for (int i = 0; i < 2; ++i) {
    clients[i] = rig_client(rig, &conns[i]);
    assert_int_equal(durable_resume(rig, conns[i], "d.*", 0), 1);
    tickets[i] = store.last_ticket;
  }
  assert_int_equal(wsb_unsubscribe(rig->server, conns[0], "d.*", 3), WSB_OK);
  expect_unknown(rig, tickets[0]);
  client_reset(clients[1]);
  rig_expect_close(rig, conns[1]);
  expect_unknown(rig, tickets[1]);
  durable_publish(rig, &store, "d.1", "four"); /* for nobody */
  assert_int_equal(store_active(&store), 0);
  assert_int_equal(store_get(&store, forgotten), 2);
  store_set(&store, hold_replays, false);
  expect_silence(clients[0]);
  assert_int_equal(durable_resume(rig, conns[0], "d.*", 3), 1); /* as a new one */
  expect_text(clients[0], "4 d.* four");
  expect_text(clients[0], "resumed d.* at 4 after 1");
  assert_int_equal(rig_count(rig, WSB_EVENT_RESUMED), 1);
  client_free(clients[0]);
  durable_finish(rig, &store);
}

/* On the connection's worker: asks anew before the first answer has been told. */
static void ask_twice(Rig *rig, const Record *record) {
  int *result = rig->context;
  if (record->type != WSB_EVENT_MESSAGE) return;
  const uint64_t ended = store_get(&store, ended);
  *result = durable_resume(rig, record->conn, "d.*", 0);
  while (store_get(&store, ended) == ended) pause_ms(1); /* on_resumed waits for this worker */
  *result += wsb_unsubscribe(rig->server, record->conn, "d.*", 3);
  *result += durable_resume(rig, record->conn, "d.*", 2);
}

static void no_stale_answers(void **state) {
  Rig *rig = *state;
  int result = 0;
  rig->on_record = ask_twice;
  rig->context = &result;
  durable_start_raw(rig, &store);
  three_messages(rig);
  Client *client = rig_client(rig, NULL);
  assert_true(client_send_text(client, "go"));
  expect_text(client, "three"); /* and nothing of the first replay, which was queued */
  assert_int_equal(rig_expect(rig, WSB_EVENT_RESUMED, 0)->as.resumed.replayed, 1);
  assert_int_equal(result, 2);
  expect_silence(client);
  assert_int_equal(rig_count(rig, WSB_EVENT_RESUMED), 1);
  client_free(client);
  durable_finish(rig, &store);
}

static size_t take(Rig *rig, int timeout_ms) {
  struct pollfd waiting = {.fd = wsb_server_event_fd(rig->server), .events = POLLIN};
  if (poll(&waiting, 1, timeout_ms) != 1) return 0;
  wsb_batch *batch = NULL;
  assert_int_equal(wsb_server_next_events(rig->server, 0, &batch), WSB_OK);
  const size_t count = wsb_batch_count(batch);
  for (size_t i = 0; i < count; ++i) {
    const wsb_event *event = wsb_batch_event(batch, i);
    assert_int_equal(event->resumed != NULL, event->type == WSB_EVENT_RESUMED);
    rig_record_event(rig, event);
  }
  wsb_batch_release(batch);
  return count;
}

static const Record *take_until(Rig *rig, uint32_t type) {
  const uint64_t deadline = now_ms() + PATIENCE_MS;
  while (rig_count(rig, type) == 0 && now_ms() < deadline) (void)take(rig, 50);
  return rig_expect(rig, type, 0);
}

static void with_queue_delivery(void **state) {
  Rig *rig = *state;
  const wsb_callbacks whole = rig->callbacks;
  rig_queue(rig);
  rig->callbacks.on_resumed = whole.on_resumed;
  expect_error(wsb_server_create(&rig->config, &rig->callbacks, &rig->server), WSB_E_INVALID, "queue delivery");
  rig->callbacks.on_resumed = NULL;
  durable_start(rig, &store);
  three_messages(rig);
  Client *client = client_open(rig->port);
  assert_non_null(client);
  const wsb_conn conn = take_until(rig, WSB_EVENT_OPEN)->conn;
  assert_int_equal(durable_resume(rig, conn, "d.*", 1), 1);
  const Record *record = take_until(rig, WSB_EVENT_RESUMED); /* which answers, too */
  assert_int_equal(record->conn, conn);
  assert_string_equal(record->as.resumed.topic, "d.*");
  assert_int_equal(record->as.resumed.topic_length, 3);
  assert_int_equal(record->as.resumed.sequence, 3);
  assert_int_equal(record->as.resumed.replayed, 2);
  expect_text(client, "2 d.* two");
  expect_text(client, "3 d.* three");
  expect_text(client, "resumed d.* at 3 after 2");
  client_free(client);
  (void)take_until(rig, WSB_EVENT_CLOSE);
  durable_finish(rig, &store);
}

/* ---------------------------------------------------------------------------------------------------------- who falls behind */

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
  assert_int_equal(rig_count(rig, WSB_EVENT_RESUMED), 0); /* nobody asked */
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
  const struct CMUnitTest tests[] = {RIG_TEST(resumes),
                                     RIG_TEST(paused_until_then),
                                     RIG_TEST(only_the_position),
                                     RIG_TEST(missed),
                                     RIG_TEST(begins_anew),
                                     RIG_TEST(ends_amid_a_replay),
                                     RIG_TEST(no_stale_answers),
                                     RIG_TEST(with_queue_delivery),
                                     RIG_TEST(falls_behind),
                                     RIG_TEST(falls_behind_with_another),
                                     RIG_TEST(falls_behind_before_the_answer),
                                     RIG_TEST(too_far_behind),
                                     RIG_TEST(no_replay_for_who_falls_behind),
                                     RIG_TEST(policy_close),
                                     RIG_TEST(policy_drop_oldest),
                                     RIG_TEST(too_large)};
  return cmocka_run_group_tests_name("durable_resume", tests, NULL, NULL);
}
