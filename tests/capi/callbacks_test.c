/* Every connection callback with exact data, in order, and on the right thread. Request callbacks are in request_test.c. */
#include "support.h"

static void open_and_close_data(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/room?x=1", NULL, 0);
  assert_true(conn != 0);
  assert_true(client_send_close(client, 3001, "see you, \xc3\xa9"));
  expect_close(client, 3001, "");
  expect_end(client);
  const Record *closed = rig_expect_close(rig, conn);
  assert_int_equal(closed->as.close.conn, conn);
  assert_int_equal(closed->as.close.code, 3001);
  assert_int_equal(closed->as.close.code_sent, 3001);
  assert_string_equal(closed->as.close.reason, "see you, \xc3\xa9");
  assert_int_equal(closed->as.close.reason_length, 11);
  assert_int_equal(closed->as.close.clean, 1);
  assert_int_equal(closed->as.close.initiator, WSB_INITIATOR_REMOTE);
  assert_int_equal(closed->as.close.cause, WSB_CAUSE_PEER_CLOSE);
  assert_null(closed->conn_user);
  client_free(client);
  rig_finish(rig);
}

static void messages(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  const uint8_t bytes[] = {0, 0xff, 0x80, 0};
  assert_true(client_send_text(client, "gr\xc3\xbc\xc3\x9f"));
  assert_true(client_send(client, OP_BINARY, bytes, sizeof bytes));
  assert_true(client_send_text(client, ""));
  assert_true(client_send(client, OP_BINARY, NULL, 0));
  assert_true(client_send(client, OP_TEXT | MORE_FRAGMENTS, "fr", 2));
  assert_true(client_send(client, OP_PING, "between", 7));
  assert_true(client_send(client, OP_CONTINUATION | MORE_FRAGMENTS, "", 0));
  assert_true(client_send(client, OP_CONTINUATION, "ag", 2));
  assert_memory_equal(expect_frame(client, OP_PONG).data, "between", 7);
  rig_expect(rig, WSB_EVENT_MESSAGE, 4);
  static const struct {
    uint32_t kind;
    size_t length;
    const char *data;
  } expected[] = {{WSB_TEXT, 6, "gr\xc3\xbc\xc3\x9f"},
                  {WSB_BINARY, 4, "\0\xff\x80\0"},
                  {WSB_TEXT, 0, ""},
                  {WSB_BINARY, 0, ""},
                  {WSB_TEXT, 4, "frag"}};
  for (size_t i = 0; i < 5; ++i) {
    const wsb_message_event *message = &rig_expect(rig, WSB_EVENT_MESSAGE, i)->as.message;
    assert_int_equal(message->conn, conn);
    assert_int_equal(message->kind, expected[i].kind);
    assert_int_equal(message->length, expected[i].length);
    assert_non_null(message->data);
    assert_memory_equal(message->data, expected[i].data, expected[i].length);
  }
  client_free(client);
  rig_finish(rig);
}

/* Sizes around every boundary of the frame header and of a read. */
static void message_sizes(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  static const size_t sizes[] = {1, 125, 126, 127, 4095, 4096, 16384, 65535, 65536, 65537, 300000, 1 << 20};
  enum { COUNT = sizeof sizes / sizeof sizes[0] };
  uint8_t *data = malloc(1 << 20);
  assert_non_null(data);
  for (size_t i = 0; i < 1 << 20; ++i) data[i] = (uint8_t)(i * 31 + i / 256);
  for (size_t i = 0; i < COUNT; ++i) assert_true(client_send(client, OP_BINARY, data, sizes[i]));
  for (size_t i = 0; i < COUNT; ++i) {
    const Record *record = rig_expect(rig, WSB_EVENT_MESSAGE, i);
    assert_int_equal(record->as.message.length, sizes[i]);
    assert_memory_equal(record->as.message.data, data, sizes[i]);
  }
  free(data);
  client_free(client);
  rig_finish(rig);
}

static void bytes_one_by_one(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  uint8_t stream[64];
  size_t length = build_frame(stream, OP_TEXT, "slow\xe2\x82\xac", 7);
  length += build_frame(stream + length, OP_BINARY, "x", 1);
  for (size_t i = 0; i < length; ++i) {
    assert_true(client_send_bytes(client, stream + i, 1));
    if (i % 4 == 0) pause_ms(1);
  }
  assert_memory_equal(rig_expect(rig, WSB_EVENT_MESSAGE, 0)->as.message.data, "slow\xe2\x82\xac", 7);
  assert_memory_equal(rig_expect(rig, WSB_EVENT_MESSAGE, 1)->as.message.data, "x", 1);
  client_free(client);
  rig_finish(rig);
}

static void too_big(void **state) {
  Rig *rig = *state;
  rig->config.max_message_bytes = 100;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  uint8_t data[101] = {0};
  assert_true(client_send(client, OP_BINARY, data, 100));
  assert_true(client_send(client, OP_BINARY, data, 101));
  const Frame frame = expect_frame(client, OP_CLOSE);
  assert_int_equal(frame.data[0] << 8 | frame.data[1], 1009);
  expect_end(client);
  const Record *closed = rig_expect_close(rig, conn);
  assert_int_equal(closed->as.close.cause, WSB_CAUSE_MESSAGE_TOO_BIG);
  assert_int_equal(closed->as.close.code_sent, 1009);
  assert_int_equal(closed->as.close.initiator, WSB_INITIATOR_LOCAL);
  assert_int_equal(rig_count(rig, WSB_EVENT_MESSAGE), 1);
  client_free(client);
  rig_finish(rig);
}

/* What a peer may not do: the code that it gets and the cause that on_close tells. */
static void violations(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  static const struct {
    const char *bytes;
    size_t length;
    uint32_t code;
    uint32_t cause;
  } wrong[] = {
      {"\x81\x01x", 3, 1002, WSB_CAUSE_PROTOCOL_ERROR},                  /* not masked */
      {"\xc1\x80\0\0\0\0", 6, 1002, WSB_CAUSE_PROTOCOL_ERROR},           /* a reserved bit */
      {"\x83\x80\0\0\0\0", 6, 1002, WSB_CAUSE_PROTOCOL_ERROR},           /* a reserved opcode */
      {"\x80\x80\0\0\0\0", 6, 1002, WSB_CAUSE_PROTOCOL_ERROR},           /* nothing to continue */
      {"\x09\x80\0\0\0\0", 6, 1002, WSB_CAUSE_PROTOCOL_ERROR},           /* a fragmented ping */
      {"\x88\x82\0\0\0\0\x03\xed", 8, 1002, WSB_CAUSE_PROTOCOL_ERROR},   /* Close with 1005 */
      {"\x88\x81\0\0\0\0\x03", 7, 1002, WSB_CAUSE_PROTOCOL_ERROR},       /* Close with half a code */
      {"\x81\x81\0\0\0\0\xff", 7, 1007, WSB_CAUSE_INVALID_TEXT},         /* not UTF-8 */
      {"\x88\x83\0\0\0\0\x03\xe8\xff", 9, 1007, WSB_CAUSE_INVALID_TEXT}, /* a reason that is not UTF-8 */
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    wsb_conn conn;
    Client *client = rig_client(rig, &conn);
    assert_true(client_send_bytes(client, wrong[i].bytes, wrong[i].length));
    const Frame frame = expect_frame(client, OP_CLOSE);
    if (frame.length < 2) fail_msg("case %zu: a Close without a code", i);
    const uint32_t code = (uint32_t)frame.data[0] << 8 | frame.data[1];
    if (code != wrong[i].code) fail_msg("case %zu: code %u", i, code);
    expect_end(client);
    const Record *closed = rig_expect_close(rig, conn);
    if (closed->as.close.cause != wrong[i].cause) fail_msg("case %zu: %s", i, wsb_cause_name(closed->as.close.cause));
    assert_int_equal(closed->as.close.code_sent, wrong[i].code);
    assert_int_equal(closed->as.close.initiator, WSB_INITIATOR_LOCAL);
    client_free(client);
  }
  rig_finish(rig);
}

static void fragments(void **state) {
  Rig *rig = *state;
  rig_stream(rig);
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  uint8_t *data = malloc(200000);
  assert_non_null(data);
  for (size_t i = 0; i < 200000; ++i) data[i] = (uint8_t)(i % 251);
  assert_true(client_send(client, OP_BINARY | MORE_FRAGMENTS, data, 150000));
  assert_true(client_send(client, OP_CONTINUATION, data + 150000, 50000));
  assert_true(client_send_text(client, "t"));
  assert_true(client_send_text(client, ""));
  uint64_t offset = 0;
  size_t index = 0;
  for (bool final = false; !final; ++index) {
    const wsb_fragment_event *piece = &rig_expect(rig, RECORD_FRAGMENT, index)->as.fragment;
    assert_int_equal(piece->conn, conn);
    assert_int_equal(piece->kind, WSB_BINARY);
    assert_int_equal(piece->offset, offset);
    assert_true(offset + piece->length <= 200000);
    assert_memory_equal(piece->data, data + offset, piece->length);
    offset += piece->length;
    final = piece->final != 0;
  }
  assert_int_equal(offset, 200000);
  assert_true(index > 1);
  static const uint64_t texts[] = {1, 0}; /* "t", then "" */
  for (size_t i = 0; i < 2; ++i) {
    uint64_t length = 0;
    for (bool final = false; !final; ++index) {
      const wsb_fragment_event *piece = &rig_expect(rig, RECORD_FRAGMENT, index)->as.fragment;
      assert_int_equal(piece->kind, WSB_TEXT);
      length += piece->length;
      final = piece->final != 0;
    }
    assert_int_equal(length, texts[i]);
  }
  free(data);
  client_free(client);
  rig_finish(rig);
}

static void pongs(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = WSB_OFF;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_ping(rig->server, conn, "mine", 4), WSB_OK);
  const Frame ping = expect_frame(client, OP_PING);
  assert_int_equal(ping.length, 4);
  assert_memory_equal(ping.data, "mine", 4);
  pause_ms(20);
  assert_true(client_send(client, OP_PONG, "mine", 4));
  assert_true(client_send(client, OP_PONG, "nobody asked", 12));
  const Record *answer = rig_expect(rig, WSB_EVENT_PONG, 0);
  assert_int_equal(answer->conn, conn);
  assert_int_equal(answer->as.pong.length, 4);
  assert_memory_equal(answer->as.pong.data, "mine", 4);
  assert_int_equal(answer->as.pong.heartbeat, 0);
  assert_in_range(answer->as.pong.rtt_us, 15000, PATIENCE_MS * 1000);
  const Record *unsolicited = rig_expect(rig, WSB_EVENT_PONG, 1);
  assert_memory_equal(unsolicited->as.pong.data, "nobody asked", 12);
  assert_int_equal(unsolicited->as.pong.rtt_us, 0);
  assert_int_equal(unsolicited->as.pong.heartbeat, 0);
  client_free(client);
  rig_finish(rig);
}

static void heartbeat_pong(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = 300;
  rig->config.heartbeat_timeout_ms = 299;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  for (size_t i = 0; i < 3; ++i) {
    const Frame ping = expect_frame(client, OP_PING);
    assert_int_equal(ping.length, 8);
    uint8_t payload[8];
    memcpy(payload, ping.data, sizeof payload);
    assert_true(client_send(client, OP_PONG, payload, sizeof payload));
    const Record *record = rig_expect(rig, WSB_EVENT_PONG, i);
    assert_int_equal(record->as.pong.heartbeat, 1);
    assert_true(record->as.pong.rtt_us > 0);
    assert_memory_equal(record->as.pong.data, payload, sizeof payload);
  }
  client_free(client);
  rig_finish(rig);
}

static void heartbeat_timeout(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = 100;
  rig->config.heartbeat_timeout_ms = 50;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn); /* mute */
  const Record *closed = rig_expect_close(rig, conn);
  assert_int_equal(closed->as.close.cause, WSB_CAUSE_HEARTBEAT_TIMEOUT);
  assert_int_equal(closed->as.close.code, 1006);
  assert_int_equal(closed->as.close.clean, 0);
  expect_frame(client, OP_PING);
  expect_close(client, 1011, "heartbeat timeout");
  expect_end(client);
  client_free(client);
  rig_finish(rig);
}

static void same_thread(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_true(client_send_text(client, "x"));
  assert_true(client_send(client, OP_PONG, NULL, 0));
  rig_expect(rig, WSB_EVENT_PONG, 0);
  client_free(client);
  const Record *closed = rig_expect_close(rig, conn);
  const pthread_t worker = rig_expect(rig, WSB_EVENT_OPEN, 0)->thread;
  assert_false(pthread_equal(worker, pthread_self()));
  assert_true(pthread_equal(worker, closed->thread));
  assert_true(pthread_equal(worker, rig_expect(rig, WSB_EVENT_MESSAGE, 0)->thread));
  assert_true(pthread_equal(worker, rig_expect(rig, WSB_EVENT_PONG, 0)->thread));
  rig_finish(rig);
}

static void ids_are_never_reused(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  wsb_conn ids[40];
  for (size_t i = 0; i < 40; ++i) {
    client_free(rig_client(rig, &ids[i]));
    rig_expect_close(rig, ids[i]);
    for (size_t k = 0; k < i; ++k) assert_true(ids[k] != ids[i]);
  }
  assert_int_equal(wsb_send(rig->server, ids[0], WSB_TEXT, "x", 1), WSB_E_CLOSED);
  rig_finish(rig);
}

static void log_lines(void **state) {
  Rig *rig = *state;
  rig->config.log_level = WSB_LOG_DEBUG;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  client_free(client);
  rig_expect_close(rig, conn);
  rig_finish(rig);
  const size_t lines = rig_count(rig, WSB_EVENT_LOG);
  assert_true(lines > 0);
  for (size_t i = 0; i < lines; ++i) {
    const wsb_log_event *line = &rig_expect(rig, WSB_EVENT_LOG, i)->as.log;
    assert_in_range(line->level, WSB_LOG_ERROR, WSB_LOG_DEBUG);
    assert_true(strlen(line->text) > 0);
    assert_null(strpbrk(line->text, "\r\n"));
  }
}

static void log_level_holds(void **state) {
  Rig *rig = *state;
  rig->config.log_level = WSB_LOG_ERROR;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  assert_true(client_send_bytes(client, "\xff\xff", 2));
  expect_end(client);
  client_free(client);
  rig_finish(rig);
  const size_t lines = rig_count(rig, WSB_EVENT_LOG);
  for (size_t i = 0; i < lines; ++i) assert_int_equal(rig_expect(rig, WSB_EVENT_LOG, i)->as.log.level, WSB_LOG_ERROR);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(open_and_close_data), RIG_TEST(messages),        RIG_TEST(message_sizes),
      RIG_TEST(bytes_one_by_one),    RIG_TEST(too_big),         RIG_TEST(violations),
      RIG_TEST(fragments),           RIG_TEST(pongs),           RIG_TEST(heartbeat_pong),
      RIG_TEST(heartbeat_timeout),   RIG_TEST(same_thread),     RIG_TEST(ids_are_never_reused),
      RIG_TEST(log_lines),           RIG_TEST(log_level_holds),
  };
  return cmocka_run_group_tests_name("callbacks", tests, NULL, NULL);
}
