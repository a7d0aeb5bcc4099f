/* The conventional libwebsockets echo, to compare with: ws role, a queue per connection, one lws_write per WRITEABLE callback, and
 * lws's own poll loop. Nothing of wsbeat is used here. */
#include <getopt.h>
#include <libwebsockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RX_BYTES = 65536, QUEUE_HIGH = 1024, QUEUE_LOW = 512 };

typedef struct message {
  struct message *next;
  size_t length;
  enum lws_write_protocol kind;
  unsigned char data[]; /* LWS_PRE bytes, then the payload */
} message;

typedef struct session {
  message *first;
  message *last;
  size_t count;
} session;

static struct lws_context *context;
static volatile sig_atomic_t stopping;

static void on_signal(int number) {
  (void)number;
  stopping = 1;
  lws_cancel_service(context);
}

static int push(struct lws *wsi, session *s, const void *in, size_t length) {
  message *m = malloc(sizeof *m + LWS_PRE + length);
  if (!m) return -1;
  const int flags = lws_write_ws_flags(lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT,
                                       lws_is_first_fragment(wsi), lws_is_final_fragment(wsi));
  m->next = NULL;
  m->length = length;
  m->kind = (enum lws_write_protocol)flags;
  memcpy(m->data + LWS_PRE, in, length);
  if (s->last) {
    s->last->next = m;
  } else {
    s->first = m;
  }
  s->last = m;
  if (++s->count == QUEUE_HIGH) lws_rx_flow_control(wsi, 0);
  lws_callback_on_writable(wsi);
  return 0;
}

static void drop_first(session *s) {
  message *m = s->first;
  s->first = m->next;
  if (!s->first) s->last = NULL;
  s->count--;
  free(m);
}

static int write_one(struct lws *wsi, session *s) {
  message *m = s->first;
  if (!m) return 0;
  if (lws_write(wsi, m->data + LWS_PRE, m->length, m->kind) < (int)m->length) return -1;
  drop_first(s);
  if (s->count == QUEUE_LOW) lws_rx_flow_control(wsi, 1);
  if (s->first) lws_callback_on_writable(wsi);
  return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
  session *s = user;
  switch (reason) {
    case LWS_CALLBACK_RECEIVE:
      return push(wsi, s, in, length);
    case LWS_CALLBACK_SERVER_WRITEABLE:
      return write_one(wsi, s);
    case LWS_CALLBACK_CLOSED:
      while (s->first) drop_first(s);
      return 0;
    default:
      return 0;
  }
}

int main(int argc, char **argv) {
  static const struct option names[] = {
      {"port", required_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
  static struct lws_protocols protocols[] = {{"echo", on_event, sizeof(session), RX_BYTES, 0, NULL, 0},
                                             {NULL, NULL, 0, 0, 0, NULL, 0}};
  struct lws_context_creation_info info;
  int which, port = 0;
  while ((which = getopt_long(argc, argv, "", names, NULL)) != -1) {
    if (which == 'p') port = atoi(optarg);
    if (which != 'p') {
      fputs(
          "usage: lws_echo [--port N]\nEchoes WebSocket messages on 127.0.0.1; prints \"listening PORT\". Port 0 is "
          "any free one.\n",
          which == 'h' ? stdout : stderr);
      return which == 'h' ? 0 : 2;
    }
  }
  lws_set_log_level(LLL_ERR, NULL);
  memset(&info, 0, sizeof info);
  info.port = port;
  info.iface = "127.0.0.1";
  info.protocols = protocols;
  info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
  context = lws_create_context(&info);
  struct lws_vhost *vhost = context ? lws_create_vhost(context, &info) : NULL;
  if (!vhost) {
    fputs("lws_echo: cannot listen\n", stderr);
    return 1;
  }
  signal(SIGTERM, on_signal);
  signal(SIGINT, on_signal);
  printf("listening %d\n", lws_get_vhost_listen_port(vhost));
  fflush(stdout);
  while (!stopping && lws_service(context, 0) >= 0) continue;
  lws_context_destroy(context);
  return 0;
}
