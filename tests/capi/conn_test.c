/* One connection's switches and figures: pause, heartbeat, user pointer, info, strings, time limits; and for_each over all. */
#include "support.h"

static void pause_and_resume(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_true(client_send_text(client, "before"));
  rig_expect(rig, WSB_EVENT_MESSAGE, 0);
  assert_int_equal(wsb_conn_pause(rig->server, conn), WSB_OK);
  assert_int_equal(wsb_conn_pause(rig->server, conn), WSB_OK);
  pause_ms(LULL_MS); /* "from another thread soon after" */
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  assert_int_equal(wsb_conn_get_info(rig->server, conn, &info), WSB_OK);
  assert_int_equal(info.paused, 1);
  assert_true(client_send_text(client, "during"));
  assert_true(client_send(client, OP_PING, "p", 1));
  pause_ms(LULL_MS);
  assert_int_equal(rig_count(rig, WSB_EVENT_MESSAGE), 1);
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, "out", 3), WSB_OK); /* sending goes on */
  expect_text(client, "out");
  assert_int_equal(wsb_conn_resume(rig->server, conn), WSB_OK);
  assert_memory_equal(rig_expect(rig, WSB_EVENT_MESSAGE, 1)->as.message.data, "during", 6);
  expect_frame(client, OP_PONG);
  assert_int_equal(wsb_conn_get_info(rig->server, conn, &info), WSB_OK);
  assert_int_equal(info.paused, 0);
  client_free(client);
  rig_finish(rig);
}

static void pause_on_message(Rig *rig, const Record *record) {
  if (record->type == WSB_EVENT_MESSAGE && wsb_conn_pause(rig->server, record->conn) != WSB_OK) abort();
}

/* No further message after pause returns, even from the same read. */
static void pause_in_callback(void **state) {
  Rig *rig = *state;
  rig->on_record = pause_on_message;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  uint8_t stream[256];
  size_t length = 0;
  for (int i = 0; i < 5; ++i) length += build_frame(stream + length, OP_TEXT, &"01234"[i], 1);
  assert_true(client_send_bytes(client, stream, length));
  for (size_t i = 0; i < 5; ++i) {
    const Record *record = rig_expect(rig, WSB_EVENT_MESSAGE, i);
    assert_int_equal(record->as.message.data[0], '0' + i);
    pause_ms(LULL_MS / 3);
    assert_int_equal(rig_count(rig, WSB_EVENT_MESSAGE), i + 1);
    assert_int_equal(wsb_conn_resume(rig->server, conn), WSB_OK);
  }
  client_free(client);
  rig_finish(rig);
}

/* A paused peer may be silent for long: its deadline does not run. Its end is seen after the resume. */
static void paused_peer_lives(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = 100;
  rig->config.heartbeat_timeout_ms = 50;
  rig->on_record = pause_on_message;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_true(client_send_text(client, "pause me"));
  rig_expect(rig, WSB_EVENT_MESSAGE, 0);
  assert_true(client_send_close(client, 1000, "while paused"));
  pause_ms(500);
  assert_int_equal(rig_count(rig, WSB_EVENT_CLOSE), 0);
  assert_int_equal(wsb_conn_resume(rig->server, conn), WSB_OK);
  const Record *closed = rig_expect_close(rig, conn);
  assert_int_equal(closed->as.close.cause, WSB_CAUSE_PEER_CLOSE);
  assert_string_equal(closed->as.close.reason, "while paused");
  client_free(client);
  rig_finish(rig);
}

/* The application's own close works while it paused reading: the answer is read all the same. */
static void close_while_paused(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_conn_pause(rig->server, conn), WSB_OK);
  assert_int_equal(wsb_close(rig->server, conn, 1000, NULL, 0), WSB_OK);
  expect_close(client, 1000, "");
  assert_true(client_send_close(client, 1000, ""));
  expect_end(client);
  assert_int_equal(rig_expect_close(rig, conn)->as.close.clean, 1);
  client_free(client);
  rig_finish(rig);
}

static void set_heartbeat(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = WSB_OFF;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  static const struct {
    uint32_t interval, timeout, liveness;
  } wrong[] = {{49, 0, 0}, {86400001, 0, 0}, {1000, 1000, 0}, {1000, 19, 0}, {1000, 500, 2}, {WSB_OFF - 1, 0, 0}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    expect_error(wsb_conn_set_heartbeat(rig->server, conn, wrong[i].interval, wrong[i].timeout, wrong[i].liveness),
                 WSB_E_INVALID, "heartbeat");
  }
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  assert_int_equal(wsb_conn_get_info(rig->server, conn, &info), WSB_OK);
  assert_int_equal(info.heartbeat_interval_ms, WSB_OFF);
  assert_true(info.heartbeat_due_us == 0);
  const uint64_t began = now_ms();
  assert_int_equal(wsb_conn_set_heartbeat(rig->server, conn, 300, 250, WSB_LIVENESS_PONG), WSB_OK);
  expect_frame(client, OP_PING);
  assert_in_range(now_ms() - began, 0, 2000);         /* within the new interval, and patience for a busy machine */
  assert_true(client_send(client, OP_PONG, NULL, 0)); /* not the one that was asked for */
  const Record *closed = rig_expect_close(rig, conn);
  assert_int_equal(closed->as.close.cause, WSB_CAUSE_HEARTBEAT_TIMEOUT);
  client_free(client);

  client = rig_client(rig, &conn);
  assert_int_equal(wsb_conn_set_heartbeat(rig->server, conn, 60000, 0, WSB_LIVENESS_ANY), WSB_OK);
  assert_int_equal(wsb_conn_set_heartbeat(rig->server, conn, 100, 50, WSB_LIVENESS_ANY), WSB_OK);
  assert_int_equal(wsb_conn_set_heartbeat(rig->server, conn, WSB_OFF, 0, WSB_LIVENESS_ANY), WSB_OK);
  pause_ms(400);
  assert_int_equal(rig_count(rig, WSB_EVENT_CLOSE), 1);
  client_free(client);
  rig_finish(rig);
}

static int visited_mark;

static void user_pointer(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_null(wsb_conn_user(rig->server, conn));
  assert_int_equal(wsb_conn_set_user(rig->server, conn, &visited_mark), WSB_OK);
  assert_ptr_equal(wsb_conn_user(rig->server, conn), &visited_mark);
  assert_true(client_send_text(client, "x"));
  assert_ptr_equal(rig_expect(rig, WSB_EVENT_MESSAGE, 0)->conn_user, &visited_mark);
  client_free(client);
  assert_ptr_equal(rig_expect_close(rig, conn)->conn_user, &visited_mark);
  rig_finish(rig);
}

static void info_of_a_connection(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = 400;
  rig->config.heartbeat_timeout_ms = 399;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_true(client_send(client, OP_BINARY, "12345", 5));
  rig_expect(rig, WSB_EVENT_MESSAGE, 0);
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, "abc", 3), WSB_OK);
  expect_text(client, "abc");
  const Frame ping = expect_frame(client, OP_PING);
  uint8_t payload[8];
  memcpy(payload, ping.data, sizeof payload);
  pause_ms(5);
  assert_true(client_send(client, OP_PONG, payload, sizeof payload));
  rig_expect(rig, WSB_EVENT_PONG, 0);
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  assert_int_equal(wsb_conn_get_info(rig->server, conn, &info), WSB_OK);
  assert_int_equal(info.conn, conn);
  assert_int_equal(info.state, WSB_STATE_OPEN);
  assert_int_equal(info.worker, 0);
  assert_int_equal(info.authenticated, 0);
  assert_int_equal(info.paused, 0);
  assert_int_equal(info.tls, 0);
  assert_int_equal(info.deflate, 0);
  assert_in_range(info.peer_port, 1, 65535);
  assert_int_equal(info.heartbeat_interval_ms, 400);
  assert_int_equal(info.heartbeat_timeout_ms, 399);
  assert_in_range(info.heartbeat_due_us, 0, 400000);
  assert_in_range(info.open_us, 5000, 60000000);
  assert_true(info.idle_in_us <= info.open_us);
  assert_true(info.idle_message_us <= info.open_us);
  assert_true(info.bytes_in == 11 + 14);
  assert_true(info.bytes_out >= 5 + 10);
  assert_int_equal(info.messages_in, 1);
  assert_int_equal(info.messages_out, 1);
  assert_int_equal(info.buffered_bytes, 0);
  assert_true(info.pings_sent >= 1);
  assert_int_equal(info.pongs_received, 1);
  assert_in_range(info.rtt_last_us, 4000, 399000);
  assert_int_equal(info.rtt_smoothed_us, info.rtt_last_us);
  assert_int_equal(info.rtt_min_us, info.rtt_last_us);
  assert_int_equal(wsb_conn_get_info(rig->server, conn, NULL), WSB_E_INVALID);
  assert_int_equal(wsb_close(rig->server, conn, 1000, NULL, 0), WSB_OK);
  expect_close(client, 1000, "");
  assert_int_equal(wsb_conn_get_info(rig->server, conn, &info), WSB_OK);
  assert_int_equal(info.state, WSB_STATE_CLOSING);
  client_free(client);
  rig_finish(rig);
}

static void strings(void **state) {
  Rig *rig = *state;
  rig->config.subprotocols = "v2.0";
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/some/path?and=query", "Sec-WebSocket-Protocol: v2.0\r\n", 0);
  static const struct {
    uint32_t which;
    const char *text;
  } expected[] = {{WSB_STRING_PATH, "/some/path"},
                  {WSB_STRING_QUERY, "and=query"},
                  {WSB_STRING_SUBPROTOCOL, "v2.0"},
                  {WSB_STRING_PEER, "127.0.0.1"}};
  for (size_t i = 0; i < 4; ++i) {
    const int64_t length = (int64_t)strlen(expected[i].text);
    char buffer[32];
    assert_int_equal(wsb_conn_string(rig->server, conn, expected[i].which, NULL, 0), length);
    for (size_t capacity = 0; capacity < sizeof buffer; ++capacity) {
      memset(buffer, '#', sizeof buffer);
      assert_int_equal(wsb_conn_string(rig->server, conn, expected[i].which, buffer, capacity), length);
      const size_t copied = capacity == 0 ? 0 : capacity - 1 < (size_t)length ? capacity - 1 : (size_t)length;
      assert_memory_equal(buffer, expected[i].text, copied);
      if (capacity > 0) assert_int_equal(buffer[copied], '\0');
      for (size_t k = capacity; k < sizeof buffer; ++k) assert_int_equal(buffer[k], '#');
    }
  }
  char one[1];
  assert_int_equal(wsb_conn_string(rig->server, conn, 0, one, 1), WSB_E_INVALID);
  assert_int_equal(wsb_conn_string(rig->server, conn, 5, one, 1), WSB_E_INVALID);
  assert_int_equal(wsb_conn_string(rig->server, conn, WSB_STRING_PATH, NULL, 1), WSB_E_INVALID);
  client_free(client);
  rig_finish(rig);
}

static void auth_timeout(void **state) {
  Rig *rig = *state;
  rig->config.auth_timeout_ms = 400;
  rig_start(rig);
  wsb_conn proved;
  wsb_conn anonymous;
  Client *good = rig_client(rig, &proved);
  assert_int_equal(wsb_conn_authenticate(rig->server, proved), WSB_OK);
  assert_int_equal(wsb_conn_authenticate(rig->server, proved), WSB_OK);
  const uint64_t began = now_ms();
  Client *bad = rig_client(rig, &anonymous);
  const Frame frame = expect_frame(bad, OP_CLOSE);
  assert_int_equal(frame.data[0] << 8 | frame.data[1], 1008);
  assert_in_range(now_ms() - began, 390, PATIENCE_MS);
  assert_true(client_send_close(bad, 1008, ""));
  const Record *closed = rig_expect_close(rig, anonymous);
  assert_int_equal(closed->as.close.cause, WSB_CAUSE_AUTH_TIMEOUT);
  assert_int_equal(closed->as.close.initiator, WSB_INITIATOR_LOCAL);
  assert_int_equal(closed->as.close.code_sent, 1008);
  assert_int_equal(closed->as.close.clean, 1);
  pause_ms(100);
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  assert_int_equal(wsb_conn_get_info(rig->server, proved, &info), WSB_OK);
  assert_int_equal(info.authenticated, 1);
  assert_int_equal(info.state, WSB_STATE_OPEN);
  client_free(good);
  client_free(bad);
  rig_finish(rig);
}

static void idle_timeout(void **state) {
  Rig *rig = *state;
  rig->config.idle_timeout_ms = 400;
  rig_start(rig);
  wsb_conn busy_conn;
  wsb_conn idle_conn;
  Client *busy = rig_client(rig, &busy_conn);
  Client *idle = rig_client(rig, &idle_conn);
  for (int i = 0; i < 14; ++i) { /* messages either way keep it; pings do not */
    if (i % 2 == 0) assert_true(client_send_text(busy, "x"));
    if (i % 2 == 1) assert_int_equal(wsb_send(rig->server, busy_conn, WSB_TEXT, "y", 1), WSB_OK);
    client_send(idle, OP_PING, "p", 1);
    pause_ms(60);
  }
  const Record *closed = rig_expect_close(rig, idle_conn);
  assert_int_equal(closed->as.close.cause, WSB_CAUSE_IDLE_TIMEOUT);
  assert_int_equal(closed->as.close.code_sent, 1001);
  assert_int_equal(rig_count(rig, WSB_EVENT_CLOSE), 1);
  client_free(busy);
  client_free(idle);
  rig_finish(rig);
}

static void message_timeout(void **state) {
  Rig *rig = *state;
  rig->config.message_timeout_ms = 200;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_true(client_send(client, OP_TEXT | MORE_FRAGMENTS, "never", 5));
  const Frame frame = expect_frame(client, OP_CLOSE);
  assert_int_equal(frame.data[0] << 8 | frame.data[1], 1008);
  expect_end(client);
  assert_int_equal(rig_expect_close(rig, conn)->as.close.code_sent, 1008);
  client_free(client);
  rig_finish(rig);
}

static void message_rate(void **state) {
  Rig *rig = *state;
  rig->config.max_messages_per_second = 20;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  const uint64_t began = now_ms();
  for (int i = 0; i < 35; ++i) assert_true(client_send_text(client, "x"));
  rig_expect(rig, WSB_EVENT_MESSAGE, 34);
  assert_in_range(now_ms() - began, 400, PATIENCE_MS); /* 15 beyond the first second's 20 */
  client_free(client);
  rig_finish(rig);
}

/* Counts, remembers, and stops at `limit`. */
typedef struct Visits {
  wsb_server *server;
  int64_t count;
  int64_t limit;
  wsb_conn last;
  bool abort_each;
} Visits;

static int visit(wsb_conn conn, void *user) {
  Visits *visits = user;
  visits->last = conn;
  if (visits->abort_each) wsb_abort(visits->server, conn);
  return ++visits->count == visits->limit ? 17 : 0;
}

static void for_each(void **state) {
  Rig *rig = *state;
  rig->config.workers = 3;
  rig_start(rig);
  Visits visits = {.server = rig->server};
  assert_int_equal(wsb_server_for_each(rig->server, visit, &visits), 0);
  assert_int_equal(wsb_server_for_each(rig->server, NULL, &visits), WSB_E_INVALID);
  Client *clients[7];
  for (size_t i = 0; i < 7; ++i) clients[i] = rig_client(rig, NULL);
  assert_int_equal(wsb_server_for_each(rig->server, visit, &visits), 7);
  assert_int_equal(visits.count, 7);
  visits = (Visits){.server = rig->server, .limit = 3};
  assert_int_equal(wsb_server_for_each(rig->server, visit, &visits), 3);
  assert_int_equal(visits.count, 3);
  visits = (Visits){.server = rig->server, .abort_each = true};
  assert_in_range(wsb_server_for_each(rig->server, visit, &visits), 1, 7);
  rig_expect(rig, WSB_EVENT_CLOSE, 6);
  for (size_t i = 0; i < 7; ++i) client_free(clients[i]);
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(pause_and_resume),
      RIG_TEST(pause_in_callback),
      RIG_TEST(paused_peer_lives),
      RIG_TEST(close_while_paused),
      RIG_TEST(set_heartbeat),
      RIG_TEST(user_pointer),
      RIG_TEST(info_of_a_connection),
      RIG_TEST(strings),
      RIG_TEST(auth_timeout),
      RIG_TEST(idle_timeout),
      RIG_TEST(message_timeout),
      RIG_TEST(message_rate),
      RIG_TEST(for_each),
  };
  return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
