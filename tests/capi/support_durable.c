/* Starting, publishing, subscribing. */
#include "support_durable.h"

atomic_uint durable_made;

static wsb_message *make(const wsb_durable_event *event, void *user) {
  (void)user;
  char text[512];
  const bool replay = event->subscription != NULL;
  const int length = snprintf(text, sizeof text, "%llu %.*s %.*s", (unsigned long long)event->sequence,
                              replay ? (int)event->subscription_length : 1, replay ? event->subscription : "-",
                              (int)event->length, (const char *)event->data);
  atomic_fetch_add(&durable_made, 1);
  if (event->size != sizeof *event || replay != (event->conn != 0)) return NULL; /* which the tests would see */
  return wsb_message_create(WSB_TEXT, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

void durable_tell(Rig *rig, const Record *record) {
  if (record->type != WSB_EVENT_RESUMED) return;
  const wsb_resumed_event *event = &record->as.resumed;
  char text[512];
  const int length =
      snprintf(text, sizeof text, "resumed %s at %llu after %llu%s", event->topic, (unsigned long long)event->sequence,
               (unsigned long long)event->replayed, event->missed != 0 ? " missed" : "");
  (void)wsb_send(rig->server, event->conn, WSB_TEXT, text, (size_t)length);
}

void durable_start(Rig *rig, Store *store) {
  atomic_store(&durable_made, 0);
  if (rig->on_record == NULL) rig->on_record = durable_tell;
  rig->callbacks.on_durable = make;
  durable_start_raw(rig, store);
}

void durable_start_raw(Rig *rig, Store *store) {
  rig->config.heartbeat_interval_ms = WSB_OFF; /* pings among the messages would only be in the way */
  store_init(store);
  store_start(store, rig);
}

void durable_finish(Rig *rig, Store *store) {
  rig_finish(rig);
  assert_int_equal(store->closes, 1);
  assert_int_equal(store->faults, 0);
  assert_int_equal(store_active(store), 0);
  store_free(store);
}

wsb_publish_result durable_publish_with(Rig *rig, const char *topic, const char *text, wsb_publish_options *options) {
  wsb_publish_result result;
  wsb_publish_result_init(&result);
  assert_int_equal(wsb_publish(rig->server, topic, strlen(topic), WSB_TEXT, text, strlen(text), options, &result),
                   WSB_OK);
  return result;
}

void durable_publish(Rig *rig, Store *store, const char *topic, const char *text) {
  const uint64_t next = store_get(store, count) + store_get(store, waiting_count) + 1;
  assert_int_equal(durable_publish_with(rig, topic, text, NULL).durable, 1);
  assert_true(store_wait(store, next));
}

int durable_subscribe(Rig *rig, wsb_conn conn, const char *topic, uint32_t flags, uint64_t after) {
  wsb_subscribe_options options;
  wsb_subscribe_options_init(&options);
  options.flags = flags;
  options.after = after;
  return wsb_subscribe_with(rig->server, conn, topic, strlen(topic), &options);
}

int durable_resume(Rig *rig, wsb_conn conn, const char *topic, uint64_t after) {
  return durable_subscribe(rig, conn, topic, WSB_SUBSCRIBE_RESUME, after);
}

int durable_is(Rig *rig, const char *pattern) {
  return wsb_topic_is_durable(rig->server, pattern, strlen(pattern));
}

wsb_metrics durable_metrics(Rig *rig) {
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  return metrics;
}
