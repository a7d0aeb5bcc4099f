/* Loads the library by its file name alone, serves one client with it, unloads it and finds it gone; many times over.
 * The header gives types here; no function of it is linked. */
#include <dirent.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "raw_client.h"
#include "wsbeat/wsbeat.h"

enum { ROUNDS = 20, OPCODE_TEXT = 1, OPCODE_CLOSE = 8 };

/* What the client uses, resolved by dlsym. */
#define API(XX)      \
  XX(server_create)  \
  XX(server_start)   \
  XX(server_port)    \
  XX(server_stop)    \
  XX(server_destroy) \
  XX(send)           \
  XX(version_string) \
  XX(version_number) \
  XX(last_error)     \
  XX(server_get_metrics)

static struct {
#define XX(name) __typeof__(&wsb_##name) name;
  API(XX)
#undef XX
} wsb;

static struct {
  wsb_server *server;
  atomic_int opened;
  atomic_int messages;
  atomic_int closed;
  atomic_int clean;
  atomic_uint code;
} seen;

static void on_open(const wsb_open_event *event, void *user) {
  (void)user;
  if (strcmp(event->path, "/abi") == 0) atomic_fetch_add(&seen.opened, 1);
}

static void on_message(const wsb_message_event *event, void *user) {
  (void)user;
  atomic_fetch_add(&seen.messages, 1);
  if (wsb.send(seen.server, event->conn, event->kind, event->data, event->length) != WSB_OK)
    atomic_store(&seen.messages, -1);
}

static void on_close(const wsb_close_event *event, void *user) {
  (void)user;
  atomic_fetch_add(&seen.closed, 1);
  atomic_store(&seen.clean, (int)event->clean);
  atomic_store(&seen.code, event->code);
}

static void *load(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(library != NULL);
#define XX(name)                                 \
  {                                              \
    void *symbol = dlsym(library, "wsb_" #name); \
    CHECK(symbol != NULL);                       \
    memcpy(&wsb.name, &symbol, sizeof symbol);   \
  }
  API(XX)
#undef XX
  return library;
}

static void serve_one_client(void) {
  wsb_callbacks callbacks;
  wsb_stop_result result;
  wsb_metrics metrics;
  memset(&seen, 0, sizeof seen);
  memset(&result, 0, sizeof result);
  result.size = sizeof result;
  wsb_callbacks_init(&callbacks);
  wsb_metrics_init(&metrics);
  callbacks.on_open = on_open;
  callbacks.on_message = on_message;
  callbacks.on_close = on_close;
  CHECK(wsb.server_create(NULL, &callbacks, NULL) == WSB_E_INVALID);
  CHECK(wsb.last_error()[0] != '\0');
  CHECK(wsb.server_create(NULL, &callbacks, &seen.server) == WSB_OK);
  CHECK(wsb.server_start(seen.server) == WSB_OK);

  const int fd = raw_connect(wsb.server_port(seen.server));
  raw_send(fd, OPCODE_TEXT, "hello", 5);
  raw_expect(fd, OPCODE_TEXT, "hello", 5);
  raw_send(fd, OPCODE_CLOSE,
           "\x03\xe8"
           "bye",
           5);
  raw_expect(fd, OPCODE_CLOSE,
             "\x03\xe8"
             "bye",
             5);
  raw_expect_end(fd);

  CHECK(wsb.server_stop(seen.server, NULL, &result) == WSB_OK);
  CHECK(wsb.server_get_metrics(seen.server, &metrics) == WSB_OK);
  CHECK(metrics.opened == 1 && metrics.closed == 1);
  CHECK(wsb.server_destroy(seen.server) == WSB_OK);
  CHECK(seen.opened == 1 && seen.messages == 1);
  CHECK(seen.closed == 1 && seen.clean == 1 && seen.code == WSB_CLOSE_NORMAL);
}

static int is_mapped(const char *path) {
  const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
  char line[4096];
  int found = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  CHECK(maps != NULL);
  while (fgets(line, sizeof line, maps) != NULL)
    found |= strstr(line, "libwsbeat") != NULL || strstr(line, name) != NULL;
  CHECK(fclose(maps) == 0);
  return found;
}

static int count_entries(const char *folder) {
  int count = 0;
  DIR *entries = opendir(folder);
  CHECK(entries != NULL);
  while (readdir(entries) != NULL) ++count;
  CHECK(closedir(entries) == 0);
  return count;
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  const int descriptors_before = count_entries("/proc/self/fd");
  const int threads_before = count_entries("/proc/self/task");
  for (int round = 1; round <= ROUNDS; ++round) {
    void *library = load(argv[1]);
    CHECK(is_mapped(argv[1]));
    CHECK(strcmp(wsb.version_string(), WSB_VERSION_STRING) == 0);
    CHECK(wsb.version_number() == WSB_VERSION_NUMBER);
    serve_one_client();
    CHECK(dlclose(library) == 0);
    CHECK(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) == NULL);
    CHECK(!is_mapped(argv[1]));
    CHECK(count_entries("/proc/self/fd") == descriptors_before);
    CHECK(count_entries("/proc/self/task") == threads_before);
  }
  printf("%d rounds\n", ROUNDS);
  return 0;
}
