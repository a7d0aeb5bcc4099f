/* Presence, in short. */
#ifndef SUPPORT_PRESENCE_H
#define SUPPORT_PRESENCE_H

#include "support.h"

/* An on_presence: "+topic:member" or "-topic:member". */
wsb_message *presence_text(const wsb_presence_event *event, void *user);
/* Starts the server with it. */
void presence_start(Rig *rig);
int presence_join(Rig *rig, wsb_conn conn, const char *topic, const char *member);
int presence_leave(Rig *rig, wsb_conn conn, const char *topic);
int presence_watch(Rig *rig, wsb_conn conn, const char *topic);
int presence_unwatch(Rig *rig, wsb_conn conn, const char *topic);
/* `expected`: "alice,bob,", in order. */
void presence_expect(Rig *rig, const char *topic, const char *expected);
/* Nothing more was sent to the client than what it has read. */
void presence_expect_nothing_else(Rig *rig, Client *client, wsb_conn conn);

#endif
