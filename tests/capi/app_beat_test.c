/* Application beats: who gets them, what they look like on the wire, and that nothing in the interface counts them as messages. */
#include "support.h"

enum { BEAT_MS = 60 };
#define BEAT "\02660" /* U+0016, 60 ms */
static const char *const ASK_BY_SUBPROTOCOL = "Sec-WebSocket-Protocol: wsbeat.beat.v1\r\n";

static void start_with_beats(Rig *rig) {
  rig->config.heartbeat_interval_ms = WSB_OFF;
  rig->config.app_beat_ms = BEAT_MS;
  rig_start(rig);
}

static uint32_t beat_of(Rig *rig, wsb_conn conn) {
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  assert_int_equal(wsb_conn_get_info(rig->server, conn, &info), WSB_OK);
  return info.app_beat_ms;
}

static void subprotocol_of(Rig *rig, wsb_conn conn, const char *expected) {
  char text[64];
  assert_true(wsb_conn_string(rig->server, conn, WSB_STRING_SUBPROTOCOL, text, sizeof text) >= 0);
  assert_string_equal(text, expected);
}

static void asked_by_query(void **state) {
  Rig *rig = *state;
  start_with_beats(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/feed?wsbeat-beat=1", NULL, 0);
  for (int i = 0; i < 4; ++i) expect_text(client, BEAT);
  assert_int_equal(beat_of(rig, conn), BEAT_MS);
  subprotocol_of(rig, conn, "");
  client_free(client);
  rig_finish(rig);
}

static void asked_by_subprotocol(void **state) {
  Rig *rig = *state;
  rig->config.subprotocols = "v2.0,v1.5";
  start_with_beats(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", ASK_BY_SUBPROTOCOL, 0);
  assert_non_null(strstr(client->head, "\r\nSec-WebSocket-Protocol: wsbeat.beat.v1\r\n"));
  expect_text(client, BEAT);
  subprotocol_of(rig, conn, "wsbeat.beat.v1");
  client_free(client);
  client = rig_client_with(rig, &conn, "/", "Sec-WebSocket-Protocol: wsbeat.beat.v1, v1.5\r\n", 0);
  assert_non_null(strstr(client->head, "\r\nSec-WebSocket-Protocol: v1.5\r\n"));
  expect_text(client, BEAT);
  client_free(client);
  rig_finish(rig);
}

static void select_none(const wsb_handshake_event *event, void *user) {
  (void)user;
  if (strcmp(wsb_request_subprotocol(event->request), "wsbeat.beat.v1") != 0) abort();
  if (wsb_request_select_subprotocol(event->request, NULL) != WSB_OK) abort();
}

/* The application's choice stands; that the client asked stands too. */
static void application_chooses_none(void **state) {
  Rig *rig = *state;
  rig->callbacks.on_handshake = select_none;
  start_with_beats(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", ASK_BY_SUBPROTOCOL, 0);
  assert_null(strstr(client->head, "Sec-WebSocket-Protocol"));
  expect_text(client, BEAT);
  client_free(client);
  rig_finish(rig);
}

/* Those who did not ask, and with beats off those who did: nothing but what they are sent. */
static void nobody_else(void **state) {
  Rig *rig = *state;
  start_with_beats(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/?wsbeat-beat=0&beat=1", NULL, 0);
  Frame frame;
  assert_false(client_read(client, &frame, 5 * BEAT_MS));
  assert_false(client->ended);
  assert_int_equal(beat_of(rig, conn), 0);
  client_free(client);
  rig_finish(rig);
}

static void off(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = WSB_OFF;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/?wsbeat-beat=1", ASK_BY_SUBPROTOCOL, 0);
  assert_null(strstr(client->head, "Sec-WebSocket-Protocol"));
  Frame frame;
  assert_false(client_read(client, &frame, 5 * BEAT_MS));
  assert_int_equal(beat_of(rig, conn), 0);
  client_free(client);
  rig_finish(rig);
}

/* What on_open sends comes behind the beat that greets. */
static void send_at_open(Rig *rig, const Record *record) {
  if (record->type == WSB_EVENT_OPEN) wsb_send(rig->server, record->conn, WSB_TEXT, "welcome", 7);
}

static void greets_first(void **state) {
  Rig *rig = *state;
  rig->on_record = send_at_open;
  start_with_beats(rig);
  Client *client = rig_client_with(rig, NULL, "/?wsbeat-beat=1", NULL, 0);
  expect_text(client, BEAT);
  expect_text(client, "welcome");
  client_free(client);
  rig_finish(rig);
}

/* Metrics and info count messages as if there were no beats, and the idle timeout does not see them. */
static void counts(void **state) {
  Rig *rig = *state;
  rig->config.idle_timeout_ms = 20 * BEAT_MS;
  start_with_beats(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/?wsbeat-beat=1", NULL, 0);
  for (int i = 0; i < 5; ++i) expect_text(client, BEAT); /* the last may not be counted yet */
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  assert_int_equal(wsb_conn_get_info(rig->server, conn, &info), WSB_OK);
  assert_int_equal(info.messages_out, 0);
  assert_int_equal(info.buffered_bytes, 0);
  assert_true(info.bytes_out >= 4 * 5 && info.bytes_out % 5 == 0);
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  assert_int_equal(metrics.messages_out, 0);
  assert_int_equal(rig_expect_close(rig, conn)->as.close.cause, WSB_CAUSE_IDLE_TIMEOUT);
  client_free(client);
  rig_finish(rig);
}

/* A reader that has stopped: its queue fills as without beats, and when it reads again it gets whole messages in order, with beats between. */
static void slow_reader(void **state) {
  Rig *rig = *state;
  start_with_beats(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/?wsbeat-beat=1", NULL, 4096);
  const size_t size = 10000;
  const size_t sent = rig_jam(rig, conn, size);
  pause_ms(5 * BEAT_MS);
  assert_int_equal(rig_count(rig, WSB_EVENT_DRAIN), 0);
  size_t messages = 0;
  size_t beats = 0;
  while (messages < sent) {
    Frame frame;
    assert_true(client_read(client, &frame, PATIENCE_MS));
    assert_true(frame.final);
    if (frame.length == size) {
      ++messages;
    } else {
      assert_int_equal(frame.length, 3);
      assert_memory_equal(frame.data, "\02660", 3);
      ++beats;
    }
  }
  assert_true(beats >= 1); /* the one that greets */
  expect_text(client, BEAT);
  client_free(client);
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(asked_by_query),
      RIG_TEST(asked_by_subprotocol),
      RIG_TEST(application_chooses_none),
      RIG_TEST(nobody_else),
      RIG_TEST(off),
      RIG_TEST(greets_first),
      RIG_TEST(counts),
      RIG_TEST(slow_reader),
  };
  return cmocka_run_group_tests_name("app_beat", tests, NULL, NULL);
}
