/* Durable topics: subscriptions that resume, end, and begin anew. */
#include <poll.h>

#include "support_durable.h"

static Store store;

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

static bool none_active(void *argument) {
  (void)argument;
  return store_active(&store) == 0;
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
  assert_true(wait_until(none_active, NULL, PATIENCE_MS)); /* once on_close has returned */
  expect_unknown(rig, tickets[1]);
  durable_publish(rig, &store, "d.1", "four"); /* for nobody */
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

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(resumes),     RIG_TEST(paused_until_then),  RIG_TEST(only_the_position), RIG_TEST(missed),
      RIG_TEST(begins_anew), RIG_TEST(ends_amid_a_replay), RIG_TEST(no_stale_answers),  RIG_TEST(with_queue_delivery)};
  return cmocka_run_group_tests_name("durable_resume", tests, NULL, NULL);
}
