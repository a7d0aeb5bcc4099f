/* wsb_send_many: order, results, and a full queue. */
#include "support.h"

/* Many at once: order, each one's result, and one refusal that holds for the rest of its connection. */
static void many(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 1 << 20;
  rig_start(rig);
  wsb_conn conns[2];
  Client *clients[2] = {rig_client(rig, &conns[0]), rig_client(rig, &conns[1])};
  wsb_message *shared = wsb_message_create(WSB_TEXT, "shared", 6);
  assert_non_null(shared);
  wsb_outgoing items[6];
  for (size_t i = 0; i < 6; ++i) {
    wsb_outgoing_init(&items[i]);
    items[i].conn = conns[i % 2];
    items[i].kind = WSB_TEXT;
    items[i].data = i < 2 ? "first" : "last";
    items[i].length = i < 2 ? 5 : 4;
  }
  items[2].message = items[3].message = shared;
  assert_int_equal(wsb_send_many(rig->server, items, 6), 6);
  for (size_t i = 0; i < 6; ++i) assert_int_equal(items[i].result, WSB_OK);
  for (size_t i = 0; i < 2; ++i) {
    expect_text(clients[i], "first");
    expect_text(clients[i], "shared");
    expect_text(clients[i], "last");
  }
  items[0].conn = 12345;
  items[1].kind = 7;
  items[2].message = items[3].message = NULL;
  items[3].data = "\xff";
  items[3].length = 1;
  items[4].data = NULL;
  assert_int_equal(wsb_send_many(rig->server, items, 6), 2);
  const int expected[] = {WSB_E_CLOSED, WSB_E_INVALID, WSB_OK, WSB_E_INVALID, WSB_E_INVALID, WSB_OK};
  for (size_t i = 0; i < 6; ++i) assert_int_equal(items[i].result, expected[i]);
  expect_text(clients[0], "last");
  expect_text(clients[1], "last");
  expect_error((int)wsb_send_many(NULL, items, 1), WSB_E_INVALID, "server");
  expect_error((int)wsb_send_many(rig->server, NULL, 1), WSB_E_INVALID, "items");
  assert_int_equal(wsb_send_many(rig->server, NULL, 0), 0);
  items[1].size = 0;
  expect_error((int)wsb_send_many(rig->server, items, 2), WSB_E_INVALID, "size");
  wsb_message_release(shared);
  client_free(clients[0]);
  client_free(clients[1]);
  rig_finish(rig);
}

/* A small message must not overtake a large one that found the queue full. */
static void many_and_full(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 65536;
  rig_start(rig);
  wsb_conn conns[2];
  Client *stuck = rig_client_with(rig, &conns[0], "/", "", 4096);
  Client *other = rig_client(rig, &conns[1]);
  rig_jam(rig, conns[0], 30000);
  static const uint8_t data[65000];
  wsb_outgoing items[3];
  for (size_t i = 0; i < 3; ++i) {
    wsb_outgoing_init(&items[i]);
    items[i].conn = conns[i == 1];
    items[i].kind = WSB_BINARY;
    items[i].data = data;
    items[i].length = i == 0 ? sizeof data : 1;
  }
  assert_int_equal(wsb_send_many(rig->server, items, 3), 1);
  assert_int_equal(items[0].result, WSB_E_FULL);
  assert_int_equal(items[1].result, WSB_OK);
  assert_int_equal(items[2].result, WSB_E_FULL);
  assert_int_equal(expect_frame(other, OP_BINARY).length, 1);
  client_free(stuck);
  client_free(other);
  rig_finish(rig);
}

/* On the worker's own thread the same rules hold. */
static void many_from_a_callback_on_record(Rig *rig, const Record *record) {
  if (record->type != WSB_EVENT_MESSAGE) return;
  static const char *const texts[] = {"a", "b", "c"};
  wsb_outgoing items[3];
  for (size_t i = 0; i < 3; ++i) {
    wsb_outgoing_init(&items[i]);
    items[i].conn = record->conn;
    items[i].kind = WSB_TEXT;
    items[i].data = texts[i];
    items[i].length = 1;
  }
  *(int64_t *)rig->context = wsb_send_many(rig->server, items, 3);
}

static void many_from_a_callback(void **state) {
  Rig *rig = *state;
  int64_t queued = 0;
  rig->context = &queued;
  rig->on_record = many_from_a_callback_on_record;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  client_send(client, OP_TEXT, "go", 2);
  expect_text(client, "a");
  expect_text(client, "b");
  expect_text(client, "c");
  client_free(client);
  rig_finish(rig);
  assert_int_equal(queued, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(many),
      RIG_TEST(many_and_full),
      RIG_TEST(many_from_a_callback),
  };
  return cmocka_run_group_tests_name("send_many", tests, NULL, NULL);
}
