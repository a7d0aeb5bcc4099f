/* The raw WebSocket client. */
#define _GNU_SOURCE /* memmem */

#include "support_client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 65536 };

static int64_t clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static Client *adopt(int fd) {
  Client *client = calloc(1, sizeof *client);
  if (client == NULL) abort();
  client->fd = fd;
  const struct timeval limit = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return client;
}

Client *client_tcp(const char *host, uint32_t port, int receive_buffer) {
  char service[16];
  snprintf(service, sizeof service, "%u", port);
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  if (getaddrinfo(host, service, &hints, &found) != 0) return NULL;
  int fd = -1;
  for (struct addrinfo *each = found; each != NULL && fd < 0; each = each->ai_next) {
    fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    if (receive_buffer > 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, each->ai_addr, each->ai_addrlen) != 0) {
      close(fd);
      fd = -1;
    }
  }
  freeaddrinfo(found);
  return fd < 0 ? NULL : adopt(fd);
}

Client *client_unix(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return NULL;
  if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    return NULL;
  }
  return adopt(fd);
}

Client *client_open(uint32_t port) {
  Client *client = client_tcp("127.0.0.1", port, 0);
  if (client != NULL && client_handshake(client, "/", NULL, 10000) != 101) {
    client_free(client);
    client = NULL;
  }
  return client;
}

void client_free(Client *client) {
  if (client == NULL) return;
  SSL_free(client->ssl);
  close(client->fd);
  free(client->buffer);
  free(client);
}

void client_reset(Client *client) {
  const struct linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  client_free(client);
}

bool client_send_bytes(Client *client, const void *data, size_t length) {
  const uint8_t *next = data;
  while (length > 0) {
    ssize_t sent;
    if (client->ssl != NULL) {
      sent = SSL_write(client->ssl, next, (int)length);
    } else {
      sent = send(client->fd, next, length, MSG_NOSIGNAL);
    }
    if (sent <= 0) {
      if (client->ssl == NULL && errno == EINTR) continue;
      return false;
    }
    next += sent;
    length -= (size_t)sent;
  }
  return true;
}

/* Takes more bytes into the buffer; false at the end or the deadline. */
static bool receive_more(Client *client, int64_t deadline) {
  if (client->begin > 0) {
    memmove(client->buffer, client->buffer + client->begin, client->end - client->begin);
    client->end -= client->begin;
    client->begin = 0;
  }
  if (client->capacity - client->end <= READ_BYTES) {
    client->capacity = client->capacity * 2 + 131072;
    client->buffer = realloc(client->buffer, client->capacity);
    if (client->buffer == NULL) abort();
  }
  for (;;) {
    if (client->ssl == NULL || SSL_pending(client->ssl) == 0) {
      const int64_t left = deadline - clock_ms();
      struct pollfd waiting = {.fd = client->fd, .events = POLLIN};
      const int ready = poll(&waiting, 1, left > 0 ? (int)left : 0);
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) return false;
    }
    ssize_t got;
    if (client->ssl != NULL) {
      got = SSL_read(client->ssl, client->buffer + client->end, READ_BYTES);
    } else {
      got = recv(client->fd, client->buffer + client->end, READ_BYTES, 0);
    }
    if (got > 0) {
      client->end += (size_t)got;
      return true;
    }
    if (got < 0 && client->ssl == NULL && errno == EINTR) continue;
    client->ended = true;
    client->reset = got < 0;
    return false;
  }
}

int client_request(Client *client, const char *request, int timeout_ms) {
  const int64_t deadline = clock_ms() + timeout_ms;
  if (!client_send_bytes(client, request, strlen(request))) return -1;
  for (;;) {
    const size_t have = client->end - client->begin;
    const uint8_t *start = have > 0 ? client->buffer + client->begin : NULL;
    const uint8_t *last = have > 0 ? memmem(start, have, "\r\n\r\n", 4) : NULL;
    if (last != NULL) {
      const size_t length = (size_t)(last - start) + 4;
      if (length >= sizeof client->head) return -1;
      memcpy(client->head, start, length);
      client->head[length] = '\0';
      client->begin += length;
      int status = -1;
      return sscanf(client->head, "HTTP/1.1 %d ", &status) == 1 ? status : -1;
    }
    if (!receive_more(client, deadline)) return -1;
  }
}

int client_handshake(Client *client, const char *path, const char *headers, int timeout_ms) {
  char request[4096];
  snprintf(request, sizeof request,
           "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
           path, headers != NULL ? headers : "");
  return client_request(client, request, timeout_ms);
}

const char *client_body(Client *client, int timeout_ms) {
  const int64_t deadline = clock_ms() + timeout_ms;
  while (receive_more(client, deadline)) {
  }
  client->buffer[client->end] = '\0';
  return (const char *)client->buffer + client->begin;
}

size_t build_frame(uint8_t *out, int opcode, const void *data, size_t length) {
  static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  size_t at = 0;
  out[at++] = (uint8_t)((opcode & 0x7f) | ((opcode & MORE_FRAGMENTS) != 0 ? 0 : 0x80));
  if (length < 126) {
    out[at++] = (uint8_t)(0x80 | length);
  } else {
    const int bytes = length < 65536 ? 2 : 8;
    out[at++] = bytes == 2 ? 0x80 | 126 : 0x80 | 127;
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out[at++] = (uint8_t)((uint64_t)length >> shift);
  }
  memcpy(out + at, mask, sizeof mask);
  at += sizeof mask;
  const uint8_t *bytes = data;
  for (size_t i = 0; i < length; ++i) out[at + i] = bytes[i] ^ mask[i % 4];
  return at + length;
}

bool client_send(Client *client, int opcode, const void *data, size_t length) {
  uint8_t *frame = malloc(length + 14);
  if (frame == NULL) abort();
  const bool sent = client_send_bytes(client, frame, build_frame(frame, opcode, data, length));
  free(frame);
  return sent;
}

bool client_send_text(Client *client, const char *text) {
  return client_send(client, OP_TEXT, text, strlen(text));
}

bool client_send_close(Client *client, uint32_t code, const char *reason) {
  uint8_t payload[125] = {(uint8_t)(code >> 8), (uint8_t)code};
  if (code == 0) return client_send(client, OP_CLOSE, payload, 0);
  const size_t length = strlen(reason);
  memcpy(payload + 2, reason, length);
  return client_send(client, OP_CLOSE, payload, length + 2);
}

/* The length of the whole frame at the front of the buffer, or 0 while it is incomplete. */
static size_t parse_frame(const Client *client, Frame *frame) {
  const size_t have = client->end - client->begin;
  if (have < 2) return 0;
  const uint8_t *bytes = client->buffer + client->begin;
  size_t at = 2;
  uint64_t length = bytes[1] & 0x7f;
  if (length >= 126) {
    const size_t extra = length == 126 ? 2 : 8;
    if (have < at + extra) return 0;
    length = 0;
    for (size_t i = 0; i < extra; ++i) length = length << 8 | bytes[at + i];
    at += extra;
  }
  if ((bytes[1] & 0x80) != 0) at += 4;
  if (have < at || have - at < length) return 0;
  *frame = (Frame){.final = (bytes[0] & 0x80) != 0,
                   .masked = (bytes[1] & 0x80) != 0,
                   .reserved_bits = (bytes[0] >> 4) & 7,
                   .opcode = bytes[0] & 15,
                   .data = bytes + at,
                   .length = (size_t)length};
  return at + (size_t)length;
}

bool client_read(Client *client, Frame *frame, int timeout_ms) {
  const int64_t deadline = clock_ms() + timeout_ms;
  for (;;) {
    const size_t length = parse_frame(client, frame);
    if (length > 0) {
      client->begin += length;
      return true;
    }
    if (!receive_more(client, deadline)) return false;
  }
}

bool client_read_end(Client *client, int timeout_ms) {
  const int64_t deadline = clock_ms() + timeout_ms;
  while (!client->ended) {
    client->begin = client->end;
    if (!receive_more(client, deadline) && !client->ended) return false;
  }
  return true;
}
