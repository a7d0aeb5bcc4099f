/* Loads the library by its file name alone, serves one client with it, unloads it and finds it gone; many times over.
 * The header gives types here; no function of it is linked.
 * usage: LIBRARY, with a client of our own; or LIBRARY CERTIFICATE KEY, over TLS: whoever reads the port from stdout is the client. */
#include <dirent.h>
#include <dlfcn.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "raw_client.h"
#include "wsbeat/wsbeat.h"

enum { ROUNDS = 20, TLS_ROUNDS = 5, OPCODE_TEXT = 1, OPCODE_CLOSE = 8, WORKERS = 2, CLIENT_TIMEOUT_S = 20 };

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
  sem_t ended;
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
  sem_post(&seen.ended);
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

static void be_the_client(uint32_t port) {
  const int fd = raw_connect(port);
  raw_send(fd, OPCODE_TEXT, "hello", 5);
  raw_expect(fd, OPCODE_TEXT, "hello", 5);
  raw_send(fd, OPCODE_CLOSE,
           "\x03\xe8"
           "bye",
           5);
  raw_expect(fd, OPCODE_CLOSE, "\x03\xe8", 2);
  raw_expect_end(fd);
}

static void tell_the_client(uint32_t port) {
  printf("%u\n", port);
  CHECK(fflush(stdout) == 0);
}

static void wait_for_the_end(void) {
  struct timespec limit;
  CHECK(clock_gettime(CLOCK_REALTIME, &limit) == 0);
  limit.tv_sec += CLIENT_TIMEOUT_S;
  CHECK(sem_timedwait(&seen.ended, &limit) == 0);
}

static void serve_one_client(const wsb_config *config) {
  wsb_callbacks callbacks;
  wsb_stop_result result;
  wsb_metrics metrics;
  memset(&seen, 0, sizeof seen);
  CHECK(sem_init(&seen.ended, 0, 0) == 0);
  memset(&result, 0, sizeof result);
  result.size = sizeof result;
  wsb_callbacks_init(&callbacks);
  wsb_metrics_init(&metrics);
  callbacks.on_open = on_open;
  callbacks.on_message = on_message;
  callbacks.on_close = on_close;
  CHECK(wsb.server_create(config, &callbacks, NULL) == WSB_E_INVALID);
  CHECK(wsb.last_error()[0] != '\0');
  CHECK(wsb.server_create(config, &callbacks, &seen.server) == WSB_OK);
  CHECK(wsb.server_start(seen.server) == WSB_OK);
  (config->tls_cert_file == NULL ? be_the_client : tell_the_client)(wsb.server_port(seen.server));
  wait_for_the_end();
  CHECK(wsb.server_stop(seen.server, NULL, &result) == WSB_OK);
  CHECK(wsb.server_get_metrics(seen.server, &metrics) == WSB_OK);
  CHECK(metrics.opened == 1 && metrics.closed == 1);
  CHECK(wsb.server_destroy(seen.server) == WSB_OK);
  CHECK(seen.opened == 1 && seen.messages == 1);
  CHECK(seen.closed == 1 && seen.clean == 1 && seen.code == WSB_CLOSE_NORMAL);
  CHECK(sem_destroy(&seen.ended) == 0);
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

static void one_round(const char *path, const wsb_config *config) {
  void *library = load(path);
  CHECK(is_mapped(path));
  CHECK(strcmp(wsb.version_string(), WSB_VERSION_STRING) == 0);
  CHECK(wsb.version_number() == WSB_VERSION_NUMBER);
  serve_one_client(config);
  CHECK(dlclose(library) == 0);
  CHECK(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL);
  CHECK(!is_mapped(path));
}

int main(int argc, char **argv) {
  CHECK(argc == 2 || argc == 4);
  wsb_config config;
  wsb_config_init(&config);
  config.workers = WORKERS;
  if (argc == 4) {
    config.tls_cert_file = argv[2];
    config.tls_key_file = argv[3];
  }
  const int descriptors_before = count_entries("/proc/self/fd");
  const int threads_before = count_entries("/proc/self/task");
  const int rounds = argc == 4 ? TLS_ROUNDS : ROUNDS;
  for (int round = 0; round < rounds; ++round) {
    one_round(argv[1], &config);
    CHECK(count_entries("/proc/self/fd") == descriptors_before);
    CHECK(count_entries("/proc/self/task") == threads_before);
  }
  printf("%d rounds\n", rounds);
  return 0;
}
