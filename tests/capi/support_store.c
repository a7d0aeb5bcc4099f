/* The store: what becomes of a message, and what of a replay. */
#define _GNU_SOURCE

#include "support_store.h"

#include <time.h>

static void *grown(void *list, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return list;
  *capacity = *capacity * 2 + 64;
  list = realloc(list, *capacity * size);
  if (list == NULL) abort();
  return list;
}

static void *copied(const void *data, size_t length) {
  char *copy = malloc(length + 1);
  if (copy == NULL) abort();
  if (length != 0) memcpy(copy, data, length);
  copy[length] = '\0';
  return copy;
}

/* With the mutex held; gives it back for a moment. */
static void rest(Store *store, long nanoseconds) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += nanoseconds;
  if (until.tv_nsec >= 1000000000L) {
    until.tv_nsec -= 1000000000L;
    ++until.tv_sec;
  }
  (void)pthread_cond_timedwait(&store->changed, &store->mutex, &until);
}

static wsb_backplane_message told(const StoreMessage *message, uint64_t sequence) {
  return (wsb_backplane_message){.size = sizeof(wsb_backplane_message),
                                 .topic = message->topic,
                                 .topic_length = strlen(message->topic),
                                 .data = message->data,
                                 .length = message->length,
                                 .kind = message->kind,
                                 .flags = message->flags,
                                 .sequence = sequence,
                                 .exclude = message->exclude};
}

/* ---------------------------------------------------------------------------------------------------- storing and delivering */

/* With the mutex held. The sequence of a message with this key; 0: there is none. */
static uint64_t known(const Store *store, const char *key) {
  if (key == NULL) return 0;
  for (size_t i = 0; i < store->count; ++i) {
    if (store->messages[i].key != NULL && strcmp(store->messages[i].key, key) == 0) return i + 1;
  }
  return 0;
}

static void free_message(StoreMessage *message) {
  free(message->topic);
  free(message->data);
  free(message->key);
}

/* With the mutex held, which it gives back meanwhile. */
static void store_one(Store *store) {
  StoreMessage message = store->waiting[0];
  memmove(store->waiting, store->waiting + 1, --store->waiting_count * sizeof message);
  const int result = store->done_answer;
  const uint64_t duplicate = known(store, message.key);
  const bool is_new = result == WSB_OK && duplicate == 0;
  if (is_new) {
    store->messages = grown(store->messages, store->count, &store->capacity, sizeof message);
    store->messages[store->count++] = message;
  }
  const uint64_t sequence = store->count;
  pthread_mutex_unlock(&store->mutex);
  message.done(message.context, result, is_new ? sequence : duplicate, duplicate != 0);
  if (is_new) {
    const wsb_backplane_message given = told(&message, sequence);
    pthread_mutex_lock(&store->feed);
    store->host->deliver(store->host->server, &given);
    store_set(store, delivered, sequence);
    pthread_mutex_unlock(&store->feed);
  } else {
    free_message(&message);
  }
  pthread_mutex_lock(&store->mutex);
}

static void *feed(void *argument) {
  Store *store = argument;
  pthread_mutex_lock(&store->mutex);
  while (!store->closing) {
    if (store->waiting_count == 0 || store->hold_feed) {
      pthread_cond_wait(&store->changed, &store->mutex);
    } else {
      store_one(store);
    }
  }
  pthread_mutex_unlock(&store->mutex);
  return NULL;
}

/* --------------------------------------------------------------------------------------------------------------- replaying */

static bool matches(const char *pattern, const char *topic) {
  return wsb_topic_covers(pattern, strlen(pattern), topic, strlen(topic)) == 1;
}

/* With the mutex held. */
static StoreReplay *find_replay(Store *store, uint64_t ticket) {
  for (size_t i = 0; i < MOST_REPLAYS; ++i) {
    if (store->replays[i].ticket == ticket) return &store->replays[i];
  }
  return NULL;
}

/* Offers what is stored up to `end`; what the server said at last. Keeps the place in *replay. */
static int offer_up_to(Store *store, StoreReplay *replay, uint64_t end) {
  while (replay->after < end) {
    pthread_mutex_lock(&store->mutex);
    const StoreMessage message = store->messages[replay->after];
    pthread_mutex_unlock(&store->mutex);
    if (matches(replay->pattern, message.topic)) {
      const wsb_backplane_message given = told(&message, replay->after + 1);
      const int result = store->host->replayed(store->host->server, replay->ticket, &given);
      if (result != WSB_OK) return result;
    }
    ++replay->after;
  }
  return WSB_OK;
}

/* With the mutex held. */
static bool is_missed(const Store *store, const StoreReplay *replay) {
  if (replay->after == UINT64_MAX) return false;
  if (replay->after > store->count || replay->after + 1 < store->first) return true;
  size_t left = 0;
  for (size_t i = (size_t)replay->after; i < store->count; ++i)
    left += matches(replay->pattern, store->messages[i].topic);
  return left > store->max_replay;
}

/* One replay as far as it goes now. */
static void go_on(Store *store, StoreReplay *replay) {
  pthread_mutex_lock(&store->mutex);
  const bool missed = !replay->begun && is_missed(store, replay);
  const uint64_t delivered = store->delivered;
  pthread_mutex_unlock(&store->mutex);
  const bool empty = missed || replay->after == UINT64_MAX;
  int result = empty ? WSB_OK : offer_up_to(store, replay, delivered);
  if (result == WSB_OK) {
    pthread_mutex_lock(&store->feed);
    const uint64_t cursor = store_get(store, delivered);
    if (!empty) result = offer_up_to(store, replay, cursor);
    if (result == WSB_OK) store->host->resumed(store->host->server, replay->ticket, cursor, missed);
    pthread_mutex_unlock(&store->feed);
  }
  pthread_mutex_lock(&store->mutex);
  store->full += result == WSB_E_FULL;
  store->faults += result != WSB_OK && result != WSB_E_FULL && result != WSB_E_CLOSED;
  StoreReplay *place = find_replay(store, replay->ticket); /* gone if it was forgotten meanwhile */
  if (place != NULL && result == WSB_E_FULL) {
    place->after = replay->after;
    place->begun = true;
  }
  if (place != NULL && result != WSB_E_FULL) {
    place->ticket = 0;
    ++*(result == WSB_OK ? &store->ended : &store->closed);
  }
  pthread_mutex_unlock(&store->mutex);
}

static void *replay_all(void *argument) {
  Store *store = argument;
  pthread_mutex_lock(&store->mutex);
  while (!store->closing) {
    for (size_t i = 0; i < MOST_REPLAYS && !store->closing && !store->hold_replays; ++i) {
      if (store->replays[i].ticket == 0) continue;
      StoreReplay replay = store->replays[i];
      pthread_mutex_unlock(&store->mutex);
      go_on(store, &replay);
      pthread_mutex_lock(&store->mutex);
    }
    rest(store, 1000000);
  }
  pthread_mutex_unlock(&store->mutex);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------------------- the backplane */

static int store_open(void *self, const wsb_backplane_host *host) {
  Store *store = self;
  store->host = host;
  store->running = pthread_create(&store->feeder, NULL, feed, store) == 0 &&
                   pthread_create(&store->replayer, NULL, replay_all, store) == 0;
  return store->running ? WSB_OK : WSB_E_SYSTEM;
}

static int store_publish(void *self, const wsb_backplane_message *message) {
  if (message->topic_length > 1 && memcmp(message->topic, "d.", 2) == 0)
    store_set((Store *)self, faults, ((Store *)self)->faults + 1);
  return WSB_OK;
}

static int store_pattern(void *self, const char *pattern, size_t length) {
  (void)self;
  (void)pattern;
  (void)length;
  return WSB_OK;
}

static uint32_t store_state(void *self) {
  (void)self;
  return WSB_BACKPLANE_UP;
}

static void store_close(void *self) {
  Store *store = self;
  store_set(store, closing, true);
  if (store->running) {
    pthread_join(store->feeder, NULL);
    pthread_join(store->replayer, NULL);
  }
  for (size_t i = 0; i < store->waiting_count; ++i) {
    store->waiting[i].done(store->waiting[i].context, WSB_E_STATE, 0, 0);
    free_message(&store->waiting[i]);
  }
  store->waiting_count = 0;
  ++store->closes;
}

static int store_keeps(void *self, const char *pattern, size_t length) {
  (void)self;
  if (length == 1) return pattern[0] == '>';
  return (pattern[0] == 'd' || pattern[0] == '*') && pattern[1] == '.';
}

static int store_store(void *self, const wsb_backplane_message *message,
                       void (*done)(void *context, int result, uint64_t sequence, int duplicate), void *context) {
  Store *store = self;
  pthread_mutex_lock(&store->mutex);
  const int answer = store->store_answer;
  store->faults += message->sequence != 0;
  if (answer == WSB_OK) {
    store->waiting = grown(store->waiting, store->waiting_count, &store->waiting_capacity, sizeof(StoreMessage));
    store->waiting[store->waiting_count++] =
        (StoreMessage){.topic = copied(message->topic, message->topic_length),
                       .data = copied(message->data, message->length),
                       .length = message->length,
                       .kind = message->kind,
                       .flags = message->flags,
                       .exclude = message->exclude,
                       .key = message->key_length != 0 ? copied(message->key, message->key_length) : NULL,
                       .done = done,
                       .context = context};
    pthread_cond_broadcast(&store->changed);
  }
  pthread_mutex_unlock(&store->mutex);
  return answer;
}

static int store_replay(void *self, const char *pattern, size_t length, uint64_t after, uint64_t ticket) {
  Store *store = self;
  pthread_mutex_lock(&store->mutex);
  const int answer = store->replay_answer;
  store->last_ticket = ticket;
  if (answer == WSB_OK) {
    StoreReplay *place = find_replay(store, 0);
    if (place == NULL) abort();
    *place = (StoreReplay){.ticket = ticket, .after = after};
    memcpy(place->pattern, pattern, length);
    ++store->begun;
    pthread_cond_broadcast(&store->changed);
  }
  pthread_mutex_unlock(&store->mutex);
  return answer;
}

static void store_forget(void *self, uint64_t ticket) {
  Store *store = self;
  pthread_mutex_lock(&store->mutex);
  StoreReplay *place = find_replay(store, ticket);
  if (place != NULL) {
    place->ticket = 0;
    ++store->forgotten;
  }
  pthread_mutex_unlock(&store->mutex);
}

/* --------------------------------------------------------------------------------------------------------------- for the tests */

void store_init(Store *store) {
  memset(store, 0, sizeof *store);
  pthread_mutex_init(&store->feed, NULL);
  pthread_mutex_init(&store->mutex, NULL);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&store->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  store->max_replay = SIZE_MAX;
}

void store_free(Store *store) {
  for (size_t i = 0; i < store->count; ++i) free_message(&store->messages[i]);
  free(store->messages);
  free(store->waiting);
  pthread_cond_destroy(&store->changed);
  pthread_mutex_destroy(&store->mutex);
  pthread_mutex_destroy(&store->feed);
}

wsb_backplane store_backplane(Store *store) {
  return (wsb_backplane){.size = sizeof(wsb_backplane),
                         .self = store,
                         .open = store_open,
                         .publish = store_publish,
                         .subscribe = store_pattern,
                         .unsubscribe = store_pattern,
                         .state = store_state,
                         .close = store_close,
                         .keeps = store_keeps,
                         .store = store_store,
                         .replay = store_replay,
                         .forget = store_forget};
}

void store_start(Store *store, Rig *rig) {
  rig_create(rig);
  const wsb_backplane backplane = store_backplane(store);
  assert_int_equal(wsb_server_set_backplane(rig->server, &backplane), WSB_OK);
  rig_start(rig);
}

uint64_t store_get_at(Store *store, const void *field, size_t size) {
  uint64_t out = 0;
  pthread_mutex_lock(&store->mutex);
  memcpy(&out, field, size);
  pthread_mutex_unlock(&store->mutex);
  return out;
}

bool store_wait(Store *store, uint64_t sequence) {
  const uint64_t deadline = now_ms() + PATIENCE_MS;
  while (store_get(store, delivered) < sequence) {
    if (now_ms() >= deadline) return false;
    pause_ms(1);
  }
  return true;
}

size_t store_active(Store *store) {
  size_t active = 0;
  pthread_mutex_lock(&store->mutex);
  for (size_t i = 0; i < MOST_REPLAYS; ++i) active += store->replays[i].ticket != 0;
  pthread_mutex_unlock(&store->mutex);
  return active;
}
