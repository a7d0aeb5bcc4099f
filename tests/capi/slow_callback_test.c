/* A callback that holds up its worker: nobody who answers pings at once is taken for dead, whichever turn the callback came in. */
#include <poll.h>

#include "support.h"

enum { CLIENTS = 100, SLOW_MS = 700, MESSAGES = 9, AFTERWARDS_MS = 1000 };

static void be_slow(Rig *rig, const Record *record) {
  (void)rig;
  if (record->type == WSB_EVENT_MESSAGE) pause_ms(SLOW_MS);
}

/* Answers the pings of all clients until all messages have been delivered, and for a while more. False: one was closed. */
static bool answer_all(Rig *rig, Client **clients) {
  struct pollfd waiting[CLIENTS];
  for (size_t i = 0; i < CLIENTS; ++i) waiting[i] = (struct pollfd){.fd = clients[i]->fd, .events = POLLIN};
  uint64_t end = now_ms() + 2 * PATIENCE_MS;
  for (bool all = false; now_ms() < end;) {
    if (!all && rig_count(rig, WSB_EVENT_MESSAGE) == MESSAGES) {
      all = true;
      end = now_ms() + SLOW_MS + AFTERWARDS_MS;
    }
    if (poll(waiting, CLIENTS, 10) <= 0) continue;
    for (size_t i = 0; i < CLIENTS; ++i) {
      Frame frame;
      if (waiting[i].revents == 0) continue;
      if (!client_read(clients[i], &frame, PATIENCE_MS) || frame.opcode != OP_PING) return false;
      if (!client_send(clients[i], OP_PONG, frame.data, frame.length)) return false;
    }
  }
  return rig_count(rig, WSB_EVENT_MESSAGE) == MESSAGES;
}

/* Messages that were kept back (here for their rate) are delivered in the turn in which the pings of others leave. */
static void pings_of_the_same_turn(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = 1000;
  rig->config.heartbeat_timeout_ms = 500;
  rig->config.max_messages_per_second = 5;
  rig->on_record = be_slow;
  rig_start(rig);
  Client *clients[CLIENTS];
  for (size_t i = 0; i < CLIENTS; ++i) clients[i] = rig_client(rig, NULL);
  for (size_t i = 0; i < MESSAGES; ++i) assert_true(client_send_text(clients[0], "keep back"));
  const bool served = answer_all(rig, clients);
  assert_int_equal(rig_count(rig, WSB_EVENT_CLOSE), 0);
  assert_true(served);
  for (size_t i = 0; i < CLIENTS; ++i) client_free(clients[i]);
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {RIG_TEST(pings_of_the_same_turn)};
  return cmocka_run_group_tests_name("slow_callback", tests, NULL, NULL);
}
