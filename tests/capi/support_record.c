/* The recorder: callbacks and events become records that the main thread waits for. */
#define _GNU_SOURCE /* CLOCK_MONOTONIC for condition variables */

#include <time.h>

#include "support.h"

static void *copy_bytes(Record *record, const void *data, size_t length) {
  for (size_t i = 0; i < sizeof record->owned / sizeof record->owned[0]; ++i) {
    if (record->owned[i] != NULL) continue;
    char *copy = malloc(length + 1);
    if (copy == NULL) abort();
    if (length > 0) memcpy(copy, data, length);
    copy[length] = '\0';
    record->owned[i] = copy;
    return copy;
  }
  abort();
}

static char *copy_text(Record *record, const char *text) {
  return copy_bytes(record, text, strlen(text));
}

static Record *new_record(uint32_t type, wsb_conn conn, void *conn_user) {
  Record *record = calloc(1, sizeof *record);
  if (record == NULL) abort();
  record->type = type;
  record->conn = conn;
  record->conn_user = conn_user;
  record->thread = pthread_self();
  return record;
}

static void append(Rig *rig, Record *record) {
  pthread_mutex_lock(&rig->mutex);
  if (rig->count == rig->capacity) {
    rig->capacity = rig->capacity * 2 + 64;
    rig->records = realloc(rig->records, rig->capacity * sizeof(Record *));
    if (rig->records == NULL) abort();
  }
  rig->records[rig->count++] = record;
  pthread_cond_broadcast(&rig->changed);
  pthread_mutex_unlock(&rig->mutex);
  if (rig->on_record != NULL) rig->on_record(rig, record);
}

static void record_open(const wsb_open_event *event, void *user) {
  Record *record = new_record(WSB_EVENT_OPEN, event->conn, event->conn_user);
  record->as.open = *event;
  record->as.open.path = copy_text(record, event->path);
  record->as.open.query = copy_text(record, event->query);
  record->as.open.subprotocol = copy_text(record, event->subprotocol);
  record->as.open.peer = copy_text(record, event->peer);
  append(user, record);
}

static void record_message(const wsb_message_event *event, void *user) {
  Record *record = new_record(WSB_EVENT_MESSAGE, event->conn, event->conn_user);
  record->as.message = *event;
  if (event->data != NULL) record->as.message.data = copy_bytes(record, event->data, event->length);
  append(user, record);
}

static void record_fragment(const wsb_fragment_event *event, void *user) {
  Record *record = new_record(RECORD_FRAGMENT, event->conn, event->conn_user);
  record->as.fragment = *event;
  record->as.fragment.data = copy_bytes(record, event->data, event->length);
  append(user, record);
}

static void record_pong(const wsb_pong_event *event, void *user) {
  Record *record = new_record(WSB_EVENT_PONG, event->conn, event->conn_user);
  record->as.pong = *event;
  record->as.pong.data = copy_bytes(record, event->data, event->length);
  append(user, record);
}

static void record_drain(const wsb_drain_event *event, void *user) {
  Record *record = new_record(WSB_EVENT_DRAIN, event->conn, event->conn_user);
  record->as.drain = *event;
  append(user, record);
}

static void record_close(const wsb_close_event *event, void *user) {
  Record *record = new_record(WSB_EVENT_CLOSE, event->conn, event->conn_user);
  record->as.close = *event;
  record->as.close.reason = copy_bytes(record, event->reason, event->reason_length);
  append(user, record);
}

static void record_refused(const wsb_refused_event *event, void *user) {
  Record *record = new_record(WSB_EVENT_REFUSED, 0, NULL);
  record->as.refused = *event;
  record->as.refused.peer = copy_text(record, event->peer);
  append(user, record);
}

static void record_log(const wsb_log_event *event, void *user) {
  Record *record = new_record(WSB_EVENT_LOG, event->conn, NULL);
  record->as.log = *event;
  record->as.log.text = copy_text(record, event->text);
  append(user, record);
}

static void record_resumed(const wsb_resumed_event *event, void *user) {
  Record *record = new_record(WSB_EVENT_RESUMED, event->conn, event->conn_user);
  record->as.resumed = *event;
  record->as.resumed.topic = copy_bytes(record, event->topic, event->topic_length);
  append(user, record);
}

void rig_record_event(Rig *rig, const wsb_event *event) {
  switch (event->type) {
    case WSB_EVENT_OPEN:
      record_open(event->open, rig);
      break;
    case WSB_EVENT_MESSAGE:
      record_message(event->message, rig);
      break;
    case WSB_EVENT_PONG:
      record_pong(event->pong, rig);
      break;
    case WSB_EVENT_DRAIN:
      record_drain(event->drain, rig);
      break;
    case WSB_EVENT_CLOSE:
      record_close(event->close, rig);
      break;
    case WSB_EVENT_REFUSED:
      record_refused(event->refused, rig);
      break;
    case WSB_EVENT_LOG:
      record_log(event->log, rig);
      break;
    case WSB_EVENT_RESUMED:
      record_resumed(event->resumed, rig);
      break;
    default:
      append(rig, new_record(event->type, event->conn, NULL));
  }
}

size_t rig_count(Rig *rig, uint32_t type) {
  size_t count = 0;
  pthread_mutex_lock(&rig->mutex);
  for (size_t i = 0; i < rig->count; ++i) count += rig->records[i]->type == type;
  pthread_mutex_unlock(&rig->mutex);
  return count;
}

uint64_t rig_message_bytes(Rig *rig) {
  uint64_t bytes = 0;
  pthread_mutex_lock(&rig->mutex);
  for (size_t i = 0; i < rig->count; ++i) {
    if (rig->records[i]->type == WSB_EVENT_MESSAGE) bytes += rig->records[i]->as.message.length;
  }
  pthread_mutex_unlock(&rig->mutex);
  return bytes;
}

/* The index-th record of a type (conn 0: of any connection), or NULL at the deadline. */
static const Record *wait_record(Rig *rig, uint32_t type, wsb_conn conn, size_t index, int timeout_ms) {
  struct timespec deadline;
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_sec += timeout_ms / 1000;
  deadline.tv_nsec += timeout_ms % 1000 * 1000000L;
  if (deadline.tv_nsec >= 1000000000L) {
    deadline.tv_nsec -= 1000000000L;
    ++deadline.tv_sec;
  }
  const Record *found = NULL;
  size_t next = 0;
  size_t seen = 0;
  pthread_mutex_lock(&rig->mutex);
  for (;;) {
    for (; next < rig->count && found == NULL; ++next) {
      const Record *record = rig->records[next];
      if (record->type == type && (conn == 0 || record->conn == conn) && seen++ == index) found = record;
    }
    if (found != NULL || pthread_cond_timedwait(&rig->changed, &rig->mutex, &deadline) != 0) break;
  }
  pthread_mutex_unlock(&rig->mutex);
  return found;
}

const Record *rig_wait(Rig *rig, uint32_t type, size_t index, int timeout_ms) {
  return wait_record(rig, type, 0, index, timeout_ms);
}

const Record *rig_expect(Rig *rig, uint32_t type, size_t index) {
  const Record *record = rig_wait(rig, type, index, PATIENCE_MS);
  if (record == NULL) fail_msg("event %zu of type %u did not come", index, type);
  return record;
}

const Record *rig_expect_close(Rig *rig, wsb_conn conn) {
  const Record *record = wait_record(rig, WSB_EVENT_CLOSE, conn, 0, PATIENCE_MS);
  if (record == NULL) fail_msg("on_close did not come");
  return record;
}

void rig_whole(Rig *rig) {
  wsb_callbacks_init(&rig->callbacks);
  rig->callbacks.user = rig;
  rig->callbacks.on_open = record_open;
  rig->callbacks.on_message = record_message;
  rig->callbacks.on_pong = record_pong;
  rig->callbacks.on_drain = record_drain;
  rig->callbacks.on_close = record_close;
  rig->callbacks.on_refused = record_refused;
  rig->callbacks.on_log = record_log;
  rig->callbacks.on_resumed = record_resumed;
}

void rig_stream(Rig *rig) {
  rig->callbacks.on_message = NULL;
  rig->callbacks.on_fragment = record_fragment;
}

void rig_queue(Rig *rig) {
  rig->config.delivery = WSB_DELIVERY_QUEUE;
  wsb_callbacks_init(&rig->callbacks);
  rig->callbacks.user = rig;
}
