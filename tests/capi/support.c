/* The rig and the assertions. */
#define _GNU_SOURCE /* nftw, mkdtemp */

#include "support.h"

#include <dirent.h>
#include <ftw.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void pause_ms(int duration_ms) {
  const struct timespec duration = {.tv_sec = duration_ms / 1000, .tv_nsec = duration_ms % 1000 * 1000000L};
  nanosleep(&duration, NULL);
}

bool wait_until(bool (*predicate)(void *argument), void *argument, int timeout_ms) {
  const uint64_t deadline = now_ms() + (uint64_t)timeout_ms;
  while (!predicate(argument)) {
    if (now_ms() >= deadline) return false;
    pause_ms(2);
  }
  return true;
}

static size_t count_entries(const char *path) {
  size_t count = 0;
  DIR *directory = opendir(path);
  if (directory == NULL) return 0;
  while (readdir(directory) != NULL) ++count;
  closedir(directory);
  return count;
}

size_t count_descriptors(void) {
  return count_entries("/proc/self/fd");
}
size_t count_threads(void) {
  return count_entries("/proc/self/task");
}

void make_directory(char *path, size_t capacity) {
  const char *base = getenv("TMPDIR");
  snprintf(path, capacity, "%s/wsbeat-capi-XXXXXX", base != NULL ? base : "/tmp");
  assert_non_null(mkdtemp(path));
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
  (void)status;
  (void)type;
  (void)walk;
  return remove(path);
}

void remove_directory(const char *path) {
  assert_int_equal(nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* -------------------------------------------------------------------------------------------------------------- the rig */

int rig_setup(void **state) {
  alarm(60);
  Rig *rig = calloc(1, sizeof *rig);
  if (rig == NULL) return -1;
  wsb_config_init(&rig->config);
  rig_whole(rig);
  pthread_mutex_init(&rig->mutex, NULL);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&rig->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  *state = rig;
  return 0;
}

int rig_teardown(void **state) {
  Rig *rig = *state;
  const int destroyed = wsb_server_destroy(rig->server);
  for (size_t i = 0; i < rig->count; ++i) {
    for (size_t k = 0; k < sizeof rig->records[i]->owned / sizeof(void *); ++k) free(rig->records[i]->owned[k]);
    free(rig->records[i]);
  }
  free(rig->records);
  pthread_cond_destroy(&rig->changed);
  pthread_mutex_destroy(&rig->mutex);
  free(rig);
  alarm(0);
  return destroyed;
}

void rig_create(Rig *rig) {
  const int made = wsb_server_create(&rig->config, &rig->callbacks, &rig->server);
  if (made != WSB_OK) fail_msg("wsb_server_create: %s: %s", wsb_strerror(made), wsb_last_error());
  rig->first = rig->count;
}

void rig_start(Rig *rig) {
  if (rig->server == NULL) rig_create(rig);
  const int started = wsb_server_start(rig->server);
  if (started != WSB_OK) fail_msg("wsb_server_start: %s: %s", wsb_strerror(started), wsb_last_error());
  rig->port = wsb_server_port(rig->server);
}

static void *run_server(void *argument) {
  Rig *rig = argument;
  return (void *)(intptr_t)wsb_server_run(rig->server);
}

static bool listens(void *argument) {
  Rig *rig = argument;
  rig->port = wsb_server_port(rig->server);
  return rig->port != 0;
}

pthread_t rig_run(Rig *rig) {
  pthread_t runner;
  rig_create(rig);
  assert_int_equal(pthread_create(&runner, NULL, run_server, rig), 0);
  assert_true(wait_until(listens, rig, PATIENCE_MS));
  return runner;
}

void rig_flood(Rig *rig, const Record *record) {
  static const uint8_t chunk[65536];
  if (record->type != WSB_EVENT_MESSAGE) return;
  while (wsb_send(rig->server, record->conn, WSB_BINARY, chunk, sizeof chunk) == WSB_OK) {
  }
}

void rig_finish(Rig *rig) {
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  rig_check_pairs(rig, true);
  assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
  rig->server = NULL;
}

void rig_check_pairs(Rig *rig, bool all_closed) {
  size_t wrong = 0;
  pthread_mutex_lock(&rig->mutex);
  for (size_t i = rig->first; i < rig->count; ++i) {
    const Record *first = rig->records[i];
    if (first->type == WSB_EVENT_LOG || first->conn == 0) continue;
    size_t opens = 0;
    size_t closes = 0;
    bool closed = false;
    for (size_t k = rig->first; k < rig->count; ++k) {
      const Record *each = rig->records[k];
      if (each->conn != first->conn || each->type == WSB_EVENT_LOG) continue;
      wrong += closed;                                     /* something after the close */
      wrong += opens == 0 && each->type != WSB_EVENT_OPEN; /* something before the open */
      opens += each->type == WSB_EVENT_OPEN;
      closes += each->type == WSB_EVENT_CLOSE;
      closed = closes > 0;
    }
    wrong += opens != 1;
    wrong += all_closed ? closes != 1 : closes > 1;
  }
  pthread_mutex_unlock(&rig->mutex);
  assert_int_equal(wrong, 0);
}

Client *rig_client_with(Rig *rig, wsb_conn *conn, const char *path, const char *headers, int receive_buffer) {
  const size_t before = rig_count(rig, WSB_EVENT_OPEN);
  Client *client = client_tcp("127.0.0.1", rig->port, receive_buffer);
  assert_non_null(client);
  const int status = client_handshake(client, path, headers, PATIENCE_MS);
  if (status != 101) fail_msg("the handshake was answered with %d", status);
  if (conn != NULL) *conn = rig_expect(rig, WSB_EVENT_OPEN, before)->conn;
  return client;
}

Client *rig_client(Rig *rig, wsb_conn *conn) {
  return rig_client_with(rig, conn, "/", NULL, 0);
}

size_t rig_jam(Rig *rig, wsb_conn conn, size_t size) {
  uint8_t *data = calloc(1, size);
  assert_non_null(data);
  size_t sent = 0;
  for (int64_t before = -1;;) {
    int result;
    while ((result = wsb_send(rig->server, conn, WSB_BINARY, data, size)) == WSB_OK) ++sent;
    assert_int_equal(result, WSB_E_FULL);
    pause_ms(50);
    const int64_t now = wsb_buffered_amount(rig->server, conn);
    if (now == before && now > 0) break; /* what waits is what the kernel did not take */
    before = now;
  }
  free(data);
  return sent;
}

/* ------------------------------------------------------------------------------------------------------------ assertions */

Frame expect_frame_at(Client *client, uint8_t opcode, const char *file, int line) {
  Frame frame = {0};
  if (!client_read(client, &frame, PATIENCE_MS)) {
    print_error("%s:%d: no frame, the connection %s\n", file, line, client->ended ? "ended" : "is silent");
    _fail(file, line);
  }
  _assert_int_equal(frame.opcode, opcode, file, line);
  _assert_true(frame.final, "the frame is whole", file, line);
  _assert_true(!frame.masked, "the frame is not masked", file, line);
  _assert_int_equal(frame.reserved_bits, 0, file, line);
  return frame;
}

void expect_close_at(Client *client, uint32_t code, const char *reason, const char *file, int line) {
  const Frame frame = expect_frame_at(client, OP_CLOSE, file, line);
  if (code == 0) {
    _assert_int_equal(frame.length, 0, file, line);
    return;
  }
  _assert_true(frame.length >= 2, "the Close carries a code", file, line);
  _assert_int_equal((uint32_t)frame.data[0] << 8 | frame.data[1], code, file, line);
  char text[126] = {0};
  memcpy(text, frame.data + 2, frame.length - 2);
  _assert_string_equal(text, reason, file, line);
}

void expect_end_at(Client *client, const char *file, int line) {
  _assert_true(client_read_end(client, PATIENCE_MS), "the server ended the connection", file, line);
}

void expect_text_at(Client *client, const char *text, const char *file, int line) {
  const Frame frame = expect_frame_at(client, OP_TEXT, file, line);
  char copy[1024] = {0};
  _assert_true(frame.length < sizeof copy, "a short text", file, line);
  memcpy(copy, frame.data, frame.length);
  _assert_string_equal(copy, text, file, line);
}

void expect_error_at(int code, int expected, const char *word, const char *file, int line) {
  const bool named = word == NULL || strstr(wsb_last_error(), word) != NULL;
  if (code != expected || !named) {
    print_error("%s:%d: %d (%s), expected %d mentioning '%s'; last error: '%s'\n", file, line, code, wsb_strerror(code),
                expected, word != NULL ? word : "", wsb_last_error());
    _fail(file, line);
  }
}
