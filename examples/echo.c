/* The smallest useful server: every message goes back to its sender. Callbacks run on the library's worker thread.
 *
 *   cc echo.c -o echo $(pkg-config --cflags --libs wsbeat) && ./echo 9001
 */
#include <stdio.h>
#include <stdlib.h>
#include <wsbeat/wsbeat.h>

/* `user` is callbacks.user below. The event's pointers are valid only until this function returns; wsb_send copies. */
static void on_message(const wsb_message_event *event, void *user) {
  wsb_server **server = user;
  int result = wsb_send(*server, event->conn, event->kind, event->data, event->length);
  /* WSB_E_FULL: the client sends but does not read. wsb_conn_pause and on_drain would slow it down; a server this small lets it go. */
  if (result == WSB_E_FULL) wsb_close(*server, event->conn, WSB_CLOSE_TRY_AGAIN_LATER, "read faster", 11);
}

/* Comes exactly once for every connection, whatever ended it. */
static void on_close(const wsb_close_event *event, void *user) {
  (void)user;
  printf("closed: code %u, reason \"%s\", %s, %s\n", (unsigned)event->code, event->reason,
         event->clean ? "clean" : "not clean", wsb_cause_name(event->cause));
  fflush(stdout);
}

int main(int argc, char **argv) {
  wsb_server *server = NULL;

  wsb_config config;
  wsb_config_init(&config); /* all defaults: loopback, a ping every 25 s, messages up to 1 MiB */
  config.port = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 9001; /* 0: any free port */

  wsb_callbacks callbacks;
  wsb_callbacks_init(&callbacks);
  callbacks.user = &server;
  callbacks.on_message = on_message;
  callbacks.on_close = on_close;

  if (wsb_server_create(&config, &callbacks, &server) != WSB_OK || wsb_server_start(server) != WSB_OK) {
    fprintf(stderr, "cannot start: %s\n", wsb_last_error());
    wsb_server_destroy(server);
    return 1;
  }
  printf("listening on ws://127.0.0.1:%u/ until Enter is pressed\n", (unsigned)wsb_server_port(server));
  fflush(stdout);

  getchar();
  wsb_server_stop(server, NULL, NULL); /* everyone gets a Close; returns when the last on_close was called */
  wsb_server_destroy(server);
  return 0;
}
