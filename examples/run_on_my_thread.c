/* A server on the thread that calls it: wsb_server_run serves until it is told to stop, and all callbacks come on this thread.
 * It listens on a port, or on the socket that a supervisor such as systemd hands over (LISTEN_FDS; socket activation).
 *
 *   cc run_on_my_thread.c -o run_on_my_thread $(pkg-config --cflags --libs wsbeat) && ./run_on_my_thread 9001
 *   systemd-socket-activate -l 9001 ./run_on_my_thread
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wsbeat/wsbeat.h>

/* systemd passes sockets from this number on, and says for which process they are (sd_listen_fds(3)). */
enum { FIRST_INHERITED_FD = 3 };

/* The first one, or 0 (none) if nothing was passed to this very process. */
static int inherited_fd(void) {
  const char *count = getenv("LISTEN_FDS");
  const char *pid = getenv("LISTEN_PID");
  if (count == NULL || pid == NULL || atol(pid) != (long)getpid()) return 0;
  return atoi(count) > 0 ? FIRST_INHERITED_FD : 0;
}

struct app {
  wsb_server *server;
  unsigned messages; /* needs no lock: only this thread touches it */
};

static void on_message(const wsb_message_event *event, void *user) {
  struct app *app = user;
  if (event->kind == WSB_TEXT && event->length == 4 && memcmp(event->data, "stop", 4) == 0) {
    /* wsb_server_stop would wait for this very thread, so inside a callback it is an error; this only begins to stop. */
    wsb_server_request_stop(app->server, NULL);
    return;
  }
  char answer[64];
  const int length = snprintf(answer, sizeof answer, "message %u has %zu bytes", ++app->messages, event->length);
  wsb_send(app->server, event->conn, WSB_TEXT, answer, (size_t)length);
}

int main(int argc, char **argv) {
  struct app app = {NULL, 0};

  wsb_config config;
  wsb_config_init(&config);
  config.port = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 9001;
  config.listen_fd = inherited_fd(); /* goes before host and port */

  wsb_callbacks callbacks;
  wsb_callbacks_init(&callbacks);
  callbacks.user = &app;
  callbacks.on_message = on_message;

  int result = wsb_server_create(&config, &callbacks, &app.server);
  if (result == WSB_OK) {
    puts("serving until a client sends \"stop\"");
    fflush(stdout);
    result = wsb_server_run(app.server); /* returns after the last connection has ended */
  }
  if (result != WSB_OK) fprintf(stderr, "%s: %s\n", wsb_strerror(result), wsb_last_error());
  wsb_server_destroy(app.server);
  printf("%u messages\n", app.messages);
  return result == WSB_OK ? 0 : 1;
}
