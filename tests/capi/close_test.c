/* Closing: which codes and reasons may be sent, who closed first, and what on_close tells about it. */
#include "support.h"

static bool may_be_sent(uint32_t code) {
  return code == 0 || (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

/* Refused codes leave the connection open, so one connection serves for all of them. */
static void refused_codes(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  for (uint32_t code = 0; code <= 70000; ++code) {
    if (may_be_sent(code)) continue;
    const int result = wsb_close(rig->server, conn, code, NULL, 0);
    if (result != WSB_E_INVALID) fail_msg("code %u gave %d", code, result);
  }
  assert_int_equal(wsb_close(rig->server, conn, UINT32_MAX, NULL, 0), WSB_E_INVALID);
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, "still open", 10), WSB_OK);
  expect_text(client, "still open");
  client_free(client);
  rig_finish(rig);
}

static void accepted_codes(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  static const uint32_t codes[] = {0,    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                   1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; ++i) {
    wsb_conn conn;
    Client *client = rig_client(rig, &conn);
    assert_int_equal(wsb_close(rig->server, conn, codes[i], NULL, 0), WSB_OK);
    expect_close(client, codes[i], "");
    assert_true(client_send_close(client, 4321, "mine"));
    expect_end(client);
    const wsb_close_event *closed = &rig_expect_close(rig, conn)->as.close;
    assert_int_equal(closed->code, 4321);
    assert_string_equal(closed->reason, "mine");
    assert_int_equal(closed->code_sent, codes[i] == 0 ? 1005 : codes[i]);
    assert_int_equal(closed->clean, 1);
    assert_int_equal(closed->initiator, WSB_INITIATOR_LOCAL);
    assert_int_equal(closed->cause, WSB_CAUSE_LOCAL_CLOSE);
    client_free(client);
  }
  rig_finish(rig);
}

static void reasons(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  char reason[125];
  memset(reason, 'r', sizeof reason);
  reason[123] = '\0';
  expect_error(wsb_close(rig->server, conn, 1000, reason, 124), WSB_E_INVALID, NULL);
  assert_int_equal(wsb_close(rig->server, conn, 1000, "\xc3", 1), WSB_E_INVALID);
  assert_int_equal(wsb_close(rig->server, conn, 0, "why", 3), WSB_E_INVALID);
  assert_int_equal(wsb_close(rig->server, conn, 1000, NULL, 3), WSB_E_INVALID);
  assert_int_equal(wsb_close(rig->server, conn, 1000, reason, 123), WSB_OK);
  expect_close(client, 1000, reason);
  assert_true(client_send_close(client, 1000, reason));
  expect_end(client);
  assert_string_equal(rig_expect_close(rig, conn)->as.close.reason, reason);
  client_free(client);
  rig_finish(rig);
}

/* What the peer may send us, and the answer that it gets. */
static void peer_codes(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  static const struct {
    uint32_t received;
    uint32_t told;
    uint32_t answered;
  } cases[] = {{0, 1005, 0},       {1000, 1000, 1000}, {1001, 1001, 1001}, {1012, 1012, 1012},
               {1014, 1014, 1014}, {3000, 3000, 3000}, {4999, 4999, 4999}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    wsb_conn conn;
    Client *client = rig_client(rig, &conn);
    assert_true(client_send_close(client, cases[i].received, "bye"));
    expect_close(client, cases[i].answered, "");
    expect_end(client);
    const wsb_close_event *closed = &rig_expect_close(rig, conn)->as.close;
    assert_int_equal(closed->code, cases[i].told);
    assert_string_equal(closed->reason, cases[i].received == 0 ? "" : "bye");
    assert_int_equal(closed->code_sent, cases[i].answered == 0 ? 1005 : cases[i].answered);
    assert_int_equal(closed->clean, 1);
    assert_int_equal(closed->cause, WSB_CAUSE_PEER_CLOSE);
    client_free(client);
  }
  rig_finish(rig);
}

static void peer_vanishes(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  for (int reset = 0; reset <= 1; ++reset) {
    wsb_conn conn;
    Client *client = rig_client(rig, &conn);
    if (reset == 1) {
      client_reset(client);
    } else {
      client_free(client);
    }
    const wsb_close_event *closed = &rig_expect_close(rig, conn)->as.close;
    assert_int_equal(closed->code, 1006);
    assert_int_equal(closed->code_sent, 0);
    assert_int_equal(closed->clean, 0);
    assert_int_equal(closed->initiator, WSB_INITIATOR_NETWORK);
    assert_int_equal(closed->cause, WSB_CAUSE_NETWORK_ERROR);
    assert_string_equal(closed->reason, "");
  }
  rig_finish(rig);
}

static void queued_data_drains_first(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 262144;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  const size_t sent = rig_jam(rig, conn, 4000);
  assert_int_equal(wsb_close(rig->server, conn, 1000, "done", 4), WSB_OK);
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, "late", 4), WSB_E_CLOSED);
  for (size_t i = 0; i < sent; ++i) assert_int_equal(expect_frame(client, OP_BINARY).length, 4000);
  expect_close(client, 1000, "done");
  assert_true(client_send_close(client, 1000, ""));
  expect_end(client);
  assert_int_equal(rig_expect_close(rig, conn)->as.close.clean, 1);
  client_free(client);
  rig_finish(rig);
}

/* The peer closes while data waits for it: its code arrives, and its Close is answered at a message boundary. */
static void peer_closes_under_flood(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 262144;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  const size_t sent = rig_jam(rig, conn, 4000);
  assert_true(client_send_close(client, 4001, "enough"));
  Frame frame = {0};
  size_t received = 0;
  for (; client_read(client, &frame, PATIENCE_MS) && frame.opcode == OP_BINARY; ++received)
    assert_int_equal(frame.length, 4000);
  assert_int_equal(frame.opcode, OP_CLOSE);
  assert_true(received < sent);
  expect_end(client);
  const wsb_close_event *closed = &rig_expect_close(rig, conn)->as.close;
  assert_int_equal(closed->code, 4001);
  assert_string_equal(closed->reason, "enough");
  assert_int_equal(closed->clean, 1);
  assert_int_equal(closed->cause, WSB_CAUSE_PEER_CLOSE);
  client_free(client);
  rig_finish(rig);
}

static void twice(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_close(rig->server, conn, 1000, NULL, 0), WSB_OK);
  expect_error(wsb_close(rig->server, conn, 1001, NULL, 0), WSB_E_CLOSED, NULL);
  assert_int_equal(wsb_ping(rig->server, conn, NULL, 0), WSB_E_CLOSED);
  expect_close(client, 1000, "");
  assert_true(client_send_text(client, "late input is dropped"));
  assert_true(client_send_close(client, 1000, ""));
  expect_end(client);
  rig_expect_close(rig, conn);
  assert_int_equal(rig_count(rig, WSB_EVENT_MESSAGE), 0);
  client_free(client);
  rig_finish(rig);
}

static void aborted(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_abort(rig->server, conn), WSB_OK);
  Frame frame;
  assert_false(client_read(client, &frame, PATIENCE_MS));
  assert_true(client->ended);
  assert_true(client->reset);
  const wsb_close_event *closed = &rig_expect_close(rig, conn)->as.close;
  assert_int_equal(closed->code, 1006);
  assert_int_equal(closed->code_sent, 0);
  assert_int_equal(closed->clean, 0);
  assert_int_equal(closed->initiator, WSB_INITIATOR_LOCAL);
  assert_int_equal(closed->cause, WSB_CAUSE_LOCAL_CLOSE);
  client_free(client);
  rig_finish(rig);
}

static void abort_while_closing(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_close(rig->server, conn, 1000, NULL, 0), WSB_OK);
  expect_close(client, 1000, "");
  const uint64_t began = now_ms();
  assert_int_equal(wsb_abort(rig->server, conn), WSB_OK);
  const wsb_close_event *closed = &rig_expect_close(rig, conn)->as.close;
  assert_in_range(now_ms() - began, 0, 4000); /* close_timeout_ms is 5000 */
  assert_int_equal(closed->code, 1006);
  assert_int_equal(closed->code_sent, 1000);
  assert_int_equal(closed->clean, 0);
  assert_int_equal(closed->cause, WSB_CAUSE_LOCAL_CLOSE);
  client_free(client);
  rig_finish(rig);
}

static void unanswered(void **state) {
  Rig *rig = *state;
  rig->config.close_timeout_ms = 200;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  const uint64_t began = now_ms();
  assert_int_equal(wsb_close(rig->server, conn, 1000, NULL, 0), WSB_OK);
  const wsb_close_event *closed = &rig_expect_close(rig, conn)->as.close;
  assert_in_range(now_ms() - began, 190, 4000);
  assert_int_equal(closed->code, 1006);
  assert_int_equal(closed->code_sent, 1000);
  assert_int_equal(closed->clean, 0);
  assert_int_equal(closed->cause, WSB_CAUSE_CLOSE_TIMEOUT);
  assert_int_equal(closed->initiator, WSB_INITIATOR_LOCAL);
  expect_close(client, 1000, "");
  expect_end(client);
  client_free(client);
  rig_finish(rig);
}

/* Both Close frames cross: the peer's is the answer to ours. */
static void simultaneous(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  for (int i = 0; i < 30; ++i) {
    wsb_conn conn;
    Client *client = rig_client(rig, &conn);
    assert_true(client_send_close(client, 4000, "peer"));
    const int result = wsb_close(rig->server, conn, 4001, "us", 2);
    assert_true(result == WSB_OK || result == WSB_E_CLOSED);
    const Frame frame = expect_frame(client, OP_CLOSE);
    const uint32_t wire = (uint32_t)frame.data[0] << 8 | frame.data[1];
    expect_end(client);
    const wsb_close_event *closed = &rig_expect_close(rig, conn)->as.close;
    assert_int_equal(closed->code, 4000);
    assert_string_equal(closed->reason, "peer");
    assert_int_equal(closed->clean, 1);
    assert_int_equal(closed->code_sent, wire);
    assert_int_equal(closed->cause, wire == 4001 ? WSB_CAUSE_LOCAL_CLOSE : WSB_CAUSE_PEER_CLOSE);
    client_free(client);
  }
  rig_finish(rig);
}

/* In the callback: the text of the message says what to do with its connection. */
static void obey(Rig *rig, const Record *record) {
  if (record->type == WSB_EVENT_OPEN && strcmp(record->as.open.path, "/at-once") == 0) {
    if (wsb_close(rig->server, record->conn, 4000, "no", 2) != WSB_OK) abort();
  }
  if (record->type != WSB_EVENT_MESSAGE) return;
  const char order = (char)record->as.message.data[0];
  if (order == 'c' && wsb_close(rig->server, record->conn, 4000, "so", 2) != WSB_OK) abort();
  if (order == 'a' && wsb_abort(rig->server, record->conn) != WSB_OK) abort();
}

static void in_callbacks(void **state) {
  Rig *rig = *state;
  rig->on_record = obey;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  uint8_t stream[64]; /* both messages in one read: the second must not be delivered */
  size_t length = build_frame(stream, OP_TEXT, "close", 5);
  length += build_frame(stream + length, OP_TEXT, "nothing", 7);
  assert_true(client_send_bytes(client, stream, length));
  expect_close(client, 4000, "so");
  assert_true(client_send_close(client, 4000, ""));
  expect_end(client);
  assert_int_equal(rig_expect_close(rig, conn)->as.close.clean, 1);
  client_free(client);

  client = rig_client(rig, &conn);
  length = build_frame(stream, OP_TEXT, "abort", 5);
  length += build_frame(stream + length, OP_TEXT, "nothing", 7);
  assert_true(client_send_bytes(client, stream, length));
  expect_end(client);
  assert_int_equal(rig_expect_close(rig, conn)->as.close.code, 1006);
  assert_int_equal(rig_count(rig, WSB_EVENT_MESSAGE), 2);
  client_free(client);

  client = rig_client_with(rig, &conn, "/at-once", NULL, 0);
  expect_close(client, 4000, "no");
  assert_true(client_send_close(client, 4000, ""));
  expect_end(client);
  assert_int_equal(rig_expect_close(rig, conn)->as.close.cause, WSB_CAUSE_LOCAL_CLOSE);
  client_free(client);
  rig_finish(rig);
}

/* What a connection still tells inside its on_close. */
typedef struct LastWords {
  int info_result;
  wsb_conn_info info;
  char path[32];
  char peer[32];
  void *user;
  int send_result;
  int close_result;
} LastWords;

static void ask_in_close(Rig *rig, const Record *record) {
  static int mark;
  LastWords *words = rig->context;
  if (record->type == WSB_EVENT_OPEN) wsb_conn_set_user(rig->server, record->conn, &mark);
  if (record->type != WSB_EVENT_CLOSE) return;
  wsb_conn_info_init(&words->info);
  words->info_result = wsb_conn_get_info(rig->server, record->conn, &words->info);
  wsb_conn_string(rig->server, record->conn, WSB_STRING_PATH, words->path, sizeof words->path);
  wsb_conn_string(rig->server, record->conn, WSB_STRING_PEER, words->peer, sizeof words->peer);
  words->user = wsb_conn_user(rig->server, record->conn);
  words->send_result = wsb_send(rig->server, record->conn, WSB_TEXT, "x", 1);
  words->close_result = wsb_close(rig->server, record->conn, 1000, NULL, 0);
}

static void last_words(void **state) {
  Rig *rig = *state;
  LastWords words = {0};
  rig->context = &words;
  rig->on_record = ask_in_close;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/room", NULL, 0);
  assert_true(client_send_text(client, "12345"));
  assert_true(client_send_close(client, 1000, ""));
  expect_end(client);
  const Record *closed = rig_expect_close(rig, conn);
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK); /* the callback has returned */
  assert_int_equal(words.info_result, WSB_OK);
  assert_int_equal(words.info.conn, conn);
  assert_int_equal(words.info.state, WSB_STATE_CLOSED);
  assert_int_equal(words.info.messages_in, 1);
  assert_true(words.info.bytes_in >= 5 + 6 + 8);
  assert_string_equal(words.path, "/room");
  assert_string_equal(words.peer, "127.0.0.1");
  assert_non_null(closed->conn_user);
  assert_ptr_equal(words.user, closed->conn_user);
  assert_int_equal(words.send_result, WSB_E_CLOSED);
  assert_int_equal(words.close_result, WSB_E_CLOSED);
  rig_finish(rig);
  client_free(client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(refused_codes),
      RIG_TEST(accepted_codes),
      RIG_TEST(reasons),
      RIG_TEST(peer_codes),
      RIG_TEST(peer_vanishes),
      RIG_TEST(queued_data_drains_first),
      RIG_TEST(peer_closes_under_flood),
      RIG_TEST(twice),
      RIG_TEST(aborted),
      RIG_TEST(abort_while_closing),
      RIG_TEST(unanswered),
      RIG_TEST(simultaneous),
      RIG_TEST(in_callbacks),
      RIG_TEST(last_words),
  };
  return cmocka_run_group_tests_name("close", tests, NULL, NULL);
}
