/* Queue delivery: the descriptor, batches and their ownership, and the bound that stops reading. */
#include <poll.h>

#include "support.h"

static bool readable(Rig *rig, int timeout_ms) {
  struct pollfd waiting = {.fd = wsb_server_event_fd(rig->server), .events = POLLIN};
  const int ready = poll(&waiting, 1, timeout_ms);
  assert_true(ready >= 0);
  return ready == 1 && (waiting.revents & POLLIN) != 0;
}

/* Takes at most `max` events into the record; gives how many came. */
static size_t take(Rig *rig, size_t max) {
  wsb_batch *batch = NULL;
  assert_int_equal(wsb_server_next_events(rig->server, max, &batch), WSB_OK);
  const size_t count = wsb_batch_count(batch);
  for (size_t i = 0; i < count; ++i) rig_record_event(rig, wsb_batch_event(batch, i));
  assert_null(wsb_batch_event(batch, count));
  wsb_batch_release(batch);
  return count;
}

/* Takes events until the index-th of this type has come. */
static const Record *take_until(Rig *rig, uint32_t type, size_t index) {
  const uint64_t deadline = now_ms() + PATIENCE_MS;
  while (rig_count(rig, type) <= index && now_ms() < deadline) {
    if (readable(rig, 50)) take(rig, 0);
  }
  return rig_expect(rig, type, index);
}

/* Connects without waiting for an open event. */
static Client *connect_client(Rig *rig) {
  Client *client = client_open(rig->port);
  assert_non_null(client);
  return client;
}

static void start(Rig *rig) {
  rig_queue(rig);
  rig_start(rig);
}

/* Stops, takes what is left, checks that STOPPED is the end. */
static void finish(Rig *rig) {
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  take_until(rig, WSB_EVENT_STOPPED, 0);
  assert_int_equal(take(rig, 0), 0);
  assert_int_equal(rig->records[rig->count - 1]->type, WSB_EVENT_STOPPED);
  rig_check_pairs(rig, true);
  assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
  rig->server = NULL;
}

static void not_without_queue(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_batch *batch = NULL;
  expect_error(wsb_server_event_fd(rig->server), WSB_E_STATE, NULL);
  assert_int_equal(wsb_server_next_events(rig->server, 0, &batch), WSB_E_STATE);
  assert_null(batch);
  rig_finish(rig);
}

static void descriptor(void **state) {
  Rig *rig = *state;
  rig_queue(rig);
  rig_create(rig);
  const int fd = wsb_server_event_fd(rig->server); /* valid from create on */
  assert_true(fd >= 0);
  assert_false(readable(rig, 0));
  assert_int_equal(wsb_server_next_events(rig->server, 0, NULL), WSB_E_INVALID);
  assert_int_equal(take(rig, 0), 0);
  rig_start(rig);
  assert_int_equal(wsb_server_event_fd(rig->server), fd);
  Client *client = connect_client(rig);
  for (int i = 0; i < 20; ++i) {
    assert_true(readable(rig, PATIENCE_MS));
    assert_true(readable(rig, 0)); /* until they are taken */
    while (take(rig, 0) > 0) {
    }
    assert_false(readable(rig, 0));
    assert_true(client_send_text(client, "again"));
  }
  take_until(rig, WSB_EVENT_MESSAGE, 19);
  assert_false(readable(rig, LULL_MS));
  client_free(client);
  finish(rig);
}

static void batches_with_max(void **state) {
  Rig *rig = *state;
  start(rig);
  Client *client = connect_client(rig);
  take_until(rig, WSB_EVENT_OPEN, 0);
  for (int i = 0; i < 10; ++i) {
    const char text[] = {(char)('0' + i), '\0'};
    assert_true(client_send_text(client, text));
  }
  assert_true(client_send(client, OP_PING, "all there", 9));
  expect_frame(client, OP_PONG); /* the messages before it have been queued */
  assert_int_equal(take(rig, 3), 3);
  assert_true(readable(rig, 0));
  assert_int_equal(take(rig, 1), 1);
  assert_int_equal(take(rig, 100), 6);
  assert_false(readable(rig, 0));
  for (size_t i = 0; i < 10; ++i) {
    assert_int_equal(rig_expect(rig, WSB_EVENT_MESSAGE, i)->as.message.data[0], '0' + i);
  }
  client_free(client);
  finish(rig);
}

static void event_members(void **state) {
  Rig *rig = *state;
  start(rig);
  Client *client = connect_client(rig);
  assert_true(client_send_text(client, "m"));
  assert_true(client_send(client, OP_PONG, "u", 1));
  assert_true(client_send_close(client, 4001, "bye"));
  expect_close(client, 4001, "");
  size_t seen[WSB_EVENT_STOPPED + 1] = {0};
  while (seen[WSB_EVENT_CLOSE] == 0) {
    assert_true(readable(rig, PATIENCE_MS));
    wsb_batch *batch = NULL;
    assert_int_equal(wsb_server_next_events(rig->server, 0, &batch), WSB_OK);
    for (size_t i = 0; i < wsb_batch_count(batch); ++i) {
      const wsb_event *event = wsb_batch_event(batch, i);
      assert_int_equal(event->size, sizeof *event);
      assert_in_range(event->type, WSB_EVENT_OPEN, WSB_EVENT_STOPPED);
      ++seen[event->type];
      assert_int_equal(event->open != NULL, event->type == WSB_EVENT_OPEN);
      assert_int_equal(event->message != NULL, event->type == WSB_EVENT_MESSAGE);
      assert_int_equal(event->pong != NULL, event->type == WSB_EVENT_PONG);
      assert_int_equal(event->drain != NULL, event->type == WSB_EVENT_DRAIN);
      assert_int_equal(event->close != NULL, event->type == WSB_EVENT_CLOSE);
      assert_int_equal(event->refused != NULL, event->type == WSB_EVENT_REFUSED);
      assert_int_equal(event->log != NULL, event->type == WSB_EVENT_LOG);
      if (event->type == WSB_EVENT_MESSAGE) assert_int_equal(event->message->conn, event->conn);
      if (event->type == WSB_EVENT_CLOSE) assert_string_equal(event->close->reason, "bye");
      rig_record_event(rig, event);
    }
    wsb_batch_release(batch);
  }
  assert_int_equal(seen[WSB_EVENT_OPEN], 1);
  assert_int_equal(seen[WSB_EVENT_MESSAGE], 1);
  assert_int_equal(seen[WSB_EVENT_PONG], 1);
  client_free(client);
  finish(rig);
}

/* Batches and payloads are the caller's until released, whatever the connection and later batches do. */
static void ownership(void **state) {
  Rig *rig = *state;
  start(rig);
  enum { COUNT = 5 };
  wsb_batch *held[COUNT] = {NULL};
  Client *client = connect_client(rig);
  take_until(rig, WSB_EVENT_OPEN, 0);
  uint8_t data[20000];
  for (size_t i = 0; i < COUNT; ++i) {
    memset(data, (int)('a' + i), sizeof data);
    assert_true(client_send(client, OP_BINARY, data, sizeof data));
    assert_true(readable(rig, PATIENCE_MS));
    assert_int_equal(wsb_server_next_events(rig->server, 1, &held[i]), WSB_OK);
  }
  client_free(client);
  take_until(rig, WSB_EVENT_CLOSE, 0);
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  for (size_t i = 0; i < COUNT; ++i) {
    assert_int_equal(wsb_batch_count(held[i]), 1);
    const wsb_message_event *message = wsb_batch_event(held[i], 0)->message;
    assert_non_null(message);
    assert_int_equal(message->length, sizeof data);
    assert_int_equal(message->data[0], 'a' + i);
    assert_int_equal(message->data[sizeof data - 1], 'a' + i);
  }
  for (size_t i = COUNT; i > 0; --i) wsb_batch_release(held[i - 1]);
  finish(rig);
}

/* Sends numbered messages from a thread of its own, since the server stops reading. */
typedef struct Producer {
  Client *client;
  uint32_t count;
  size_t size;
} Producer;

static void *produce(void *argument) {
  const Producer *producer = argument;
  uint8_t *data = calloc(1, producer->size);
  if (data == NULL) abort();
  for (uint32_t i = 0; i < producer->count; ++i) {
    memcpy(data, &i, sizeof i);
    if (!client_send(producer->client, OP_BINARY, data, producer->size)) break;
  }
  free(data);
  return NULL;
}

/* The bound stops reading: what waits is never much more than it, and nothing is lost or reordered. */
static void check_bound(Rig *rig, uint32_t count, size_t size, size_t most) {
  start(rig);
  Producer producer = {connect_client(rig), count, size};
  take_until(rig, WSB_EVENT_OPEN, 0);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, produce, &producer), 0);
  size_t taken = 0;
  for (int round = 0; round < 3; ++round) {
    pause_ms(LULL_MS);
    const size_t waiting = take(rig, 0);
    assert_true(waiting > 0);
    assert_true(waiting <= most);
    taken += waiting;
  }
  assert_true(taken < count);
  take_until(rig, WSB_EVENT_MESSAGE, count - 1);
  pthread_join(thread, NULL);
  for (uint32_t i = 0; i < count; ++i) {
    const Record *record = rig->records[i + 1];
    assert_int_equal(record->type, WSB_EVENT_MESSAGE);
    assert_int_equal(record->as.message.length, size);
    assert_memory_equal(record->as.message.data, &i, sizeof i);
  }
  client_free(producer.client);
  finish(rig);
}

static void bound_of_messages(void **state) {
  Rig *rig = *state;
  rig->config.max_event_queue_messages = 10;
  check_bound(rig, 2000, 8, 11);
}

static void bound_of_bytes(void **state) {
  Rig *rig = *state;
  rig->config.max_event_queue_bytes = 100000;
  check_bound(rig, 1000, 20000, 6);
}

/* Messages in a batch that is not released still count. */
static void held_batches_count(void **state) {
  Rig *rig = *state;
  rig->config.max_event_queue_messages = 4;
  start(rig);
  Client *client = connect_client(rig);
  take_until(rig, WSB_EVENT_OPEN, 0);
  for (int i = 0; i < 12; ++i) assert_true(client_send_text(client, "x"));
  pause_ms(LULL_MS);
  wsb_batch *held = NULL;
  assert_int_equal(wsb_server_next_events(rig->server, 0, &held), WSB_OK);
  assert_in_range(wsb_batch_count(held), 4, 5);
  assert_false(readable(rig, LULL_MS));
  for (size_t i = 0; i < wsb_batch_count(held); ++i) rig_record_event(rig, wsb_batch_event(held, i));
  wsb_batch_release(held);
  take_until(rig, WSB_EVENT_MESSAGE, 11);
  client_free(client);
  finish(rig);
}

/* An application that takes nothing for several heartbeat timeouts: the peer answered, so it lives. */
static void slow_application_keeps_peers(void **state) {
  Rig *rig = *state;
  rig->config.max_event_queue_messages = 4;
  rig->config.heartbeat_interval_ms = 150;
  rig->config.heartbeat_timeout_ms = 100;
  rig->config.heartbeat_liveness = WSB_LIVENESS_PONG;
  start(rig);
  Client *client = connect_client(rig);
  take_until(rig, WSB_EVENT_OPEN, 0);
  for (int i = 0; i < 40; ++i) assert_true(client_send_text(client, "x"));
  const uint64_t until = now_ms() + 900;
  Frame frame;
  while (now_ms() < until) { /* the application sleeps, the peer does not */
    if (client_read(client, &frame, 50) && frame.opcode == OP_PING) {
      uint8_t payload[125];
      memcpy(payload, frame.data, frame.length);
      assert_true(client_send(client, OP_PONG, payload, frame.length));
    }
  }
  assert_false(client->ended);
  take_until(rig, WSB_EVENT_MESSAGE, 39);
  assert_int_equal(rig_count(rig, WSB_EVENT_CLOSE), 0);
  client_free(client);
  finish(rig);
}

static void refused_and_log(void **state) {
  Rig *rig = *state;
  rig->config.log_level = WSB_LOG_DEBUG;
  start(rig);
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  assert_int_equal(client_handshake(client, "/", "Origin: http://elsewhere.example\r\n", PATIENCE_MS), 403);
  client_free(client);
  const wsb_refused_event *refused = &take_until(rig, WSB_EVENT_REFUSED, 0)->as.refused;
  assert_int_equal(refused->status, 403);
  assert_int_equal(refused->refusal, WSB_REFUSAL_ORIGIN);
  assert_string_equal(refused->peer, "127.0.0.1");
  client_free(connect_client(rig));
  take_until(rig, WSB_EVENT_CLOSE, 0);
  finish(rig);
  assert_true(rig_count(rig, WSB_EVENT_LOG) > 0);
}

static uint64_t closed_connections(Rig *rig) {
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  return metrics.closed;
}

static int knock(Rig *rig) {
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  const int status = client_handshake(client, "/", NULL, PATIENCE_MS);
  client_free(client);
  return status;
}

/* Who comes and goes while the application stands still counts until it has been told. */
static void check_counted(Rig *rig, int refusal) {
  start(rig);
  for (uint64_t i = 1; i <= 3; ++i) {
    assert_int_equal(knock(rig), 101);
    const uint64_t deadline = now_ms() + PATIENCE_MS;
    while (closed_connections(rig) < i && now_ms() < deadline) pause_ms(1);
    assert_int_equal(closed_connections(rig), i);
  }
  assert_int_equal(knock(rig), refusal);
  take_until(rig, WSB_EVENT_CLOSE, 2);
  assert_int_equal(knock(rig), 101);
  finish(rig);
}

static void ended_connections_count_until_told(void **state) {
  Rig *rig = *state;
  rig->config.max_connections = 3;
  check_counted(rig, 503);
}

static void ended_connections_of_an_address_count_until_told(void **state) {
  Rig *rig = *state;
  rig->config.max_connections_per_address = 3;
  check_counted(rig, 429);
}

static void refusals_without_a_reader_are_bounded(void **state) {
  Rig *rig = *state;
  start(rig);
  enum { MOST = 4096, KNOCKS = MOST + 100 };
  for (int i = 0; i < KNOCKS; ++i) {
    Client *client = client_tcp("127.0.0.1", rig->port, 0);
    assert_int_equal(client_handshake(client, "/", "Origin: http://elsewhere.example\r\n", PATIENCE_MS), 403);
    client_free(client);
  }
  while (take(rig, 1000) != 0) {
  }
  assert_int_equal(rig_count(rig, WSB_EVENT_REFUSED), MOST);
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  assert_int_equal(client_handshake(client, "/", "Origin: http://elsewhere.example\r\n", PATIENCE_MS), 403);
  client_free(client);
  take_until(rig, WSB_EVENT_REFUSED, MOST);
  finish(rig);
}

/* Nobody need read: stop and destroy do not wait for the application. */
static void unread_events(void **state) {
  Rig *rig = *state;
  for (int stop_first = 0; stop_first <= 1; ++stop_first) {
    start(rig);
    Client *client = connect_client(rig);
    for (int i = 0; i < 50; ++i) assert_true(client_send_text(client, "unread"));
    client_free(client);
    assert_true(readable(rig, PATIENCE_MS));
    if (stop_first == 1) assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
    assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
    rig->server = NULL;
  }
}

/* Four workers feed one queue: order is kept per connection. */
static void many_workers(void **state) {
  Rig *rig = *state;
  rig->config.workers = 4;
  start(rig);
  enum { CLIENTS = 12, EACH = 40 };
  Client *clients[CLIENTS];
  for (size_t i = 0; i < CLIENTS; ++i) clients[i] = connect_client(rig);
  for (uint8_t k = 0; k < EACH; ++k) {
    for (size_t i = 0; i < CLIENTS; ++i) assert_true(client_send(clients[i], OP_BINARY, &k, 1));
  }
  take_until(rig, WSB_EVENT_MESSAGE, CLIENTS * EACH - 1);
  for (size_t i = 0; i < CLIENTS; ++i) client_free(clients[i]);
  take_until(rig, WSB_EVENT_CLOSE, CLIENTS - 1);
  for (size_t i = 0; i < CLIENTS; ++i) {
    const wsb_conn conn = rig_expect(rig, WSB_EVENT_OPEN, i)->conn;
    uint8_t next = 0;
    for (size_t k = 0; k < rig->count; ++k) {
      const Record *record = rig->records[k];
      if (record->conn == conn && record->type == WSB_EVENT_MESSAGE)
        assert_int_equal(record->as.message.data[0], next++);
    }
    assert_int_equal(next, EACH);
  }
  finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(not_without_queue),
      RIG_TEST(descriptor),
      RIG_TEST(batches_with_max),
      RIG_TEST(event_members),
      RIG_TEST(ownership),
      RIG_TEST(bound_of_messages),
      RIG_TEST(bound_of_bytes),
      RIG_TEST(held_batches_count),
      RIG_TEST(slow_application_keeps_peers),
      RIG_TEST(refused_and_log),
      RIG_TEST(unread_events),
      RIG_TEST(many_workers),
      RIG_TEST(ended_connections_count_until_told),
      RIG_TEST(ended_connections_of_an_address_count_until_told),
      RIG_TEST(refusals_without_a_reader_are_bounded),
  };
  return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
