/* Presence across servers: what a backplane is told, and what is believed of it. */
#include "support_bus.h"
#include "support_presence.h"

static void elsewhere(Bus *bus, const char *member, int present) {
  bus->host->presence(bus->host->server, bus->watch, member, strlen(member), present);
}

static void all_of_it_or_none(void **state) {
  Rig *rig = *state;
  rig_create(rig);
  Bus bus;
  wsb_backplane backplane = bus_with_presence(&bus);
  backplane.leave = NULL;
  expect_error(wsb_server_set_backplane(rig->server, &backplane), WSB_E_INVALID, "unwatch");
  backplane.join = NULL;
  backplane.watch = NULL;
  expect_error(wsb_server_set_backplane(rig->server, &backplane), WSB_E_INVALID, "unwatch");
  backplane.unwatch = NULL;
  assert_int_equal(wsb_server_set_backplane(rig->server, &backplane), WSB_OK);
  rig->callbacks.on_presence = presence_text;
  rig_start(rig); /* presence is local */
  wsb_conn conn;
  Client *client = rig_client(rig, &conn);
  assert_int_equal(presence_watch(rig, conn, "room"), WSB_OK);
  assert_int_equal(presence_join(rig, conn, "room", "me"), WSB_OK);
  presence_expect(rig, "room", "me,");
  client_free(client);
  rig_finish(rig);
  bus_expect_calls(&bus, "");
}

static void other_servers(void **state) {
  Rig *rig = *state;
  Bus bus;
  rig->callbacks.on_presence = presence_text;
  rig_create(rig);
  const wsb_backplane backplane = bus_with_presence(&bus);
  assert_int_equal(wsb_server_set_backplane(rig->server, &backplane), WSB_OK);
  rig_start(rig);
  wsb_conn one;
  wsb_conn two;
  Client *first = rig_client(rig, &one);
  Client *second = rig_client(rig, &two);
  assert_int_equal(presence_join(rig, one, "room", "alice"), WSB_OK);
  bus_expect_calls(&bus, "join(room,alice) ");
  assert_int_equal(presence_watch(rig, one, "room"), WSB_OK);
  assert_int_equal(presence_watch(rig, two, "room"), WSB_OK);
  bus_expect_calls(&bus, "watch(room) ");
  elsewhere(&bus, "alice", 1);
  elsewhere(&bus, "bob", 1);
  elsewhere(&bus, "bob", 1);
  elsewhere(&bus, "", 1); /* what is malformed is dropped */
  elsewhere(&bus, "\xff", 1);
  elsewhere(&bus, "stranger", 0);
  bus.host->presence(bus.host->server, bus.watch, NULL, 3, 1);
  bus.host->presence(bus.host->server, bus.watch + 7, "nobody", 6, 1);
  presence_expect(rig, "room", "alice,bob,");
  assert_int_equal(presence_join(rig, one, "room", "carol"), WSB_OK); /* alice is still there, elsewhere */
  bus_expect_calls(&bus, "leave(room) join(room,carol) ");
  elsewhere(&bus, "bob", 0);
  elsewhere(&bus, "bob", 0);
  elsewhere(&bus, "alice", 0);
  for (int i = 0; i < 2; ++i) {
    Client *client = i == 0 ? first : second;
    expect_text(client, "+room:bob");
    expect_text(client, "+room:carol");
    expect_text(client, "-room:bob");
    expect_text(client, "-room:alice");
    presence_expect_nothing_else(rig, client, i == 0 ? one : two);
  }
  elsewhere(&bus, "bob", 1);
  assert_int_equal(presence_unwatch(rig, one, "room"), WSB_OK);
  bus_expect_calls(&bus, "");
  client_free(second);
  (void)rig_expect_close(rig, two);
  bus_expect_calls(&bus, "unwatch ");
  elsewhere(&bus, "late", 1);
  presence_expect(rig, "room", "carol,");
  assert_int_equal(presence_watch(rig, one, "room"), WSB_OK);
  bus_expect_calls(&bus, "watch(room) ");
  client_free(first);
  rig_finish(rig);
  pthread_mutex_lock(&bus.mutex);
  const bool all =
      strstr(bus.calls, "unwatch ") != NULL && strstr(bus.calls, "leave(room) ") != NULL && strlen(bus.calls) == 20;
  pthread_mutex_unlock(&bus.mutex);
  assert_true(all);
}

int main(void) {
  const struct CMUnitTest tests[] = {RIG_TEST(all_of_it_or_none), RIG_TEST(other_servers)};
  return cmocka_run_group_tests_name("presence_backplane", tests, NULL, NULL);
}
