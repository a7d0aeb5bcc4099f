/* A blocking raw WebSocket client with timeouts: bytes and frames in and out, no policy. It never asserts, so any thread may use it. */
#ifndef WSBEAT_TESTS_CAPI_SUPPORT_CLIENT_H
#define WSBEAT_TESTS_CAPI_SUPPORT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
/* Or-ed to an opcode: more fragments follow. */
enum { MORE_FRAGMENTS = 0x100 };

struct ssl_st;

typedef struct Client {
  int fd;
  struct ssl_st *ssl; /* NULL: plain */
  bool ended;         /* the peer ended the connection */
  bool reset;         /* with an error instead of an orderly end */
  uint8_t *buffer;
  size_t begin;
  size_t end;
  size_t capacity;
  char head[8192]; /* the answer to the request, NUL-terminated */
} Client;

typedef struct Frame {
  bool final;
  bool masked;
  uint8_t reserved_bits;
  uint8_t opcode;
  const uint8_t *data; /* valid until the next read */
  size_t length;
} Frame;

/* Connect without a handshake; NULL on failure. receive_buffer 0: the system's. */
Client *client_tcp(const char *host, uint32_t port, int receive_buffer);
Client *client_unix(const char *path);
/* Connects to 127.0.0.1 and shakes hands on "/"; NULL unless the answer was 101. */
Client *client_open(uint32_t port);
/* Closes the socket and frees; NULL is allowed. client_reset sends a TCP reset instead of an orderly end. */
void client_free(Client *client);
void client_reset(Client *client);

/* Sends a WebSocket upgrade request and reads the answer's head; returns its status or -1. `headers` may be NULL. */
int client_handshake(Client *client, const char *path, const char *headers, int timeout_ms);
/* Sends any request text and reads the answer's head; returns its status or -1. */
int client_request(Client *client, const char *request, int timeout_ms);
/* Reads until the end of the connection; returns a NUL-terminated text that lives until the client is freed or reads again. */
const char *client_body(Client *client, int timeout_ms);

bool client_send_bytes(Client *client, const void *data, size_t length);
/* Sends one masked frame. */
bool client_send(Client *client, int opcode, const void *data, size_t length);
bool client_send_text(Client *client, const char *text);
/* Code 0 sends a Close without a payload. */
bool client_send_close(Client *client, uint32_t code, const char *reason);
/* Appends a masked frame to a buffer and returns its length (at most length + 14). */
size_t build_frame(uint8_t *out, int opcode, const void *data, size_t length);

/* Reads one frame; false at the end of the connection (client->ended) or after timeout_ms. */
bool client_read(Client *client, Frame *frame, int timeout_ms);
/* Drops what comes until the connection ends; false after timeout_ms. */
bool client_read_end(Client *client, int timeout_ms);

#endif
