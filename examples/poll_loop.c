/* A chat in a plain poll(2) loop: no callbacks, no threads of yours, no locks. The library's events are one more descriptor beside
 * the program's own input and timer. What you type goes to everyone; what one client says goes to all. Ctrl-D ends it.
 *
 *   cc poll_loop.c -o poll_loop $(pkg-config --cflags --libs wsbeat) && ./poll_loop 9001
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <wsbeat/wsbeat.h>

enum { REPORT_INTERVAL_MS = 10000, BATCH_EVENTS = 256 };

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct fan_out {
  wsb_server *server;
  wsb_message *message;
};

/* A client whose queue is full misses this message: WSB_E_FULL is ignored here on purpose. */
static int send_to_one(wsb_conn conn, void *user) {
  struct fan_out *out = user;
  wsb_send_message(out->server, conn, out->message);
  return 0;
}

/* A shared message is built once, however many connections it goes to. */
static void send_to_all(wsb_server *server, uint32_t kind, const void *data, size_t length) {
  struct fan_out out = {server, wsb_message_create(kind, data, length)};
  if (out.message == NULL) return; /* typed text that is not UTF-8, for one */
  wsb_server_for_each(server, send_to_one, &out);
  wsb_message_release(out.message); /* the queues hold references of their own */
}

/* Returns 0 at the server's last event. */
static int handle_event(wsb_server *server, const wsb_event *event) {
  switch (event->type) {
    case WSB_EVENT_OPEN:
      printf("%llu opened %s from %s\n", (unsigned long long)event->conn, event->open->path, event->open->peer);
      break;
    case WSB_EVENT_MESSAGE:
      send_to_all(server, event->message->kind, event->message->data, event->message->length);
      break;
    case WSB_EVENT_CLOSE:
      printf("%llu closed: %u %s\n", (unsigned long long)event->conn, (unsigned)event->close->code,
             wsb_cause_name(event->close->cause));
      break;
    case WSB_EVENT_STOPPED:
      return 0;
    default: /* new kinds of events may come with new versions */
      break;
  }
  return 1;
}

/* Takes everything that waits. The payloads belong to us until the batch is released. */
static int handle_events(wsb_server *server) {
  int running = 1;
  wsb_batch *batch = NULL;
  while (wsb_server_next_events(server, BATCH_EVENTS, &batch) == WSB_OK && batch != NULL) {
    for (size_t i = 0; i < wsb_batch_count(batch); ++i) running &= handle_event(server, wsb_batch_event(batch, i));
    wsb_batch_release(batch);
  }
  fflush(stdout);
  return running;
}

static void report(wsb_server *server) {
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  wsb_server_get_metrics(server, &metrics);
  printf("%llu connections, %llu messages so far\n", (unsigned long long)metrics.connections,
         (unsigned long long)metrics.messages_in);
  fflush(stdout);
}

static void loop(wsb_server *server) {
  char line[1024];
  struct pollfd fds[2] = {{wsb_server_event_fd(server), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  int64_t next_report_ms = now_ms() + REPORT_INTERVAL_MS;
  for (;;) {
    const int64_t wait_ms = next_report_ms - now_ms();
    if (poll(fds, 2, wait_ms > 0 ? (int)wait_ms : 0) < 0) continue; /* a signal */
    if (now_ms() >= next_report_ms) {
      report(server);
      next_report_ms += REPORT_INTERVAL_MS;
    }
    if (fds[0].revents != 0 && !handle_events(server)) return;
    if (fds[1].revents != 0) {
      const ssize_t length = read(STDIN_FILENO, line, sizeof line);
      if (length > 0) {
        send_to_all(server, WSB_TEXT, line, (size_t)length);
      } else {
        fds[1].fd = -1;                        /* poll ignores it from now on */
        wsb_server_request_stop(server, NULL); /* the closes, and then WSB_EVENT_STOPPED, still come through the loop */
      }
    }
  }
}

int main(int argc, char **argv) {
  wsb_config config;
  wsb_config_init(&config);
  config.port = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 9001;
  config.delivery = WSB_DELIVERY_QUEUE;

  wsb_server *server = NULL;
  if (wsb_server_create(&config, NULL, &server) != WSB_OK || wsb_server_start(server) != WSB_OK) {
    fprintf(stderr, "cannot start: %s\n", wsb_last_error());
    wsb_server_destroy(server);
    return 1;
  }
  printf("listening on ws://127.0.0.1:%u/\n", (unsigned)wsb_server_port(server));
  fflush(stdout);
  loop(server);
  wsb_server_stop(server, NULL, NULL); /* waits for the worker threads */
  wsb_server_destroy(server);
  return 0;
}
