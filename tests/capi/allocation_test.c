/* No allocation per message: the worker's calls of malloc are counted while messages go around, and there are none once it is warm. */
#include <malloc.h>
#include <stdatomic.h>

#include "support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0 /* sanitizers have a malloc of their own */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS_ALLOCATIONS 0
#endif
#endif
#ifndef COUNTS_ALLOCATIONS
#define COUNTS_ALLOCATIONS 1
#endif

static atomic_uint allocations;
static _Thread_local bool is_client; /* what the test itself allocates is not counted */

#if COUNTS_ALLOCATIONS
#pragma GCC visibility push(default) /* so that the libraries call these too */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static void count(void) {
  if (!is_client) atomic_fetch_add(&allocations, 1);
}

void *malloc(size_t n) {
  count();
  return __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
  count();
  return __libc_calloc(n, size);
}
void *realloc(void *old, size_t n) {
  count();
  return __libc_realloc(old, n);
}
void *aligned_alloc(size_t alignment, size_t n) {
  count();
  return __libc_memalign(alignment, n);
}
void *memalign(size_t alignment, size_t n) {
  count();
  return __libc_memalign(alignment, n);
}
#pragma GCC visibility pop
#endif

enum { RECEIVERS = 40, WARM = 100, ROUNDS = 1000 };

static wsb_conn receivers[RECEIVERS];
static atomic_uint receiver_count;

static void echo(const wsb_message_event *event, void *user) {
  (void)wsb_send(((Rig *)user)->server, event->conn, event->kind, event->data, event->length);
}

static void to_all(const wsb_message_event *event, void *user) {
  wsb_message *message = wsb_message_create(event->kind, event->data, event->length);
  for (unsigned i = 0; i < receiver_count; ++i) (void)wsb_send_message(((Rig *)user)->server, receivers[i], message);
  wsb_message_release(message);
}

static void prepare(Rig *rig, void (*on_message)(const wsb_message_event *, void *)) {
  is_client = true;
  rig->callbacks.on_message = on_message;
  rig->config.heartbeat_interval_ms = WSB_OFF;
  rig_start(rig);
}

/* `rounds` times one message out and one in. */
static bool go_around(Client *client, int opcode, const uint8_t *data, size_t length, int rounds) {
  Frame frame;
  for (int i = 0; i < rounds; ++i) {
    if (!client_send(client, opcode, data, length)) return false;
    if (!client_read(client, &frame, PATIENCE_MS) || frame.length != length) return false;
  }
  return true;
}

static void need_counting(void) {
  if (!COUNTS_ALLOCATIONS) skip();
  is_client = false;
  const unsigned before = allocations;
  void *volatile one = malloc(1); /* volatile, so that the compiler does not spare it */
  free(one);
  is_client = true;
  assert_int_equal(allocations, before + 1);
}

static void echoes(void **state) {
  need_counting();
  Rig *rig = *state;
  prepare(rig, echo);
  const unsigned before_opening = allocations;
  Client *client = client_open(rig->port);
  assert_non_null(client);
  static uint8_t data[1 << 20];
  memset(data, 'm', sizeof data);
  static const size_t sizes[] = {1, 64, 1000, 4000, 4097, 16384, 100000, 1 << 20};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    const int rounds = sizes[i] > 50000 ? ROUNDS / 20 : ROUNDS;
    assert_true(go_around(client, OP_BINARY, data, sizes[i], WARM));
    assert_true(go_around(client, OP_TEXT, data, sizes[i], WARM));
    const unsigned before = allocations;
    assert_true(before > before_opening); /* the worker is being counted */
    assert_true(go_around(client, OP_BINARY, data, sizes[i], rounds));
    assert_true(go_around(client, OP_TEXT, data, sizes[i], rounds));
    print_message("%zu bytes: %u allocations in %d messages\n", sizes[i], allocations - before, 2 * rounds);
    assert_int_equal(allocations, before);
  }
  client_free(client);
  rig_finish(rig);
}

static void pings(void **state) {
  need_counting();
  Rig *rig = *state;
  prepare(rig, echo);
  Client *client = client_open(rig->port);
  assert_non_null(client);
  assert_true(go_around(client, OP_PING, (const uint8_t *)"are you there", 13, WARM));
  const unsigned before = allocations;
  assert_true(go_around(client, OP_PING, (const uint8_t *)"are you there", 13, ROUNDS));
  assert_int_equal(allocations, before);
  client_free(client);
  rig_finish(rig);
}

static bool publish(Client **clients, const uint8_t *data, size_t length, int rounds) {
  Frame frame;
  for (int i = 0; i < rounds; ++i) {
    if (!client_send(clients[0], OP_BINARY, data, length)) return false;
    for (int k = 0; k < RECEIVERS; ++k) {
      if (!client_read(clients[k], &frame, PATIENCE_MS) || frame.length != length) return false;
    }
  }
  return true;
}

static void fan_out(void **state) {
  need_counting();
  Rig *rig = *state;
  prepare(rig, to_all);
  receiver_count = 0;
  Client *clients[RECEIVERS];
  for (int i = 0; i < RECEIVERS; ++i) clients[i] = rig_client(rig, &receivers[i]);
  receiver_count = RECEIVERS;
  static uint8_t data[20000];
  static const size_t sizes[] = {16, 128, 2000, 20000};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    assert_true(publish(clients, data, sizes[i], WARM));
    const unsigned before = allocations;
    assert_true(publish(clients, data, sizes[i], ROUNDS / 4));
    print_message("%zu bytes: %u allocations in %d deliveries\n", sizes[i], allocations - before,
                  RECEIVERS * ROUNDS / 4);
    assert_int_equal(allocations, before);
  }
  for (int i = 0; i < RECEIVERS; ++i) client_free(clients[i]);
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {RIG_TEST(echoes), RIG_TEST(pings), RIG_TEST(fan_out)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
