/* A backplane with durable topics that keeps its messages in memory: one thread stores and delivers, another replays. Topics of two and more
 * tokens that begin with "d" are durable. It never asserts: what it finds wrong it counts as a fault. */
#ifndef WSBEAT_TESTS_CAPI_SUPPORT_STORE_H
#define WSBEAT_TESTS_CAPI_SUPPORT_STORE_H

#include "support.h"

enum { MOST_REPLAYS = 256 };

typedef struct StoreMessage {
  char *topic;
  uint8_t *data;
  size_t length;
  uint32_t kind;
  uint32_t flags;
  uint64_t exclude;
  char *key; /* NULL: none */
  void (*done)(void *context, int result, uint64_t sequence, int duplicate);
  void *context;
} StoreMessage;

typedef struct StoreReplay {
  uint64_t ticket; /* 0: this place is free */
  uint64_t after;  /* UINT64_MAX: only where things stand */
  bool begun;
  char pattern[256];
} StoreReplay;

typedef struct Store {
  pthread_mutex_t feed;  /* held around deliver and resumed; taken before the other */
  pthread_mutex_t mutex; /* of everything below, and never held while the server is called */
  pthread_cond_t changed;
  const wsb_backplane_host *host;
  pthread_t feeder;
  pthread_t replayer;
  bool running;
  bool closing;

  StoreMessage *messages; /* that of sequence n lies at n - 1 */
  size_t count;
  size_t capacity;
  uint64_t first;     /* older ones are gone */
  uint64_t delivered; /* up to this one */
  StoreMessage *waiting;
  size_t waiting_count;
  size_t waiting_capacity;
  StoreReplay replays[MOST_REPLAYS];

  bool hold_feed; /* nothing is stored or delivered, as while a network is away */
  bool hold_replays;
  size_t max_replay;
  int store_answer;  /* of the call; WSB_OK: it waits to be stored */
  int done_answer;   /* what becomes of it */
  int replay_answer; /* of the call */
  uint64_t last_ticket;
  size_t begun;     /* replays */
  size_t ended;     /* by resumed */
  size_t closed;    /* by CLOSED */
  size_t forgotten; /* that were known */
  size_t full;      /* offers that were to be made again */
  size_t faults;
  int closes;
} Store;

void store_init(Store *store);
/* After the server has ended. */
void store_free(Store *store);
wsb_backplane store_backplane(Store *store);
/* rig_create, with this store as its backplane, and rig_start. */
void store_start(Store *store, Rig *rig);
/* Changes one of its fields under its lock. */
#define store_set(store, field, value)         \
  do {                                         \
    pthread_mutex_lock(&(store)->mutex);       \
    (store)->field = (value);                  \
    pthread_cond_broadcast(&(store)->changed); \
    pthread_mutex_unlock(&(store)->mutex);     \
  } while (0)
#define store_get(store, field) store_get_at(store, &(store)->field, sizeof(store)->field)
uint64_t store_get_at(Store *store, const void *field, size_t size);
/* False if nothing of this sequence was delivered in time. */
bool store_wait(Store *store, uint64_t sequence);
/* Replays that have neither ended nor been forgotten. */
size_t store_active(Store *store);

#endif
