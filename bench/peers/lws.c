/* libwebsockets the conventional way, to compare with: ws role, a queue per connection, one lws_write per WRITEABLE callback, on lws's own
 * poll loop or on libuv. Nothing of wsbeat is used here. */
#include <getopt.h>
#include <libwebsockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RX_BYTES = 65536, QUEUE_HIGH = 1024, QUEUE_LOW = 512 };

typedef struct message {
  unsigned references;
  size_t length;
  enum lws_write_protocol kind;
  unsigned char data[]; /* LWS_PRE bytes, then the payload */
} message;

typedef struct entry {
  struct entry *next;
  message *message;
} entry;

typedef struct session {
  struct session *next; /* all of them, for broadcasts */
  struct session *previous;
  struct lws *wsi;
  entry *first;
  entry *last;
  size_t count;
} session;

static struct lws_context *context;
static volatile sig_atomic_t stopping;
static int broadcast;
static session all = {&all, &all, NULL, NULL, NULL, 0};

static void on_signal(int number) {
  (void)number;
  stopping = 1;
  lws_cancel_service(context);
}

static void drop(message *m) {
  if (--m->references == 0) free(m);
}

static int push(session *s, message *m) {
  entry *e = malloc(sizeof *e);
  if (!e) return -1;
  e->next = NULL;
  e->message = m;
  m->references++;
  if (s->last) {
    s->last->next = e;
  } else {
    s->first = e;
  }
  s->last = e;
  if (++s->count == QUEUE_HIGH) lws_rx_flow_control(s->wsi, 0);
  lws_callback_on_writable(s->wsi);
  return 0;
}

static int received(struct lws *wsi, session *s, const void *in, size_t length) {
  message *m = malloc(sizeof *m + LWS_PRE + length);
  int result = 0;
  if (!m) return -1;
  m->references = 1;
  m->length = length;
  m->kind = (enum lws_write_protocol)lws_write_ws_flags(lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT,
                                                        lws_is_first_fragment(wsi), lws_is_final_fragment(wsi));
  memcpy(m->data + LWS_PRE, in, length);
  if (broadcast) {
    for (session *receiver = all.next; receiver != &all; receiver = receiver->next) (void)push(receiver, m);
  } else {
    result = push(s, m);
  }
  drop(m);
  return result;
}

static void drop_first(session *s) {
  entry *e = s->first;
  s->first = e->next;
  if (!s->first) s->last = NULL;
  s->count--;
  drop(e->message);
  free(e);
}

static int write_one(struct lws *wsi, session *s) {
  if (!s->first) return 0;
  message *m = s->first->message;
  if (lws_write(wsi, m->data + LWS_PRE, m->length, m->kind) < (int)m->length) return -1;
  drop_first(s);
  if (s->count == QUEUE_LOW) lws_rx_flow_control(wsi, 1);
  if (s->first) lws_callback_on_writable(wsi);
  return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
  session *s = user;
  switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
      s->wsi = wsi;
      s->next = all.next;
      s->previous = &all;
      all.next->previous = s;
      all.next = s;
      return 0;
    case LWS_CALLBACK_RECEIVE:
      return received(wsi, s, in, length);
    case LWS_CALLBACK_SERVER_WRITEABLE:
      return write_one(wsi, s);
    case LWS_CALLBACK_CLOSED:
      while (s->first) drop_first(s);
      s->next->previous = s->previous;
      s->previous->next = s->next;
      return 0;
    default:
      return 0;
  }
}

static void usage(FILE *out) {
  fputs(
      "usage: peer-lws [options]\nServes WebSockets on 127.0.0.1 and prints \"listening PORT\".\n"
      "  --port N        0: any free one (0)\n  --broadcast     to everybody instead of back\n  --uv            on "
      "libuv instead of lws's poll loop\n"
      "  --cert FILE --key FILE   TLS\n  --heartbeat S   pings, lws's own way\n",
      out);
}

int main(int argc, char **argv) {
  static const struct option names[] = {
      {"port", required_argument, NULL, 'p'}, {"broadcast", no_argument, NULL, 'b'},
      {"uv", no_argument, NULL, 'u'},         {"cert", required_argument, NULL, 'c'},
      {"key", required_argument, NULL, 'k'},  {"heartbeat", required_argument, NULL, 'h'},
      {"help", no_argument, NULL, '?'},       {NULL, 0, NULL, 0}};
  static struct lws_protocols protocols[] = {{"echo", on_event, sizeof(session), RX_BYTES, 0, NULL, 0},
                                             {NULL, NULL, 0, 0, 0, NULL, 0}};
  static lws_retry_bo_t beat;
  struct lws_context_creation_info info;
  memset(&info, 0, sizeof info);
  for (int which; (which = getopt_long(argc, argv, "", names, NULL)) != -1;) {
    if (which == 'p') info.port = atoi(optarg);
    if (which == 'b') broadcast = 1;
    if (which == 'u') info.options |= LWS_SERVER_OPTION_LIBUV;
    if (which == 'c') info.ssl_cert_filepath = optarg;
    if (which == 'k') info.ssl_private_key_filepath = optarg;
    if (which == 'h') beat.secs_since_valid_ping = (uint16_t)atoi(optarg);
    if (which == '?') {
      usage(stderr);
      return 2;
    }
  }
  if (beat.secs_since_valid_ping) {
    beat.secs_since_valid_hangup = (uint16_t)(beat.secs_since_valid_ping + 10);
    info.retry_and_idle_policy = &beat;
  }
  lws_set_log_level(LLL_ERR, NULL);
  info.iface = "127.0.0.1";
  info.protocols = protocols;
  info.options |= LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
  if (info.ssl_cert_filepath) info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  info.alpn = "http/1.1";
  context = lws_create_context(&info);
  struct lws_vhost *vhost = context ? lws_create_vhost(context, &info) : NULL;
  if (!vhost) {
    fputs("peer-lws: cannot listen\n", stderr);
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
