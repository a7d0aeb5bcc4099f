/* A backplane that records the calls it gets. */
#ifndef SUPPORT_BUS_H
#define SUPPORT_BUS_H

#include "support.h"

/* Calls as a text: "+pattern " and "-pattern " for patterns, "topic=payload " for publications, "join(topic,member) " and its like for presence. */
typedef struct Bus {
  pthread_mutex_t mutex;
  char calls[4096];
  const wsb_backplane_host *host;
  uint32_t state;
  int answer;
  int opened;
  int closed;
  uint64_t watch; /* the last */
} Bus;

/* Of a new bus, which is up; without presence, or with it. */
wsb_backplane bus_backplane(Bus *bus);
wsb_backplane bus_with_presence(Bus *bus);
/* All calls since the last time. */
void bus_expect_calls(Bus *bus, const char *calls);

#endif
