/* A program of the 0.1 days: it knows the declarations of then, and the library of today must serve it. */
#include <poll.h>
#include <string.h>

#include "../raw_client.h"
#include "wsbeat-0.1.h"

enum { OPCODE_TEXT = 1, OPCODE_CLOSE = 8, WAIT_MS = 10000 };

/* Waits for the next event, which must be of this type, and gives its batch. */
static wsb_batch *expect_event(wsb_server *server, uint32_t type) {
  wsb_batch *batch = NULL;
  while (batch == NULL) {
    struct pollfd waiting = {.fd = wsb_server_event_fd(server), .events = POLLIN, .revents = 0};
    CHECK(poll(&waiting, 1, WAIT_MS) == 1);
    CHECK(wsb_server_next_events(server, 1, &batch) == WSB_OK);
  }
  CHECK(wsb_batch_count(batch) == 1);
  CHECK(wsb_batch_event(batch, 0)->type == type);
  return batch;
}

static void refuses_what_is_wrong(void) {
  wsb_server *server = NULL;
  wsb_config config;
  wsb_config_init(&config);
  config.port = 65536;
  CHECK(wsb_server_create(&config, NULL, &server) == WSB_E_CONFIG);
  CHECK(strstr(wsb_last_error(), "port") != NULL);
  CHECK(strcmp(wsb_strerror(WSB_E_CONFIG), "configuration refused") == 0);
}

static void serves_by_queue(void) {
  wsb_server *server = NULL;
  wsb_config config;
  wsb_conn_info info;
  wsb_config_init(&config);
  config.delivery = WSB_DELIVERY_QUEUE;
  config.subprotocols = "v1.5,v2.0";
  config.heartbeat_interval_ms = 60000;
  config.deflate_threshold_bytes = 1024;
  CHECK(wsb_server_create(&config, NULL, &server) == WSB_OK);
  CHECK(wsb_server_start(server) == WSB_OK);
  const int fd = raw_connect(wsb_server_port(server));

  wsb_batch *batch = expect_event(server, WSB_EVENT_OPEN);
  const wsb_conn conn = wsb_batch_event(batch, 0)->open->conn;
  CHECK(strcmp(wsb_batch_event(batch, 0)->open->path, "/abi") == 0);
  wsb_batch_release(batch);
  wsb_conn_info_init(&info);
  CHECK(wsb_conn_get_info(server, conn, &info) == WSB_OK);
  CHECK(info.heartbeat_interval_ms == 60000 && info.state == WSB_STATE_OPEN);

  raw_send(fd, OPCODE_TEXT, "then", 4);
  batch = expect_event(server, WSB_EVENT_MESSAGE);
  const wsb_message_event *message = wsb_batch_event(batch, 0)->message;
  CHECK(message->kind == WSB_TEXT && message->length == 4 && memcmp(message->data, "then", 4) == 0);
  CHECK(wsb_send(server, conn, message->kind, message->data, message->length) == WSB_OK);
  wsb_batch_release(batch);
  raw_expect(fd, OPCODE_TEXT, "then", 4);

  raw_send(fd, OPCODE_CLOSE, "\x03\xe9", 2);
  raw_expect(fd, OPCODE_CLOSE, "\x03\xe9", 2);
  raw_expect_end(fd);
  batch = expect_event(server, WSB_EVENT_CLOSE);
  const wsb_close_event *closed = wsb_batch_event(batch, 0)->close;
  CHECK(closed->code == WSB_CLOSE_GOING_AWAY && closed->clean == 1 && closed->cause == WSB_CAUSE_PEER_CLOSE);
  wsb_batch_release(batch);

  CHECK(wsb_server_stop(server, NULL, NULL) == WSB_OK);
  wsb_batch_release(expect_event(server, WSB_EVENT_STOPPED));
  CHECK(wsb_server_destroy(server) == WSB_OK);
}

int main(void) {
  refuses_what_is_wrong();
  serves_by_queue();
  return 0;
}
