/* See raw_client.h. */
#include "raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TIMEOUT_S = 10, LARGEST_PAYLOAD = 125, MASK_BIT = 0x80, FIN_BIT = 0x80 };

void check_failed(const char *condition, const char *file, int line) {
  fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
  exit(1);
}

static void send_all(int fd, const void *data, size_t length) {
  CHECK(send(fd, data, length, MSG_NOSIGNAL) == (ssize_t)length);
}

static void read_all(int fd, void *data, size_t length) {
  CHECK(recv(fd, data, length, MSG_WAITALL) == (ssize_t)length);
}

/* Key and answer are RFC 6455's own example. */
static void handshake(int fd) {
  static const char request[] =
      "GET /abi HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  char answer[1024] = "";
  send_all(fd, request, sizeof request - 1);
  for (size_t length = 0; strstr(answer, "\r\n\r\n") == NULL; ++length) {
    CHECK(length + 1 < sizeof answer);
    read_all(fd, answer + length, 1);
  }
  CHECK(strncmp(answer, "HTTP/1.1 101 ", 13) == 0);
  CHECK(strstr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != NULL);
}

int raw_connect(uint32_t port) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons((uint16_t)port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const struct timeval timeout = {.tv_sec = TIMEOUT_S, .tv_usec = 0};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0);
  CHECK(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
  handshake(fd);
  return fd;
}

void raw_send(int fd, unsigned opcode, const void *payload, size_t length) {
  static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  uint8_t frame[2 + sizeof mask + LARGEST_PAYLOAD];
  CHECK(length <= LARGEST_PAYLOAD);
  frame[0] = (uint8_t)(FIN_BIT | opcode);
  frame[1] = (uint8_t)(MASK_BIT | length);
  memcpy(frame + 2, mask, sizeof mask);
  for (size_t i = 0; i < length; ++i) frame[6 + i] = ((const uint8_t *)payload)[i] ^ mask[i % sizeof mask];
  send_all(fd, frame, 6 + length);
}

void raw_expect(int fd, unsigned opcode, const void *payload, size_t length) {
  uint8_t head[2];
  uint8_t body[LARGEST_PAYLOAD];
  CHECK(length <= LARGEST_PAYLOAD);
  read_all(fd, head, sizeof head);
  CHECK(head[0] == (FIN_BIT | opcode));
  CHECK(head[1] == length);
  if (length != 0) read_all(fd, body, length);
  CHECK(memcmp(body, payload, length) == 0);
}

void raw_expect_end(int fd) {
  char byte;
  CHECK(recv(fd, &byte, 1, 0) == 0);
  CHECK(close(fd) == 0);
}
