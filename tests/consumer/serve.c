/* What a first program does: serve, tell the port, stop. */
#include <stdio.h>
#include <wsbeat/wsbeat.h>

int main(void) {
  wsb_server* server = NULL;
  if (wsb_server_create(NULL, NULL, &server) != WSB_OK || wsb_server_start(server) != WSB_OK) {
    fprintf(stderr, "%s\n", wsb_last_error());
    return 1;
  }
  printf("%s port %s\n", wsb_version_string(), wsb_server_port(server) != 0 ? "given" : "missing");
  return wsb_server_stop(server, NULL, NULL) == WSB_OK && wsb_server_destroy(server) == WSB_OK ? 0 : 1;
}
