/* What the ABI tests share: an event recorder, a server rig that checks open and close against each other, and small helpers.
 * Callbacks only record; the main thread asserts, because a failed cmocka assert on another thread kills the process. */
#ifndef WSBEAT_TESTS_CAPI_SUPPORT_H
#define WSBEAT_TESTS_CAPI_SUPPORT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support_client.h"
#include "wsbeat/wsbeat.h"

/* The longest that a test waits for something that must happen; generous, for sanitizers on a busy machine. */
enum { PATIENCE_MS = 10000 };
/* How long a test looks on to see that something does not happen. */
enum { LULL_MS = 150 };
/* Beside WSB_EVENT_*: pieces of streamed messages. */
enum { RECORD_FRAGMENT = 100 };

/* One event; pointers inside `as` are copies owned by the record. */
typedef struct Record {
  uint32_t type; /* WSB_EVENT_* or RECORD_FRAGMENT */
  wsb_conn conn;
  void *conn_user;
  pthread_t thread;
  union {
    wsb_open_event open;
    wsb_message_event message;
    wsb_fragment_event fragment;
    wsb_pong_event pong;
    wsb_drain_event drain;
    wsb_close_event close;
    wsb_refused_event refused;
    wsb_log_event log;
    wsb_resumed_event resumed;
  } as;
  void *owned[4];
} Record;

/* A server with everything it reported. Change config and callbacks between rig_setup and rig_start. */
typedef struct Rig {
  wsb_config config;
  wsb_callbacks callbacks;
  wsb_server *server;
  uint32_t port;
  void (*on_record)(struct Rig *rig, const Record *record); /* on the callback's thread, after recording; may be NULL */
  void *context;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  Record **records;
  size_t count;
  size_t first; /* record of this server: each gives its ids anew */
  size_t capacity;
} Rig;

/* cmocka fixtures; every test also gets a time limit. *state is a Rig whose callbacks record. */
int rig_setup(void **state);
int rig_teardown(void **state);
#define RIG_TEST(function) cmocka_unit_test_setup_teardown(function, rig_setup, rig_teardown)

/* Before rig_create: callbacks with whole messages (as rig_setup left it), with pieces of messages, or queue delivery. */
void rig_whole(Rig *rig);
void rig_stream(Rig *rig);
void rig_queue(Rig *rig);
void rig_create(Rig *rig);
/* rig_create if that was not done, then wsb_server_start. */
void rig_start(Rig *rig);
/* rig_create, then wsb_server_run on a new thread (whose result is that of the function); returns when it listens. */
pthread_t rig_run(Rig *rig);
/* For on_record: answers a message with 64 KiB messages until the send queue is full. */
void rig_flood(Rig *rig, const Record *record);
/* Stops and destroys the server; asserts that each open had exactly one close, and that it was the connection's last event. */
void rig_finish(Rig *rig);
/* Asserts the pairs without stopping anything; `all_closed` demands that no connection is open. */
void rig_check_pairs(Rig *rig, bool all_closed);
/* Records an event of a batch as its callback would have done. */
void rig_record_event(Rig *rig, const wsb_event *event);

size_t rig_count(Rig *rig, uint32_t type);
/* The index-th record of a type, waiting for it; NULL after timeout_ms. Records stay until the teardown. */
const Record *rig_wait(Rig *rig, uint32_t type, size_t index, int timeout_ms);
/* As rig_wait with all patience, and asserts that it came. */
const Record *rig_expect(Rig *rig, uint32_t type, size_t index);
/* The close record of one connection; asserts that it came. */
const Record *rig_expect_close(Rig *rig, wsb_conn conn);
/* Bytes of all messages recorded so far. */
uint64_t rig_message_bytes(Rig *rig);

/* Opens a WebSocket to the rig's server, waits for on_open and gives the id in *conn (conn may be NULL). */
Client *rig_client(Rig *rig, wsb_conn *conn);
/* As rig_client, with a path, further request header lines (each ending in \r\n) and a receive buffer (0: the system's). */
Client *rig_client_with(Rig *rig, wsb_conn *conn, const char *path, const char *headers, int receive_buffer);
/* Sends messages of `size` bytes until the peer's and the kernel's buffers and the send queue are full; returns how many. */
size_t rig_jam(Rig *rig, wsb_conn conn, size_t size);

/* Polls until the predicate holds; false after timeout_ms. */
bool wait_until(bool (*predicate)(void *argument), void *argument, int timeout_ms);
void pause_ms(int duration_ms);
uint64_t now_ms(void);
size_t count_descriptors(void);
size_t count_threads(void);
/* A new, empty directory below TMPDIR; remove_directory deletes it with the files in it. */
void make_directory(char *path, size_t capacity);
void remove_directory(const char *path);

/* Asserts a frame of this opcode, whole and unmasked; the payload is valid until the client reads again. */
#define expect_frame(client, opcode) expect_frame_at(client, opcode, __FILE__, __LINE__)
/* Asserts a Close with this code (0: without one) and reason. */
#define expect_close(client, code, reason) expect_close_at(client, code, reason, __FILE__, __LINE__)
/* Asserts that the server ended the TCP connection, dropping what still came. */
#define expect_end(client) expect_end_at(client, __FILE__, __LINE__)
/* Asserts one text message with exactly this content. */
#define expect_text(client, text) expect_text_at(client, text, __FILE__, __LINE__)
/* Asserts an error code and, when it is one, that wsb_last_error() mentions `word`. */
#define expect_error(code, expected, word) expect_error_at(code, expected, word, __FILE__, __LINE__)

Frame expect_frame_at(Client *client, uint8_t opcode, const char *file, int line);
void expect_close_at(Client *client, uint32_t code, const char *reason, const char *file, int line);
void expect_end_at(Client *client, const char *file, int line);
void expect_text_at(Client *client, const char *text, const char *file, int line);
void expect_error_at(int code, int expected, const char *word, const char *file, int line);

#endif
