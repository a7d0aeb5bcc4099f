/* The backplane's interface, with one made here: which calls the server makes, and what it believes. */
#include <stdatomic.h>

#include "support_bus.h"

static void start_on(Rig *rig, Bus *bus) {
  rig_create(rig);
  const wsb_backplane backplane = bus_backplane(bus);
  assert_int_equal(wsb_server_set_backplane(rig->server, &backplane), WSB_OK);
  rig_start(rig);
  assert_int_equal(bus->opened, 1);
}

static wsb_publish_result publish(Rig *rig, const char *topic, const char *text, uint32_t flags) {
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  options.flags = flags;
  wsb_publish_result result;
  wsb_publish_result_init(&result);
  assert_int_equal(wsb_publish(rig->server, topic, strlen(topic), WSB_TEXT, text, strlen(text), &options, &result),
                   WSB_OK);
  return result;
}

static void deliver(Bus *bus, const char *topic, uint32_t kind, const char *text, uint32_t flags) {
  const wsb_backplane_message message = {.size = sizeof message,
                                         .topic = topic,
                                         .topic_length = strlen(topic),
                                         .data = text,
                                         .length = strlen(text),
                                         .kind = kind,
                                         .flags = flags};
  bus->host->deliver(bus->host->server, &message);
}

static void wrong_arguments(void **state) {
  Rig *rig = *state;
  rig_create(rig);
  Bus bus;
  const wsb_backplane good = bus_backplane(&bus);
  expect_error(wsb_server_set_backplane(NULL, &good), WSB_E_INVALID, "server");
  expect_error(wsb_server_set_backplane(rig->server, NULL), WSB_E_INVALID, "backplane");
  wsb_backplane bad = good;
  bad.size = 0;
  expect_error(wsb_server_set_backplane(rig->server, &bad), WSB_E_INVALID, "size");
  bad = good;
  bad.publish = NULL;
  expect_error(wsb_server_set_backplane(rig->server, &bad), WSB_E_INVALID, "NULL");
  assert_int_equal(wsb_server_set_backplane(rig->server, &good), WSB_OK);
  expect_error(wsb_server_set_backplane(rig->server, &good), WSB_E_STATE, "has a backplane");
  rig_start(rig);
  expect_error(wsb_server_set_backplane(rig->server, &good), WSB_E_STATE, "started");
  rig_finish(rig);
  assert_int_equal(bus.closed, 1);
}

static void closed_without_a_start(void **state) {
  Rig *rig = *state;
  rig_create(rig);
  Bus bus;
  const wsb_backplane backplane = bus_backplane(&bus);
  assert_int_equal(wsb_server_set_backplane(rig->server, &backplane), WSB_OK);
  bus.answer = WSB_E_SYSTEM;
  expect_error(wsb_server_start(rig->server), WSB_E_SYSTEM, "backplane");
  assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
  rig->server = NULL;
  assert_int_equal(bus.opened, 1);
  assert_int_equal(bus.closed, 1);
}

/* The first subscriber of a pattern on any worker, and the last. */
static void only_what_is_wanted(void **state) {
  Rig *rig = *state;
  Bus bus;
  rig->config.workers = 4;
  start_on(rig, &bus);
  enum { COUNT = 12 };
  wsb_conn conns[COUNT];
  Client *clients[COUNT];
  for (size_t i = 0; i < COUNT; ++i) {
    clients[i] = rig_client(rig, &conns[i]);
    assert_int_equal(wsb_subscribe(rig->server, conns[i], "a.*", 3), WSB_OK);
  }
  bus_expect_calls(&bus, "+a.* ");
  assert_int_equal(wsb_subscribe(rig->server, conns[0], "b", 1), WSB_OK);
  bus_expect_calls(&bus, "+b ");
  for (size_t i = 0; i < COUNT / 2; ++i) assert_int_equal(wsb_unsubscribe(rig->server, conns[i], "a.*", 3), WSB_OK);
  assert_int_equal(wsb_unsubscribe(rig->server, conns[0], "b", 1), WSB_OK);
  bus_expect_calls(&bus, "-b ");
  for (size_t i = 0; i < COUNT; ++i) client_free(clients[i]);
  for (size_t i = 0; i < COUNT; ++i) rig_expect_close(rig, conns[i]);
  rig_finish(rig);
  bus_expect_calls(&bus, "-a.* ");
  assert_int_equal(bus.closed, 1);
}

static void what_crosses(void **state) {
  Rig *rig = *state;
  Bus bus;
  start_on(rig, &bus);
  assert_int_equal(publish(rig, "x.1", "one", 0).backplane, WSB_OK);
  assert_int_equal(publish(rig, "x.2", "two", WSB_PUBLISH_RETAIN).backplane, WSB_OK);
  assert_int_equal(publish(rig, "x.3", "three", WSB_PUBLISH_LOCAL).backplane, WSB_OK);
  bus_expect_calls(&bus, "x.1=one x.2=retain:two ");
  bus.answer = WSB_E_FULL;
  assert_int_equal(publish(rig, "x.1", "four", 0).backplane, WSB_E_FULL);
  bus.state = WSB_BACKPLANE_DOWN;
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  assert_int_equal(metrics.backplane_state, WSB_BACKPLANE_DOWN);
  assert_int_equal(metrics.backplane_published, 2);
  assert_int_equal(metrics.backplane_refused, 1);
  rig_finish(rig);
}

static void what_comes(void **state) {
  Rig *rig = *state;
  Bus bus;
  rig->config.workers = 2;
  start_on(rig, &bus);
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(wsb_subscribe(rig->server, conn, ">", 1), WSB_OK);
  bus_expect_calls(&bus, "+> ");
  deliver(&bus, "a.*", WSB_TEXT, "to a pattern", 0);
  deliver(&bus, "a..b", WSB_TEXT, "malformed", 0);
  deliver(&bus, "a", WSB_TEXT, "\xff", 0);
  deliver(&bus, "a", 7, "kind", 0);
  deliver(&bus, "a", WSB_TEXT, "good", WSB_PUBLISH_RETAIN);
  deliver(&bus, "a", WSB_BINARY, "\xff", 0);
  expect_text(client, "good");
  assert_int_equal(expect_frame(client, OP_BINARY).length, 1);
  bus_expect_calls(&bus, ""); /* it does not go back */
  wsb_conn later;
  Client *second = rig_client(rig, &later);
  assert_int_equal(wsb_subscribe(rig->server, later, "a", 1), WSB_OK);
  expect_text(second, "good"); /* retained here too */
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  assert_int_equal(metrics.backplane_received, 6);
  assert_int_equal(metrics.published, 0);
  assert_int_equal(metrics.publish_reached, 2);
  client_free(client);
  client_free(second);
  rig_finish(rig);
}

static void changes_are_logged(void **state) {
  Rig *rig = *state;
  Bus bus;
  start_on(rig, &bus);
  const size_t before = rig_count(rig, WSB_EVENT_LOG);
  bus.host->changed(bus.host->server, WSB_BACKPLANE_DOWN, "gone");
  const Record *record = rig_expect(rig, WSB_EVENT_LOG, before);
  assert_int_equal(record->as.log.level, WSB_LOG_WARNING);
  assert_string_equal(record->as.log.text, "backplane: gone");
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {RIG_TEST(wrong_arguments),     RIG_TEST(closed_without_a_start),
                                     RIG_TEST(only_what_is_wanted), RIG_TEST(what_crosses),
                                     RIG_TEST(what_comes),          RIG_TEST(changes_are_logged)};
  return cmocka_run_group_tests_name("backplane", tests, NULL, NULL);
}
