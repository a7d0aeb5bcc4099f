/* A load client: N WebSockets, D messages in flight on each, one thread and one epoll. It sends prebuilt bytes and only counts frames that
 * come back, so that it costs much less than the server it measures. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 18, HEAD_BYTES = 1024, EVENTS = 256, MAX_DEPTH = 4096, OPEN_TIMEOUT_S = 30 };

/* Latencies in logarithmic buckets of 1/16 octave, from 1 ns: at most 6 % off. */
enum { SUB_BITS = 4, SUB_BUCKETS = 1 << SUB_BITS, BUCKETS = 64 * SUB_BUCKETS };

typedef struct options {
  const char *host;
  const char *path;
  uint16_t port;
  uint32_t connections;
  uint32_t depth;
  size_t size;
  bool text;
  double warmup_s;
  double seconds;
  long server_pid;
} options;

typedef struct client {
  int fd;
  bool open;
  bool wants_write;
  size_t head_length; /* bytes of the handshake's answer so far */
  char *head;         /* freed once it is open */
  uint64_t skip;      /* payload bytes of the current frame still to come */
  bool counts;        /* the current frame ends a data message */
  uint8_t frame[10];  /* header of the next frame so far */
  size_t frame_length;
  uint64_t position; /* bytes sent, in the endless repetition of one frame */
  uint64_t owed;     /* bytes to send */
  uint64_t *sent_ns; /* ring: when each message in flight was handed out */
  uint32_t ring_at;  /* the oldest */
} client;

static options opt = {"127.0.0.1", "/", 0, 64, 1, 64, false, 0.5, 3.0, 0};
static client *clients;
static uint8_t *pattern; /* `depth` frames, one after another */
static size_t frame_bytes;
static int poller;
static uint32_t open_count;
static uint8_t input[READ_BYTES];
static uint64_t messages;
static uint64_t histogram[BUCKETS];

static void die(const char *what) {
  fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void record(uint64_t ns) {
  const unsigned octave = ns < SUB_BUCKETS ? 0 : (unsigned)(63 - __builtin_clzll(ns)) - SUB_BITS + 1;
  const uint64_t sub = octave ? (ns >> (octave - 1)) - SUB_BUCKETS : ns;
  histogram[octave * SUB_BUCKETS + sub]++;
}

/* Upper edge of the bucket in which this share of all latencies is reached. */
static double percentile_us(double share) {
  uint64_t total = 0, sum = 0;
  for (unsigned i = 0; i < BUCKETS; i++) total += histogram[i];
  for (unsigned i = 0; i < BUCKETS; i++) {
    sum += histogram[i];
    if (total && (double)sum >= share * (double)total) {
      const unsigned octave = i / SUB_BUCKETS, sub = i % SUB_BUCKETS;
      const uint64_t edge = octave ? (uint64_t)(SUB_BUCKETS + sub + 1) << (octave - 1) : sub + 1;
      return (double)edge / 1000.0;
    }
  }
  return 0.0;
}

static void build_pattern(void) {
  static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
  uint8_t head[14];
  size_t length = 2;
  head[0] = (uint8_t)(0x80 | (opt.text ? 1 : 2));
  if (opt.size < 126) {
    head[1] = (uint8_t)(0x80 | opt.size);
  } else if (opt.size < 65536) {
    head[1] = 0x80 | 126;
    head[length++] = (uint8_t)(opt.size >> 8);
    head[length++] = (uint8_t)opt.size;
  } else {
    head[1] = 0x80 | 127;
    for (int shift = 56; shift >= 0; shift -= 8) head[length++] = (uint8_t)((uint64_t)opt.size >> shift);
  }
  memcpy(head + length, key, sizeof key);
  length += sizeof key;
  frame_bytes = length + opt.size;
  pattern = malloc(frame_bytes * opt.depth);
  if (!pattern) die("memory");
  memcpy(pattern, head, length);
  for (size_t i = 0; i < opt.size; i++) pattern[length + i] = (uint8_t)('a' + i % 26) ^ key[i % 4];
  for (size_t i = 1; i < opt.depth; i++) memcpy(pattern + i * frame_bytes, pattern, frame_bytes);
}

static void watch(client *c, int operation, uint32_t events) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = events;
  event.data.ptr = c;
  if (epoll_ctl(poller, operation, c->fd, &event) < 0) die("epoll_ctl");
}

static void flush(client *c) {
  while (c->owed) {
    const size_t from = c->position % frame_bytes;
    const size_t available = frame_bytes * opt.depth - from;
    const size_t want = c->owed < available ? (size_t)c->owed : available;
    const ssize_t sent = send(c->fd, pattern + from, want, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) die("send");
    if (sent > 0) {
      c->position += (uint64_t)sent;
      c->owed -= (uint64_t)sent;
    }
    if (sent < (ssize_t)want) break;
  }
  if ((c->owed != 0) != c->wants_write) {
    c->wants_write = c->owed != 0;
    watch(c, EPOLL_CTL_MOD, c->wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
}

/* Hands `count` messages to the connection at time `now`; the ring slots are those just freed, or all of them at the start. */
static void send_messages(client *c, uint32_t count, uint64_t now) {
  for (uint32_t i = 0; i < count; i++) {
    c->sent_ns[c->ring_at] = now;
    c->ring_at = c->ring_at + 1 == opt.depth ? 0 : c->ring_at + 1;
  }
  c->owed += (uint64_t)count * frame_bytes;
  flush(c);
}

static size_t header_bytes(const uint8_t *frame, size_t have) {
  if (have < 2) return 2;
  const unsigned length = frame[1] & 0x7f;
  return length == 127 ? 10 : length == 126 ? 4 : 2;
}

static void begin_frame(client *c) {
  const uint8_t *frame = c->frame;
  const unsigned opcode = frame[0] & 0x0f, length = frame[1] & 0x7f;
  errno = 0;
  if (opcode == 8) die("the server sent a Close");
  c->counts = opcode < 8 && (frame[0] & 0x80);
  c->skip = length;
  if (length >= 126) {
    c->skip = 0;
    for (size_t i = 2; i < c->frame_length; i++) c->skip = c->skip << 8 | frame[i];
  }
  c->frame_length = 0;
}

/* Number of messages whose last byte is in these bytes. */
static uint32_t count_messages(client *c, const uint8_t *data, size_t length) {
  uint32_t complete = 0;
  const uint8_t *const end = data + length;
  while (data < end) {
    if (c->skip) {
      const uint64_t step = c->skip < (uint64_t)(end - data) ? c->skip : (uint64_t)(end - data);
      data += step;
      c->skip -= step;
      if (c->skip) break;
      complete += c->counts;
      continue;
    }
    c->frame[c->frame_length++] = *data++;
    if (c->frame_length < header_bytes(c->frame, c->frame_length)) continue;
    begin_frame(c);
    if (!c->skip) complete += c->counts;
  }
  return complete;
}

static void on_frames(client *c, const uint8_t *data, size_t length) {
  const uint32_t complete = count_messages(c, data, length);
  if (!complete) return;
  const uint64_t now = now_ns();
  for (uint32_t i = 0; i < complete; i++) record(now - c->sent_ns[(c->ring_at + i) % opt.depth]);
  messages += complete;
  send_messages(c, complete, now);
}

static void on_head(client *c, const uint8_t *data, size_t length) {
  if (c->head_length + length >= HEAD_BYTES) die("the handshake's answer is too long");
  memcpy(c->head + c->head_length, data, length);
  c->head_length += length;
  c->head[c->head_length] = 0;
  if (!strstr(c->head, "\r\n\r\n")) return;
  errno = 0;
  if (strncmp(c->head, "HTTP/1.1 101", 12) != 0) die("the handshake was refused");
  free(c->head);
  c->head = NULL;
  c->open = true;
  open_count++;
}

static void on_readable(client *c) {
  const ssize_t got = recv(c->fd, input, sizeof input, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got == 0) errno = 0;
  if (got <= 0) die("the server ended a connection");
  if (c->open) {
    on_frames(c, input, (size_t)got);
  } else {
    on_head(c, input, (size_t)got);
  }
}

static void turn(void) {
  struct epoll_event events[EVENTS];
  const int count = epoll_wait(poller, events, EVENTS, 100);
  if (count < 0 && errno != EINTR) die("epoll_wait");
  for (int i = 0; i < count; i++) {
    client *c = events[i].data.ptr;
    if (events[i].events & EPOLLOUT) flush(c);
    if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
  }
}

static void connect_one(client *c, const struct sockaddr_in *address) {
  char request[HEAD_BYTES];
  const int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)address, sizeof *address) < 0) die("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->head = malloc(HEAD_BYTES);
  c->sent_ns = calloc(opt.depth, sizeof *c->sent_ns);
  if (!c->head || !c->sent_ns) die("memory");
  const int length = snprintf(request, sizeof request,
                              "GET %s HTTP/1.1\r\nHost: %s:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                              opt.path, opt.host, opt.port);
  if (length < 0 || (size_t)length >= sizeof request) die("path too long");
  if (send(c->fd, request, (size_t)length, MSG_NOSIGNAL) != length) die("send");
  watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void open_all(void) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons(opt.port);
  errno = 0;
  if (inet_pton(AF_INET, opt.host, &address.sin_addr) != 1) die("--host wants an IPv4 address");
  poller = epoll_create1(EPOLL_CLOEXEC);
  clients = calloc(opt.connections, sizeof *clients);
  if (poller < 0 || !clients) die("start");
  for (uint32_t i = 0; i < opt.connections; i++) connect_one(&clients[i], &address);
  const uint64_t limit = now_ns() + OPEN_TIMEOUT_S * 1000000000ull;
  while (open_count < opt.connections) {
    turn();
    errno = 0;
    if (now_ns() > limit) die("not every handshake was answered");
  }
}

/* User and system time of a process in seconds (proc(5), fields 14 and 15 of stat). */
static double cpu_seconds(long pid) {
  char name[64], line[1024];
  unsigned long user, system;
  snprintf(name, sizeof name, "/proc/%ld/stat", pid);
  FILE *file = fopen(name, "r");
  if (!file) die(name);
  const size_t length = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[length] = 0;
  const char *fields = strrchr(line, ')');
  if (!fields || sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
    die(name);
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void run_for(double seconds) {
  const uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
  while (now_ns() < end) turn();
}

static void usage(FILE *out) {
  fputs(
      "usage: load --port N [options]\n"
      "Keeps echo connections busy and prints one JSON object with the result.\n"
      "  --host ADDRESS      IPv4 address of the server (127.0.0.1)\n"
      "  --port N            its port\n"
      "  --path PATH         request path (/)\n"
      "  --connections N     WebSockets (64)\n"
      "  --depth N           messages in flight on each, 1 to 4096 (1)\n"
      "  --size BYTES        payload of one message (64)\n"
      "  --text              text messages (binary)\n"
      "  --warmup SECONDS    not measured (0.5)\n"
      "  --seconds SECONDS   measured (3)\n"
      "  --server-pid PID    also prints that process's CPU time over the measured window\n"
      "Latency is from handing a message to the kernel until its echo was read. Pings are left unanswered.\n",
      out);
}

static double number(const char *name, const char *text, double least, double most) {
  char *end;
  const double value = strtod(text, &end);
  if (*text && !*end && value >= least && value <= most) return value;
  fprintf(stderr, "load: --%s wants a number from %.0f to %.0f\n", name, least, most);
  exit(2);
}

static void parse(int argc, char **argv) {
  static const struct option names[] = {
      {"host", required_argument, NULL, 'h'},    {"port", required_argument, NULL, 'p'},
      {"path", required_argument, NULL, 'a'},    {"connections", required_argument, NULL, 'c'},
      {"depth", required_argument, NULL, 'd'},   {"size", required_argument, NULL, 's'},
      {"text", no_argument, NULL, 't'},          {"warmup", required_argument, NULL, 'w'},
      {"seconds", required_argument, NULL, 'n'}, {"server-pid", required_argument, NULL, 'P'},
      {"help", no_argument, NULL, '?' + 128},    {NULL, 0, NULL, 0}};
  int which, index = 0;
  while ((which = getopt_long(argc, argv, "", names, &index)) != -1) {
    const char *name = names[index].name;
    switch (which) {
      case 'h':
        opt.host = optarg;
        break;
      case 'a':
        opt.path = optarg;
        break;
      case 't':
        opt.text = true;
        break;
      case 'p':
        opt.port = (uint16_t)number(name, optarg, 1, 65535);
        break;
      case 'c':
        opt.connections = (uint32_t)number(name, optarg, 1, 1000000);
        break;
      case 'd':
        opt.depth = (uint32_t)number(name, optarg, 1, MAX_DEPTH);
        break;
      case 's':
        opt.size = (size_t)number(name, optarg, 0, 1 << 26);
        break;
      case 'w':
        opt.warmup_s = number(name, optarg, 0, 3600);
        break;
      case 'n':
        opt.seconds = number(name, optarg, 0.1, 3600);
        break;
      case 'P':
        opt.server_pid = (long)number(name, optarg, 1, 1 << 30);
        break;
      case '?' + 128:
        usage(stdout);
        exit(0);
      default:
        usage(stderr);
        exit(2);
    }
  }
  if (!opt.port || optind < argc) {
    usage(stderr);
    exit(2);
  }
}

int main(int argc, char **argv) {
  parse(argc, argv);
  build_pattern();
  open_all();
  const uint64_t begin = now_ns();
  for (uint32_t i = 0; i < opt.connections; i++) send_messages(&clients[i], opt.depth, begin);
  run_for(opt.warmup_s);
  messages = 0;
  memset(histogram, 0, sizeof histogram);
  const double cpu_before = opt.server_pid ? cpu_seconds(opt.server_pid) : 0;
  const uint64_t start = now_ns();
  run_for(opt.seconds);
  const double seconds = (double)(now_ns() - start) / 1e9;
  printf(
      "{\"connections\":%u,\"depth\":%u,\"size\":%zu,\"messages\":%llu,\"seconds\":%.3f,\"per_second\":%.0f,"
      "\"p50_us\":%.1f,\"p99_us\":%.1f",
      opt.connections, opt.depth, opt.size, (unsigned long long)messages, seconds, (double)messages / seconds,
      percentile_us(0.50), percentile_us(0.99));
  if (opt.server_pid) printf(",\"server_cpu_seconds\":%.2f", cpu_seconds(opt.server_pid) - cpu_before);
  puts("}");
  return 0;
}
