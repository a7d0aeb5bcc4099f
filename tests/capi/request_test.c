/* What on_handshake and on_http see and decide: request data, subprotocols, answers, refusals. */
#include "support.h"

/* What a request callback saw, written under the rig's mutex; `act` then decides. */
typedef struct Seen {
  char text[4096];
  void (*act)(wsb_request *request);
  int results[8]; /* set by `act` through note() */
  size_t noted;
} Seen;

static Seen seen;

static void note(int result) {
  if (seen.noted < sizeof seen.results / sizeof seen.results[0]) seen.results[seen.noted++] = result;
}

static void add(const char *name, const char *value) {
  const size_t used = strlen(seen.text);
  snprintf(seen.text + used, sizeof seen.text - used, "%s=%s\n", name, value != NULL ? value : "(null)");
}

static void describe(const wsb_request *request) {
  seen.text[0] = '\0';
  seen.noted = 0;
  add("method", wsb_request_method(request));
  add("path", wsb_request_path(request));
  add("query", wsb_request_query(request));
  add("peer", wsb_request_peer(request));
  add("x-one", wsb_request_header(request, "x-ONE"));
  add("absent", wsb_request_header(request, "absent"));
  add("cookie sid", wsb_request_cookie(request, "sid"));
  add("cookie none", wsb_request_cookie(request, "none"));
  add("param a", wsb_request_query_param(request, "a"));
  add("param none", wsb_request_query_param(request, "none"));
  add("user", wsb_request_basic_user(request));
  add("password", wsb_request_basic_password(request));
  add("token", wsb_request_bearer_token(request));
  add("subject", wsb_request_client_subject(request));
  add("offer 0", wsb_request_subprotocol_at(request, 0));
  add("offer 1", wsb_request_subprotocol_at(request, 1));
  add("offer 2", wsb_request_subprotocol_at(request, 2));
  add("chosen", wsb_request_subprotocol(request));
}

static void look(Rig *rig, wsb_request *request) {
  pthread_mutex_lock(&rig->mutex);
  describe(request);
  if (seen.act != NULL) seen.act(request);
  pthread_mutex_unlock(&rig->mutex);
}

static void on_handshake(const wsb_handshake_event *event, void *user) {
  look(user, event->request);
}
static void on_http(const wsb_http_event *event, void *user) {
  look(user, event->request);
}

/* Starts with both request callbacks. */
static void start(Rig *rig, void (*act)(wsb_request *request)) {
  memset(&seen, 0, sizeof seen);
  seen.act = act;
  rig->callbacks.on_handshake = on_handshake;
  rig->callbacks.on_http = on_http;
  rig_start(rig);
}

static void expect_line(Rig *rig, const char *line) {
  char wanted[512];
  snprintf(wanted, sizeof wanted, "%s\n", line);
  pthread_mutex_lock(&rig->mutex);
  const char *found = strstr(seen.text, wanted);
  const bool there = found != NULL && (found == seen.text || found[-1] == '\n');
  pthread_mutex_unlock(&rig->mutex);
  if (!there) fail_msg("'%s' is not in\n%s", line, seen.text);
}

/* Shakes hands with further header lines; gives the answer's status and keeps the client in *client if not NULL. */
static int shake(Rig *rig, const char *path, const char *headers, Client **kept) {
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  assert_non_null(client);
  const int status = client_handshake(client, path, headers, PATIENCE_MS);
  if (kept != NULL) {
    *kept = client;
  } else {
    client_free(client);
  }
  return status;
}

static void request_data(void **state) {
  Rig *rig = *state;
  start(rig, NULL);
  assert_int_equal(
      shake(rig, "/chat/%7Eroom?a=1%202+3&b&a=2",
            "X-One: first\r\nCookie: sid=abc; other=d\r\nX-One: second\r\nSec-WebSocket-Protocol: v9, v8\r\n", NULL),
      101);
  static const char *const lines[] = {"method=GET",        "path=/chat/%7Eroom",  "query=a=1%202+3&b&a=2",
                                      "peer=127.0.0.1",    "x-one=first, second", "absent=(null)",
                                      "cookie sid=abc",    "cookie none=(null)",  "param a=1 2 3",
                                      "param none=(null)", "user=(null)",         "password=(null)",
                                      "token=(null)",      "subject=(null)",      "offer 0=v9",
                                      "offer 1=v8",        "offer 2=(null)",      "chosen="};
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; ++i) expect_line(rig, lines[i]);
  const Record *opened = rig_expect(rig, WSB_EVENT_OPEN, 0);
  assert_string_equal(opened->as.open.path, "/chat/%7Eroom");
  assert_string_equal(opened->as.open.query, "a=1%202+3&b&a=2");
  assert_string_equal(opened->as.open.subprotocol, "");
  assert_string_equal(opened->as.open.peer, "127.0.0.1");
  assert_int_equal(shake(rig, "/", NULL, NULL), 101);
  expect_line(rig, "query=");
  expect_line(rig, "offer 0=(null)");
  rig_finish(rig);
}

static void credentials(void **state) {
  Rig *rig = *state;
  start(rig, NULL);
  assert_int_equal(shake(rig, "/", "Authorization: Basic dXNlcjpwYXNzOndvcmQ=\r\n", NULL), 101);
  expect_line(rig, "user=user");
  expect_line(rig, "password=pass:word");
  expect_line(rig, "token=(null)");
  assert_int_equal(shake(rig, "/", "Authorization: Basic OnNlY3JldA==\r\n", NULL), 101);
  expect_line(rig, "user=");
  expect_line(rig, "password=secret");
  assert_int_equal(shake(rig, "/", "authorization: bearer abc.def-ghi_~+/=\r\n", NULL), 101);
  expect_line(rig, "token=abc.def-ghi_~+/=");
  expect_line(rig, "user=(null)");
  assert_int_equal(shake(rig, "/", "Authorization: Basic !!!!\r\n", NULL), 101);
  expect_line(rig, "user=(null)");
  rig_finish(rig);
}

static void walk_headers(wsb_request *request) {
  const char *name = NULL;
  const char *value = NULL;
  seen.text[0] = '\0';
  for (size_t i = 0; wsb_request_header_at(request, i, &name, &value) == 1; ++i) add(name, value);
  note(wsb_request_header_at(request, 1000, &name, &value));
}

static void headers_in_order(void **state) {
  Rig *rig = *state;
  start(rig, walk_headers);
  assert_int_equal(shake(rig, "/", "X-B:  padded \t\r\nX-A: \r\nX-B: again\r\n", NULL), 101);
  expect_line(rig, "X-B=padded\nX-A=\nX-B=again");
  expect_line(rig, "Host=localhost");
  assert_int_equal(seen.results[0], 0);
  rig_finish(rig);
}

static int user_mark;

static void decorate(wsb_request *request) {
  note(wsb_request_set_user(request, &user_mark));
  note(wsb_request_add_header(request, "X-Answer", "42"));
  note(wsb_request_add_header(request, "Set-Cookie", "a=b; Path=/"));
  note(wsb_request_select_subprotocol(request, "v1"));
  note(wsb_request_select_subprotocol(request, "v7"));
  note(wsb_request_authenticate(request));
}

static void accept_with_extras(void **state) {
  Rig *rig = *state;
  rig->config.subprotocols = "v2,v1";
  rig->config.auth_timeout_ms = 100;
  start(rig, decorate);
  Client *client = NULL;
  assert_int_equal(shake(rig, "/", "Sec-WebSocket-Protocol: v1, v2\r\n", &client), 101);
  assert_non_null(strstr(client->head, "\r\nX-Answer: 42\r\n"));
  assert_non_null(strstr(client->head, "\r\nSet-Cookie: a=b; Path=/\r\n"));
  assert_non_null(strstr(client->head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  assert_non_null(strstr(client->head, "\r\nSec-WebSocket-Protocol: v1\r\n"));
  expect_line(rig, "chosen=v2"); /* by configuration, before the choice */
  static const int expected[] = {WSB_OK, WSB_OK, WSB_OK, WSB_OK, WSB_E_INVALID, WSB_OK};
  for (size_t i = 0; i < 6; ++i) assert_int_equal(seen.results[i], expected[i]);
  const Record *opened = rig_expect(rig, WSB_EVENT_OPEN, 0);
  assert_ptr_equal(opened->conn_user, &user_mark);
  assert_string_equal(opened->as.open.subprotocol, "v1");
  assert_ptr_equal(wsb_conn_user(rig->server, opened->conn), &user_mark);
  pause_ms(300); /* authenticated already: auth_timeout_ms does not apply */
  assert_int_equal(rig_count(rig, WSB_EVENT_CLOSE), 0);
  client_free(client);
  rig_finish(rig);
}

static void unselect(wsb_request *request) {
  note(wsb_request_select_subprotocol(request, NULL));
}

static void no_subprotocol_by_choice(void **state) {
  Rig *rig = *state;
  rig->config.subprotocols = "v1";
  start(rig, unselect);
  Client *client = NULL;
  assert_int_equal(shake(rig, "/", "Sec-WebSocket-Protocol: v1\r\n", &client), 101);
  assert_null(strstr(client->head, "Sec-WebSocket-Protocol"));
  assert_int_equal(seen.results[0], WSB_OK);
  client_free(client);
  rig_finish(rig);
}

static void wrong_headers(wsb_request *request) {
  note(wsb_request_add_header(request, "bad name", "x"));
  note(wsb_request_add_header(request, "X-Split", "a\r\nX-Evil: 1"));
  note(wsb_request_add_header(request, "", "x"));
  note(wsb_request_add_header(request, "Upgrade", "x"));
  note(wsb_request_add_header(request, "sec-websocket-accept", "x"));
  note(wsb_request_add_header(request, "Connection", "x"));
  note(wsb_request_add_header(request, NULL, "x"));
  note(wsb_request_add_header(request, "X-Null", NULL));
}

static void refused_headers(void **state) {
  Rig *rig = *state;
  start(rig, wrong_headers);
  Client *client = NULL;
  assert_int_equal(shake(rig, "/", NULL, &client), 101);
  assert_int_equal(seen.noted, 8);
  for (size_t i = 0; i < 8; ++i) assert_int_equal(seen.results[i], WSB_E_INVALID);
  assert_null(strstr(client->head, "X-Evil"));
  client_free(client);
  rig_finish(rig);
}

static void refuse(wsb_request *request) {
  note(wsb_request_respond(request, 299, NULL, "x", 1));
  note(wsb_request_respond(request, 600, NULL, "x", 1));
  note(wsb_request_respond(request, 403, NULL, NULL, 1));
  note(wsb_request_add_header(request, "X-Why", "because"));
  note(wsb_request_respond(request, wsb_request_query_param(request, "s")[0] == '4' ? 401 : 503, "application/json",
                           "{\"no\":1}", 8));
  note(wsb_request_respond(request, 404, NULL, "x", 1));
}

static void refusals(void **state) {
  Rig *rig = *state;
  start(rig, refuse);
  Client *client = NULL;
  assert_int_equal(shake(rig, "/?s=4", NULL, &client), 401);
  assert_non_null(strstr(client->head, "\r\nContent-Type: application/json\r\n"));
  assert_non_null(strstr(client->head, "\r\nContent-Length: 8\r\n"));
  assert_non_null(strstr(client->head, "\r\nX-Why: because\r\n"));
  assert_string_equal(client_body(client, PATIENCE_MS), "{\"no\":1}");
  assert_true(client->ended);
  client_free(client);
  static const int expected[] = {WSB_E_INVALID, WSB_E_INVALID, WSB_E_INVALID, WSB_OK, WSB_OK, WSB_E_STATE};
  for (size_t i = 0; i < 6; ++i) assert_int_equal(seen.results[i], expected[i]);
  assert_int_equal(shake(rig, "/?s=5", NULL, NULL), 503);
  const Record *first = rig_expect(rig, WSB_EVENT_REFUSED, 0);
  assert_int_equal(first->as.refused.status, 401);
  assert_int_equal(first->as.refused.refusal, WSB_REFUSAL_UNAUTHORIZED);
  assert_string_equal(first->as.refused.peer, "127.0.0.1");
  assert_int_equal(rig_expect(rig, WSB_EVENT_REFUSED, 1)->as.refused.refusal, WSB_REFUSAL_APPLICATION);
  assert_int_equal(rig_count(rig, WSB_EVENT_OPEN), 0);
  rig_finish(rig);
}

/* What the library refuses by itself never reaches on_handshake. */
static void refused_by_the_library(void **state) {
  Rig *rig = *state;
  rig->config.subprotocols = "v2";
  rig->config.require_subprotocol = 1;
  rig->config.max_header_bytes = 512;
  start(rig, NULL);
  char big[700];
  snprintf(big, sizeof big, "X-Big: %0600d\r\n", 1);
  assert_int_equal(shake(rig, "/", "Sec-WebSocket-Protocol: v1\r\n", NULL), 400);
  assert_int_equal(shake(rig, "/", "Origin: http://elsewhere.example\r\nSec-WebSocket-Protocol: v2\r\n", NULL), 403);
  assert_int_equal(shake(rig, "/", big, NULL), 431);
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  assert_int_equal(client_request(client,
                                  "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                                  PATIENCE_MS),
                   426);
  assert_non_null(strstr(client->head, "Sec-WebSocket-Version: 13\r\n"));
  client_free(client);
  static const uint32_t expected[] = {WSB_REFUSAL_SUBPROTOCOL, WSB_REFUSAL_ORIGIN, WSB_REFUSAL_HEADER_TOO_BIG,
                                      WSB_REFUSAL_VERSION};
  for (size_t i = 0; i < 4; ++i)
    assert_int_equal(rig_expect(rig, WSB_EVENT_REFUSED, i)->as.refused.refusal, expected[i]);
  assert_string_equal(seen.text, "");
  rig_finish(rig);
}

static void connection_limits(void **state) {
  Rig *rig = *state;
  rig->config.max_connections = 3;
  rig->config.max_connections_per_address = 2;
  rig_start(rig);
  wsb_conn conn;
  Client *one = rig_client(rig, &conn);
  Client *two = rig_client(rig, NULL);
  assert_int_equal(shake(rig, "/", NULL, NULL), 429);
  assert_int_equal(rig_expect(rig, WSB_EVENT_REFUSED, 0)->as.refused.refusal, WSB_REFUSAL_ADDRESS);
  client_free(one);
  rig_expect_close(rig, conn);
  client_free(rig_client(rig, NULL));
  client_free(two);
  rig_finish(rig);
  rig->config.max_connections = 1;
  rig_start(rig);
  one = rig_client(rig, NULL);
  assert_int_equal(shake(rig, "/", NULL, NULL), 503);
  assert_int_equal(rig_expect(rig, WSB_EVENT_REFUSED, 1)->as.refused.refusal, WSB_REFUSAL_CONNECTIONS);
  client_free(one);
  rig_finish(rig);
}

static void handshake_timeout(void **state) {
  Rig *rig = *state;
  rig->config.handshake_timeout_ms = 100;
  rig_start(rig);
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  const uint64_t began = now_ms();
  assert_int_equal(client_request(client, "GET / HTTP/1.1\r\nHost: x\r\n", PATIENCE_MS), 408);
  assert_in_range(now_ms() - began, 90, 3000);
  assert_int_equal(rig_expect(rig, WSB_EVENT_REFUSED, 0)->as.refused.refusal, WSB_REFUSAL_TIMEOUT);
  client_free(client);
  rig_finish(rig);
}

static void answer_http(wsb_request *request) {
  if (strcmp(wsb_request_path(request), "/page") != 0) return;
  note(wsb_request_set_user(request, &user_mark));
  note(wsb_request_authenticate(request));
  note(wsb_request_select_subprotocol(request, NULL));
  note(wsb_request_respond(request, 199, NULL, NULL, 0));
  note(wsb_request_add_header(request, "Cache-Control", "no-store"));
  note(wsb_request_respond(request, 200, NULL, "hello", 5));
}

static void http(void **state) {
  Rig *rig = *state;
  start(rig, answer_http);
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  assert_int_equal(client_request(client, "GET /page?a=b HTTP/1.1\r\nHost: x\r\n\r\n", PATIENCE_MS), 200);
  assert_non_null(strstr(client->head, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
  assert_non_null(strstr(client->head, "\r\nContent-Length: 5\r\n"));
  assert_non_null(strstr(client->head, "\r\nCache-Control: no-store\r\n"));
  assert_string_equal(client_body(client, PATIENCE_MS), "hello");
  assert_true(client->ended);
  client_free(client);
  expect_line(rig, "param a=b");
  static const int expected[] = {WSB_E_STATE, WSB_E_STATE, WSB_E_STATE, WSB_E_INVALID, WSB_OK, WSB_OK};
  for (size_t i = 0; i < 6; ++i) assert_int_equal(seen.results[i], expected[i]);

  client = client_tcp("127.0.0.1", rig->port, 0);
  assert_int_equal(client_request(client, "HEAD /page HTTP/1.1\r\nHost: x\r\n\r\n", PATIENCE_MS), 200);
  assert_non_null(strstr(client->head, "\r\nContent-Length: 5\r\n"));
  assert_string_equal(client_body(client, PATIENCE_MS), "");
  client_free(client);
  expect_line(rig, "method=HEAD");

  client = client_tcp("127.0.0.1", rig->port, 0);
  assert_int_equal(client_request(client, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n", PATIENCE_MS), 404);
  client_free(client);
  assert_int_equal(rig_count(rig, WSB_EVENT_REFUSED), 0);
  rig_finish(rig);
}

static void large_answer(wsb_request *request) {
  const size_t size = (16 << 20) + 1;
  char *body = calloc(1, size);
  if (body == NULL) abort();
  memset(body, 'b', size);
  note(wsb_request_respond(request, 200, "text/plain", body, size));
  note(wsb_request_respond(request, 200, "text/plain", body, 3000000));
  free(body);
}

static void http_large_body(void **state) {
  Rig *rig = *state;
  start(rig, large_answer);
  Client *client = client_tcp("127.0.0.1", rig->port, 4096);
  assert_int_equal(client_request(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", PATIENCE_MS), 200);
  assert_int_equal(strspn(client_body(client, PATIENCE_MS), "b"), 3000000);
  assert_int_equal(seen.results[0], WSB_E_TOO_BIG);
  assert_int_equal(seen.results[1], WSB_OK);
  client_free(client);
  rig_finish(rig);
}

static void http_without_callback(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  Client *client = client_tcp("127.0.0.1", rig->port, 0);
  assert_int_equal(client_request(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", PATIENCE_MS), 426);
  assert_true(client_read_end(client, PATIENCE_MS));
  client_free(client);
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(request_data),
      RIG_TEST(credentials),
      RIG_TEST(headers_in_order),
      RIG_TEST(accept_with_extras),
      RIG_TEST(no_subprotocol_by_choice),
      RIG_TEST(refused_headers),
      RIG_TEST(refusals),
      RIG_TEST(refused_by_the_library),
      RIG_TEST(connection_limits),
      RIG_TEST(handshake_timeout),
      RIG_TEST(http),
      RIG_TEST(http_large_body),
      RIG_TEST(http_without_callback),
  };
  return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
