/* Calls about presence, and what watchers and wsb_members tell. */
#include "support_presence.h"

/* "+topic:member" or "-topic:member", as on_presence makes it. */
wsb_message *presence_text(const wsb_presence_event *event, void *user) {
  (void)user;
  char text[600];
  const int length = snprintf(text, sizeof text, "%c%s:%s", event->present ? '+' : '-', event->topic, event->member);
  if (strlen(event->topic) != event->topic_length || strlen(event->member) != event->member_length) abort();
  return wsb_message_create(WSB_TEXT, text, (size_t)length);
}

void presence_start(Rig *rig) {
  rig->callbacks.on_presence = presence_text;
  rig_start(rig);
}

int presence_join(Rig *rig, wsb_conn conn, const char *topic, const char *member) {
  return wsb_join(rig->server, conn, topic, strlen(topic), member, strlen(member));
}
int presence_leave(Rig *rig, wsb_conn conn, const char *topic) {
  return wsb_leave(rig->server, conn, topic, strlen(topic));
}
int presence_watch(Rig *rig, wsb_conn conn, const char *topic) {
  return wsb_watch(rig->server, conn, topic, strlen(topic));
}
int presence_unwatch(Rig *rig, wsb_conn conn, const char *topic) {
  return wsb_unwatch(rig->server, conn, topic, strlen(topic));
}

typedef struct Names {
  char text[4096]; /* "alice,bob," in order */
  const char *names[64];
  size_t count;
  size_t most;
} Names;

static int visit(const char *member, size_t length, void *user) {
  Names *names = user;
  if (strlen(member) != length) abort();
  names->names[names->count++] = strdup(member);
  return names->count == names->most;
}

static int compare(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void presence_expect(Rig *rig, const char *topic, const char *expected) {
  Names names = {.count = 0};
  const int64_t calls = wsb_members(rig->server, topic, strlen(topic), visit, &names);
  assert_int_equal(calls, names.count);
  qsort(names.names, names.count, sizeof names.names[0], compare);
  for (size_t i = 0; i < names.count; ++i) {
    (void)snprintf(names.text + strlen(names.text), sizeof names.text - strlen(names.text), "%s,", names.names[i]);
    free((void *)names.names[i]);
  }
  assert_string_equal(names.text, expected);
}

/* Nothing more was sent to the client than what it has read. */
void presence_expect_nothing_else(Rig *rig, Client *client, wsb_conn conn) {
  assert_int_equal(wsb_send(rig->server, conn, WSB_TEXT, "mark", 4), WSB_OK);
  expect_text(client, "mark");
}
