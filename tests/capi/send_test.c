/* Sending: kinds and checks, shared messages, the bounded queue and its three policies, pings. */
#include "support.h"

static void kinds(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, "h\xc3\xa9", 3), WSB_OK);
  assert_int_equal(wsb_send(rig->server, conn, WSB_BINARY, "\0\xff", 2), WSB_OK);
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, NULL, 0), WSB_OK);
  assert_int_equal(wsb_send(rig->server, conn, WSB_BINARY, NULL, 0), WSB_OK);
  expect_text(client, "h\xc3\xa9");
  const Frame binary = expect_frame(client, OP_BINARY);
  assert_int_equal(binary.length, 2);
  assert_memory_equal(binary.data, "\0\xff", 2);
  expect_text(client, "");
  assert_int_equal(expect_frame(client, OP_BINARY).length, 0);
  client_free(client);
  rig_finish(rig);
}

static void sizes(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 8 << 20;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  static const size_t sizes[] = {1, 125, 126, 127, 65535, 65536, 65537, 1 << 20, 3 << 20};
  enum { COUNT = sizeof sizes / sizeof sizes[0] };
  uint8_t *data = malloc(3 << 20);
  assert_non_null(data);
  for (size_t i = 0; i < 3 << 20; ++i) data[i] = (uint8_t)(i * 7 + i / 1000);
  for (size_t i = 0; i < COUNT; ++i) assert_int_equal(wsb_send(rig->server, conn, WSB_BINARY, data, sizes[i]), WSB_OK);
  for (size_t i = 0; i < COUNT; ++i) {
    const Frame frame = expect_frame(client, OP_BINARY);
    assert_int_equal(frame.length, sizes[i]);
    assert_true(memcmp(frame.data, data, sizes[i]) == 0);
  }
  free(data);
  client_free(client);
  rig_finish(rig);
}

static void wrong_arguments(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  expect_error(wsb_send(rig->server, conn, 0, "x", 1), WSB_E_INVALID, NULL);
  assert_int_equal(wsb_send(rig->server, conn, 3, "x", 1), WSB_E_INVALID);
  assert_int_equal(wsb_send(rig->server, conn, 8, "x", 1), WSB_E_INVALID);
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, NULL, 1), WSB_E_INVALID);
  static const char *const wrong[] = {"\xff", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf", "ok\x80"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    expect_error(wsb_send(rig->server, conn, WSB_TEXT, wrong[i], strlen(wrong[i])), WSB_E_INVALID, "UTF-8");
    assert_null(wsb_message_create(WSB_TEXT, wrong[i], strlen(wrong[i])));
  }
  assert_null(wsb_message_create(0, "x", 1));
  assert_null(wsb_message_create(WSB_TEXT, NULL, 1));
  assert_int_equal(wsb_send_message(rig->server, conn, NULL), WSB_E_INVALID);
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, "after", 5), WSB_OK);
  expect_text(client, "after"); /* nothing of the above was sent */
  client_free(client);
  rig_finish(rig);
}

static void no_such_connection(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn stale;
  client_free(rig_client(rig, &stale));
  rig_expect_close(rig, stale);
  wsb_message *message = wsb_message_create(WSB_TEXT, "x", 1);
  assert_non_null(message);
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  const wsb_conn wrong[] = {0, stale, stale + 1, 1, 12345, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, UINT32_MAX};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    assert_int_equal(wsb_send(rig->server, wrong[i], WSB_TEXT, "x", 1), WSB_E_CLOSED);
    assert_int_equal(wsb_send_message(rig->server, wrong[i], message), WSB_E_CLOSED);
    assert_int_equal(wsb_ping(rig->server, wrong[i], "x", 1), WSB_E_CLOSED);
    assert_int_equal(wsb_close(rig->server, wrong[i], 1000, NULL, 0), WSB_E_CLOSED);
    assert_int_equal(wsb_abort(rig->server, wrong[i]), WSB_E_CLOSED);
    assert_int_equal(wsb_buffered_amount(rig->server, wrong[i]), WSB_E_CLOSED);
    assert_int_equal(wsb_conn_pause(rig->server, wrong[i]), WSB_E_CLOSED);
    assert_int_equal(wsb_conn_resume(rig->server, wrong[i]), WSB_E_CLOSED);
    assert_int_equal(wsb_conn_set_user(rig->server, wrong[i], &info), WSB_E_CLOSED);
    assert_null(wsb_conn_user(rig->server, wrong[i]));
    assert_int_equal(wsb_conn_set_heartbeat(rig->server, wrong[i], 1000, 500, 0), WSB_E_CLOSED);
    assert_int_equal(wsb_conn_authenticate(rig->server, wrong[i]), WSB_E_CLOSED);
    assert_int_equal(wsb_conn_get_info(rig->server, wrong[i], &info), WSB_E_CLOSED);
    assert_int_equal(wsb_conn_string(rig->server, wrong[i], WSB_STRING_PATH, NULL, 0), WSB_E_CLOSED);
  }
  wsb_message_release(message);
  rig_finish(rig);
}

/* A message outlives the references and the server that the application gives up. */
static void shared_messages(void **state) {
  Rig *rig = *state;
  rig->config.workers = 3;
  rig_start(rig);
  enum { COUNT = 12 };
  Client *clients[COUNT];
  wsb_conn conns[COUNT];
  for (size_t i = 0; i < COUNT; ++i) clients[i] = rig_client(rig, &conns[i]);
  wsb_message *text = wsb_message_create(WSB_TEXT, "to all", 6);
  wsb_message *empty = wsb_message_create(WSB_BINARY, NULL, 0);
  assert_non_null(text);
  assert_non_null(empty);
  assert_ptr_equal(wsb_message_ref(text), text);
  wsb_message_release(text);
  for (size_t i = 0; i < COUNT; ++i) {
    assert_int_equal(wsb_send_message(rig->server, conns[i], text), WSB_OK);
    assert_int_equal(wsb_send_message(rig->server, conns[i], empty), WSB_OK);
    assert_int_equal(wsb_send_message(rig->server, conns[i], text), WSB_OK);
  }
  wsb_message_release(empty);
  for (size_t i = 0; i < COUNT; ++i) {
    expect_text(clients[i], "to all");
    assert_int_equal(expect_frame(clients[i], OP_BINARY).length, 0);
    expect_text(clients[i], "to all");
    client_free(clients[i]);
  }
  rig_finish(rig);
  rig_start(rig); /* usable with every server */
  Client *client = rig_client(rig, &conns[0]);
  assert_int_equal(wsb_send_message(rig->server, conns[0], text), WSB_OK);
  wsb_message_release(text);
  expect_text(client, "to all");
  client_free(client);
  rig_finish(rig);
}

static void shared_message_large(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 4 << 20;
  rig_start(rig);
  uint8_t *data = malloc(2 << 20);
  assert_non_null(data);
  for (size_t i = 0; i < 2 << 20; ++i) data[i] = (uint8_t)(i % 253);
  Client *clients[3];
  wsb_conn conns[3];
  for (size_t i = 0; i < 3; ++i) clients[i] = rig_client(rig, &conns[i]);
  wsb_message *message = wsb_message_create(WSB_BINARY, data, 2 << 20);
  for (size_t i = 0; i < 3; ++i) assert_int_equal(wsb_send_message(rig->server, conns[i], message), WSB_OK);
  wsb_message_release(message);
  for (size_t i = 0; i < 3; ++i) {
    const Frame frame = expect_frame(clients[i], OP_BINARY);
    assert_int_equal(frame.length, 2 << 20);
    assert_true(memcmp(frame.data, data, frame.length) == 0);
    client_free(clients[i]);
  }
  free(data);
  rig_finish(rig);
}

/* Policy refuse: FULL queues nothing, one on_drain comes when half is free. */
static void full_then_drain(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 65536;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  size_t sent = rig_jam(rig, conn, 4000);
  const int64_t buffered = wsb_buffered_amount(rig->server, conn);
  assert_in_range(buffered, 65536 - 4096, 65536);
  const size_t drains = rig_count(rig, WSB_EVENT_DRAIN); /* from filling the kernel's buffers */
  uint8_t data[4000] = {0};
  for (int i = 0; i < 3; ++i)
    expect_error(wsb_send(rig->server, conn, WSB_BINARY, data, sizeof data), WSB_E_FULL, NULL);
  assert_int_equal(wsb_buffered_amount(rig->server, conn), buffered);
  pause_ms(LULL_MS);
  assert_int_equal(rig_count(rig, WSB_EVENT_DRAIN), drains);
  for (; sent > 0; --sent) assert_int_equal(expect_frame(client, OP_BINARY).length, 4000);
  const Record *drain = rig_expect(rig, WSB_EVENT_DRAIN, drains);
  assert_int_equal(drain->conn, conn);
  assert_true(drain->as.drain.buffered_bytes <= 32768);
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, "on", 2), WSB_OK);
  expect_text(client, "on");
  pause_ms(LULL_MS);
  assert_int_equal(rig_count(rig, WSB_EVENT_DRAIN), drains + 1);
  assert_int_equal(wsb_buffered_amount(rig->server, conn), 0);
  client_free(client);
  rig_finish(rig);
}

static void never_fits(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 1024;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  uint8_t data[2000] = {0};
  expect_error(wsb_send(rig->server, conn, WSB_BINARY, data, 1025), WSB_E_TOO_BIG, NULL);
  wsb_message *message = wsb_message_create(WSB_BINARY, data, sizeof data);
  assert_int_equal(wsb_send_message(rig->server, conn, message), WSB_E_TOO_BIG);
  wsb_message_release(message);
  assert_int_equal(wsb_send(rig->server, conn, WSB_BINARY, data, 1000), WSB_OK);
  assert_int_equal(expect_frame(client, OP_BINARY).length, 1000);
  assert_int_equal(rig_count(rig, WSB_EVENT_DRAIN), 0);
  client_free(client);
  rig_finish(rig);
}

static void slow_consumer_is_closed(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 65536;
  rig->config.slow_consumer = WSB_SLOW_CLOSE;
  rig->config.close_timeout_ms = 300;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  uint8_t data[4000] = {0};
  int result = WSB_OK;
  for (size_t i = 0; i < 100000 && result == WSB_OK; ++i)
    result = wsb_send(rig->server, conn, WSB_BINARY, data, sizeof data);
  assert_int_equal(result, WSB_E_CLOSED);
  const Record *closed = rig_expect_close(rig, conn);
  assert_int_equal(closed->as.close.cause, WSB_CAUSE_SLOW_CONSUMER);
  assert_int_equal(closed->as.close.initiator, WSB_INITIATOR_LOCAL);
  assert_int_equal(closed->as.close.code, 1006);
  assert_int_equal(closed->as.close.clean, 0);
  client_free(client);
  rig_finish(rig);
}

/* The number that a test message carries. */
static uint32_t number_of(Frame frame) {
  uint32_t number = 0;
  memcpy(&number, frame.data, sizeof number);
  return number;
}

static bool fits_the_queue(void *argument) {
  Rig *rig = argument;
  return wsb_buffered_amount(rig->server, *(wsb_conn *)rig->context) <=
         65536 + 4096; /* one message may be half on the wire */
}

static void oldest_are_dropped(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 65536;
  rig->config.slow_consumer = WSB_SLOW_DROP_OLDEST;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  enum { COUNT = 4000 };
  uint8_t data[4000] = {0};
  for (uint32_t i = 0; i < COUNT; ++i) {
    memcpy(data, &i, sizeof i);
    assert_int_equal(wsb_send(rig->server, conn, WSB_BINARY, data, sizeof data), WSB_OK);
  }
  rig->context = &conn;
  assert_true(wait_until(fits_the_queue, rig, PATIENCE_MS)); /* once the worker has what was on its way */
  uint32_t received = 0;
  uint32_t last = 0;
  for (; last != COUNT - 1; ++received) { /* whole messages, in order, the newest never dropped */
    const Frame frame = expect_frame(client, OP_BINARY);
    assert_int_equal(frame.length, sizeof data);
    assert_true(received == 0 || number_of(frame) > last);
    last = number_of(frame);
  }
  assert_true(received < COUNT);
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  assert_int_equal(metrics.messages_dropped, COUNT - received);
  assert_int_equal(rig_count(rig, WSB_EVENT_CLOSE), 0);
  client_free(client);
  rig_finish(rig);
}

static void pings(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = WSB_OFF;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  uint8_t payload[126];
  memset(payload, 'p', sizeof payload);
  assert_int_equal(wsb_ping(rig->server, conn, payload, 126), WSB_E_INVALID);
  assert_int_equal(wsb_ping(rig->server, conn, NULL, 1), WSB_E_INVALID);
  assert_int_equal(wsb_ping(rig->server, conn, payload, 125), WSB_OK);
  assert_int_equal(wsb_ping(rig->server, conn, NULL, 0), WSB_OK);
  assert_int_equal(expect_frame(client, OP_PING).length, 125);
  assert_int_equal(expect_frame(client, OP_PING).length, 0);
  client_free(client);
  rig_finish(rig);
}

/* Pings pass queued messages, but never inside a message, and their own queue is bounded. */
static void pings_go_ahead(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = WSB_OFF;
  rig->config.max_queue_bytes = 1 << 20;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  const size_t sent = rig_jam(rig, conn, 4000);
  uint8_t payload[125] = {0};
  size_t pings = 0;
  int result = WSB_OK;
  for (; pings < 1000 && (result = wsb_ping(rig->server, conn, payload, sizeof payload)) == WSB_OK; ++pings) {
  }
  assert_int_equal(result, WSB_E_FULL); /* 64 KiB of control frames wait */
  assert_in_range(pings, 65536 / 127 - 2, 65536 / 125 + 2);
  size_t before = 0;
  Frame frame = {0};
  for (; client_read(client, &frame, PATIENCE_MS) && frame.opcode == OP_BINARY; ++before)
    assert_int_equal(frame.length, 4000);
  assert_int_equal(frame.opcode, OP_PING);
  assert_true(before < sent - 200); /* of about 260 messages that waited in the queue */
  for (size_t i = 1; i < pings; ++i) expect_frame(client, OP_PING);
  for (; before < sent; ++before) expect_frame(client, OP_BINARY);
  client_free(client);
  rig_finish(rig);
}

/* From a callback: several answers to one message, in order, and to another connection. */
static void answer_thrice(Rig *rig, const Record *record) {
  if (record->type != WSB_EVENT_MESSAGE) return;
  int failures = 0;
  failures += wsb_send(rig->server, record->conn, WSB_TEXT, "one", 3) != WSB_OK;
  failures +=
      wsb_send(rig->server, record->conn, WSB_BINARY, record->as.message.data, record->as.message.length) != WSB_OK;
  failures += wsb_send(rig->server, *(wsb_conn *)rig->context, WSB_TEXT, "other", 5) != WSB_OK;
  failures += wsb_send(rig->server, record->conn, WSB_TEXT, "\xff", 1) != WSB_E_INVALID;
  failures += wsb_buffered_amount(rig->server, record->conn) <= 0;
  if (failures > 0) wsb_abort(rig->server, record->conn);
}

static void from_callbacks(void **state) {
  Rig *rig = *state;
  wsb_conn other = 0;
  rig->context = &other;
  rig->on_record = answer_thrice;
  for (uint32_t workers = 1; workers <= 4; workers += 3) {
    rig->config.workers = workers;
    rig_start(rig);
    Client *listener = rig_client(rig, &other);
    Client *client = rig_client(rig, NULL);
    for (int i = 0; i < 50; ++i) {
      assert_true(client_send_text(client, "go"));
      expect_text(client, "one");
      assert_memory_equal(expect_frame(client, OP_BINARY).data, "go", 2);
      expect_text(listener, "other");
    }
    client_free(client);
    client_free(listener);
    rig_finish(rig);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(kinds),
      RIG_TEST(sizes),
      RIG_TEST(wrong_arguments),
      RIG_TEST(no_such_connection),
      RIG_TEST(shared_messages),
      RIG_TEST(shared_message_large),
      RIG_TEST(full_then_drain),
      RIG_TEST(never_fits),
      RIG_TEST(slow_consumer_is_closed),
      RIG_TEST(oldest_are_dropped),
      RIG_TEST(pings),
      RIG_TEST(pings_go_ahead),
      RIG_TEST(from_callbacks),
  };
  return cmocka_run_group_tests_name("send", tests, NULL, NULL);
}
