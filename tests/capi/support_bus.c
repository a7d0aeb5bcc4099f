/* A backplane whose calls are recorded as a text. */
#include "support_bus.h"

static void note(Bus *bus, const char *format, const char *name, size_t name_length, const char *data, size_t length) {
  pthread_mutex_lock(&bus->mutex);
  const size_t used = strlen(bus->calls);
  (void)snprintf(bus->calls + used, sizeof bus->calls - used, format, (int)name_length, name, (int)length, data);
  pthread_mutex_unlock(&bus->mutex);
}

static int bus_open(void *self, const wsb_backplane_host *host) {
  Bus *bus = self;
  bus->host = host;
  ++bus->opened;
  return bus->answer;
}

static int bus_publish(void *self, const wsb_backplane_message *message) {
  Bus *bus = self;
  if (bus->answer != WSB_OK) return bus->answer;
  note(bus, message->flags == WSB_PUBLISH_RETAIN ? "%.*s=retain:%.*s " : "%.*s=%.*s ", message->topic,
       message->topic_length, message->data, message->length);
  return WSB_OK;
}

static int bus_subscribe(void *self, const char *pattern, size_t length) {
  note(self, "+%.*s%.*s ", pattern, length, "", 0);
  return WSB_OK;
}

static int bus_unsubscribe(void *self, const char *pattern, size_t length) {
  note(self, "-%.*s%.*s ", pattern, length, "", 0);
  return WSB_OK;
}

static uint32_t bus_state(void *self) {
  return ((Bus *)self)->state;
}

static void bus_close(void *self) {
  ++((Bus *)self)->closed;
}

wsb_backplane bus_backplane(Bus *bus) {
  memset(bus, 0, sizeof *bus);
  pthread_mutex_init(&bus->mutex, NULL);
  bus->state = WSB_BACKPLANE_UP;
  const wsb_backplane backplane = {.size = sizeof backplane,
                                   .self = bus,
                                   .open = bus_open,
                                   .publish = bus_publish,
                                   .subscribe = bus_subscribe,
                                   .unsubscribe = bus_unsubscribe,
                                   .state = bus_state,
                                   .close = bus_close};
  return backplane;
}

void bus_expect_calls(Bus *bus, const char *calls) {
  pthread_mutex_lock(&bus->mutex);
  char found[sizeof bus->calls];
  memcpy(found, bus->calls, sizeof found);
  bus->calls[0] = '\0';
  pthread_mutex_unlock(&bus->mutex);
  assert_string_equal(found, calls);
}

static int bus_join(void *self, const char *topic, size_t length, const char *member, size_t member_length,
                    uint64_t number) {
  note(self, number != 0 ? "join(%.*s,%.*s) " : "0", topic, length, member, member_length);
  return WSB_OK;
}
static int bus_leave(void *self, const char *topic, size_t length, uint64_t number) {
  note(self, number != 0 ? "leave(%.*s%.*s) " : "0", topic, length, "", 0);
  return WSB_OK;
}
static int bus_watch(void *self, const char *topic, size_t length, uint64_t watch) {
  ((Bus *)self)->watch = watch;
  note(self, "watch(%.*s%.*s) ", topic, length, "", 0);
  return WSB_OK;
}
static int bus_unwatch(void *self, uint64_t watch) {
  note(self, watch == ((Bus *)self)->watch ? "unwatch%.*s%.*s " : "0", "", 0, "", 0);
  return WSB_OK;
}

wsb_backplane bus_with_presence(Bus *bus) {
  wsb_backplane backplane = bus_backplane(bus);
  backplane.join = bus_join;
  backplane.leave = bus_leave;
  backplane.watch = bus_watch;
  backplane.unwatch = bus_unwatch;
  return backplane;
}
