/* The store of tests/capi under the name by which servers load libwsbeat-nats: durable topics in memory, held up and failing as a test likes. */
#define _GNU_SOURCE

#include "support_store.h"

#include "wsbeat/nats.h"

static Store* newest; /* of the server that was made last */

static size_t token(const char* text, size_t length) {
  const char* end = memchr(text, '.', length);
  return end != NULL ? (size_t)(end - text) : length;
}

/* The library proper is within Python's module and lends nothing. Names are well-formed. */
int wsb_topic_covers(const char* pattern, size_t pattern_length, const char* other, size_t other_length) WSB_NOEXCEPT {
  while (pattern_length != 0 && other_length != 0) {
    const size_t mine = token(pattern, pattern_length), theirs = token(other, other_length);
    if (*pattern == '>') return 1;
    if (*pattern != '*' && (mine != theirs || memcmp(pattern, other, mine) != 0)) return 0;
    if (mine == pattern_length || theirs == other_length) return mine == pattern_length && theirs == other_length;
    pattern += mine + 1, pattern_length -= mine + 1;
    other += theirs + 1, other_length -= theirs + 1;
  }
  return 0;
}

static void (*store_close_of_its_own)(void* self);

static void close_and_free(void* self) {
  store_close_of_its_own(self);
  if (newest == self) newest = NULL;
  store_free(self);
  free(self);
}

WSB_API int wsb_nats_create(const wsb_nats_options* options, wsb_backplane* out, char* error,
                            size_t capacity) WSB_NOEXCEPT {
  (void)options;
  if (capacity != 0) *error = '\0';
  newest = calloc(1, sizeof *newest);
  if (newest == NULL) return WSB_E_NOMEM;
  store_init(newest);
  *out = store_backplane(newest);
  store_close_of_its_own = out->close;
  out->close = close_and_free;
  return WSB_OK;
}

WSB_API void hold_feed(int on) {
  store_set(newest, hold_feed, on != 0);
}
WSB_API void hold_replays(int on) {
  store_set(newest, hold_replays, on != 0);
}
WSB_API void forget_before(uint64_t sequence) {
  store_set(newest, first, sequence);
}
WSB_API void answer_done(int result) {
  store_set(newest, done_answer, result);
}
WSB_API void answer_store(int result) {
  store_set(newest, store_answer, result);
}
WSB_API uint64_t faults(void) {
  return store_get(newest, faults);
}
