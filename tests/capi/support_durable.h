/* A rig whose backplane is a Store, and what tests of durable topics do with it. */
#ifndef WSBEAT_TESTS_CAPI_SUPPORT_DURABLE_H
#define WSBEAT_TESTS_CAPI_SUPPORT_DURABLE_H

#include <stdatomic.h>

#include "support_store.h"

/* How many messages on_durable has made since durable_start. */
extern atomic_uint durable_made;

/* For on_record: tells the client on its worker of a subscription that has resumed: "resumed TOPIC at SEQUENCE after REPLAYED", and " missed" if so. */
void durable_tell(Rig *rig, const Record *record);
/* Starts it with an on_durable that sends "SEQUENCE SUBSCRIPTION PAYLOAD" (SUBSCRIPTION "-" for new messages), and durable_tell unless the test has
 * an on_record of its own. */
void durable_start(Rig *rig, Store *store);
/* Without both. */
void durable_start_raw(Rig *rig, Store *store);
/* rig_finish; asserts that no replay is left over, and frees the store. */
void durable_finish(Rig *rig, Store *store);

wsb_publish_result durable_publish_with(Rig *rig, const char *topic, const char *text, wsb_publish_options *options);
/* Publishes one text and waits until it was delivered. */
void durable_publish(Rig *rig, Store *store, const char *topic, const char *text);
int durable_subscribe(Rig *rig, wsb_conn conn, const char *topic, uint32_t flags, uint64_t after);
/* With WSB_SUBSCRIBE_RESUME. */
int durable_resume(Rig *rig, wsb_conn conn, const char *topic, uint64_t after);
int durable_is(Rig *rig, const char *pattern);
wsb_metrics durable_metrics(Rig *rig);

#endif
