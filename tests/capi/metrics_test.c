/* The metrics snapshot against what was done, and the Prometheus text against its format. */
#include "support.h"

static wsb_metrics metrics_now(Rig *rig) {
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  assert_int_equal(wsb_server_get_metrics(rig->server, &metrics), WSB_OK);
  return metrics;
}

static char *text_now(Rig *rig) {
  const int64_t length = wsb_server_metrics_text(rig->server, NULL, 0);
  assert_true(length > 0);
  const size_t capacity = (size_t)length + 4096; /* numbers may grow meanwhile */
  char *text = malloc(capacity);
  assert_non_null(text);
  const int64_t written = wsb_server_metrics_text(rig->server, text, capacity);
  assert_true(written > 0 && (size_t)written < capacity);
  assert_int_equal(strlen(text), written);
  return text;
}

static void answer_hello(const wsb_http_event *event, void *user) {
  (void)user;
  wsb_request_respond(event->request, 200, NULL, "hello", 5);
}

/* Two peers that close, one that resets, one that is wrong; messages both ways; a refusal; a page. */
static void live(Rig *rig) {
  rig->callbacks.on_http = answer_hello;
  rig->config.workers = 2;
  rig_start(rig);
  wsb_conn conn;
  for (int i = 0; i < 2; ++i) {
    Client *client = rig_client(rig, &conn);
    for (int k = 0; k < 3; ++k) assert_true(client_send_text(client, "12345"));
    assert_true(client_send(client, OP_PING, NULL, 0));
    expect_frame(client, OP_PONG);
    assert_int_equal(wsb_send(rig->server, conn, WSB_BINARY, "12", 2), WSB_OK);
    expect_frame(client, OP_BINARY);
    assert_true(client_send_close(client, 1000, ""));
    expect_end(client);
    client_free(client);
    rig_expect_close(rig, conn);
  }
  client_reset(rig_client(rig, &conn));
  rig_expect_close(rig, conn);
  Client *client = rig_client(rig, &conn);
  assert_true(client_send_bytes(client, "\xff\xff", 2));
  expect_end(client);
  client_free(client);
  rig_expect_close(rig, conn);
  client = client_tcp("127.0.0.1", rig->port, 0);
  assert_int_equal(client_handshake(client, "/", "Origin: http://elsewhere.example\r\n", PATIENCE_MS), 403);
  client_free(client);
  client = client_tcp("127.0.0.1", rig->port, 0);
  assert_int_equal(client_request(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", PATIENCE_MS), 200);
  assert_true(client_read_end(client, PATIENCE_MS));
  client_free(client);
  rig_expect(rig, WSB_EVENT_REFUSED, 0);
}

static void counters(void **state) {
  Rig *rig = *state;
  live(rig);
  Client *open = rig_client(rig, NULL);
  const wsb_metrics metrics = metrics_now(rig);
  assert_int_equal(metrics.connections, 1);
  assert_int_equal(metrics.opened, 5);
  assert_int_equal(metrics.closed, 4);
  assert_int_equal(metrics.closed_clean, 2);
  assert_int_equal(metrics.refused, 1);
  assert_int_equal(metrics.http_requests, 1);
  assert_int_equal(metrics.accepted, 7);
  assert_int_equal(metrics.messages_in, 6);
  assert_int_equal(metrics.messages_out, 2);
  assert_true(metrics.bytes_in >= 2 * (3 * 11 + 6 + 8) + 2);
  assert_true(metrics.bytes_out >= 2 * (2 + 4 + 4));
  assert_int_equal(metrics.pings_sent, 0);
  assert_int_equal(metrics.queue_bytes, 0);
  assert_int_equal(metrics.queue_refused, 0);
  assert_int_equal(metrics.messages_dropped, 0);
  assert_true(metrics.writes >= 5);
  assert_true(metrics.loop_turns > 0);
  assert_int_equal(metrics.closed_by_cause[WSB_CAUSE_PEER_CLOSE], 2);
  assert_int_equal(metrics.closed_by_cause[WSB_CAUSE_NETWORK_ERROR], 1);
  assert_int_equal(metrics.closed_by_cause[WSB_CAUSE_PROTOCOL_ERROR], 1);
  uint64_t sum = 0;
  for (size_t i = 0; i < 16; ++i) sum += metrics.closed_by_cause[i];
  assert_int_equal(sum, 4);
  assert_int_equal(wsb_server_get_metrics(rig->server, NULL), WSB_E_INVALID);
  client_free(open);
  rig_finish(rig);
}

static void queue_figures(void **state) {
  Rig *rig = *state;
  rig->config.max_queue_bytes = 65536;
  rig_start(rig);
  wsb_conn conn;
  Client *client = rig_client_with(rig, &conn, "/", NULL, 4096);
  rig_jam(rig, conn, 4000);
  wsb_metrics metrics = metrics_now(rig);
  assert_int_equal(metrics.queue_bytes, wsb_buffered_amount(rig->server, conn));
  assert_true(metrics.queue_refused >= 1);
  client_free(client);
  rig_expect_close(rig, conn);
  metrics = metrics_now(rig);
  assert_int_equal(metrics.queue_bytes, 0);
  assert_true(metrics.messages_dropped >= 10); /* still queued when their connection ended */
  rig_finish(rig);
}

static void heartbeat_figures(void **state) {
  Rig *rig = *state;
  rig->config.heartbeat_interval_ms = 300;
  rig->config.heartbeat_timeout_ms = 299;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  const Frame ping = expect_frame(client, OP_PING);
  uint8_t payload[8];
  memcpy(payload, ping.data, sizeof payload);
  assert_true(client_send(client, OP_PONG, payload, sizeof payload));
  rig_expect(rig, WSB_EVENT_PONG, 0);
  const wsb_metrics metrics = metrics_now(rig);
  assert_true(metrics.pings_sent >= 1);
  assert_int_equal(metrics.pongs_received, 1);
  char *text = text_now(rig);
  assert_non_null(strstr(text, "rtt_seconds_bucket{le=\"+Inf\"} 1\n"));
  assert_non_null(strstr(text, "rtt_seconds_count 1\n"));
  free(text);
  client_free(client);
  rig_finish(rig);
}

/* Peers cannot make the list as long as they like. */
static void many_close_codes(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  enum { CODES = 100, PAIRS = 64 };
  for (uint32_t i = 0; i < CODES; ++i) {
    wsb_conn conn;
    Client *client = rig_client(rig, &conn);
    assert_true(client_send_close(client, 4000 + i, ""));
    rig_expect_close(rig, conn);
    client_free(client);
  }
  client_free(rig_client(rig, NULL)); /* when it is open, its worker has counted all ends before */
  char *text = text_now(rig);
  size_t lines = 0;
  for (const char *at = text; (at = strstr(at, "\nwsbeat_closes_total{")) != NULL; ++at) ++lines;
  const bool other = strstr(text, "wsbeat_closes_total{cause=\"peer_close\",code=\"other\"} 36\n") != NULL;
  const bool first = strstr(text, "wsbeat_closes_total{cause=\"peer_close\",code=\"4000\"} 1\n") != NULL;
  const bool last = strstr(text, "wsbeat_closes_total{cause=\"peer_close\",code=\"4063\"} 1\n") != NULL;
  free(text);
  assert_int_equal(lines, PAIRS + 1 + 2); /* the others, and two that are always there */
  assert_true(other && first && last);
  rig_finish(rig);
}

/* Before the start and after the end there are numbers too. */
static void at_both_ends(void **state) {
  Rig *rig = *state;
  rig_create(rig);
  assert_int_equal(metrics_now(rig).opened, 0);
  free(text_now(rig));
  rig_start(rig);
  client_free(rig_client(rig, NULL));
  rig_expect(rig, WSB_EVENT_CLOSE, 0);
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  assert_int_equal(metrics_now(rig).opened, 1);
  assert_int_equal(metrics_now(rig).closed, 1);
  free(text_now(rig));
  rig_finish(rig);
}

/* The family that a sample belongs to: its name without a histogram's suffix. */
static void family_of(const char *line, char *family, size_t capacity) {
  size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
  assert_true(length > 0 && length < capacity);
  memcpy(family, line, length);
  family[length] = '\0';
  static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
  for (size_t i = 0; i < 3; ++i) {
    const size_t tail = strlen(suffixes[i]);
    if (length > tail && strcmp(family + length - tail, suffixes[i]) == 0) family[length - tail] = '\0';
  }
}

/* One line of the exposition format 0.0.4; `family` is the one whose HELP and TYPE came last. */
static void check_line(const char *line, char *family, size_t capacity) {
  char type[32];
  char name[128];
  if (strncmp(line, "# HELP ", 7) == 0) {
    family_of(line + 7, name, sizeof name);
    assert_string_not_equal(name, family);
    assert_int_equal(strncmp(name, "wsbeat_", 7), 0);
    snprintf(family, capacity, "%s", name);
    assert_true(strlen(line) > 7 + strlen(name) + 5);
    return;
  }
  if (strncmp(line, "# TYPE ", 7) == 0) {
    assert_int_equal(sscanf(line + 7, "%127s %31s", name, type), 2);
    assert_string_equal(name, family);
    const bool counter = strcmp(type, "counter") == 0;
    assert_true(counter || strcmp(type, "gauge") == 0 || strcmp(type, "histogram") == 0);
    assert_int_equal(counter, strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0);
    return;
  }
  family_of(line, name, sizeof name);
  assert_string_equal(name, family);
  const char *value = strrchr(line, ' ');
  assert_non_null(value);
  char *rest = NULL;
  assert_true(strtod(value + 1, &rest) >= 0);
  assert_int_equal(*rest, '\0');
  const char *open = strchr(line, '{');
  if (open != NULL) assert_int_equal(value[-1], '}');
}

static void prometheus_text(void **state) {
  Rig *rig = *state;
  live(rig);
  char *text = text_now(rig);
  assert_int_equal(text[strlen(text) - 1], '\n');
  assert_non_null(strstr(text, "\nwsbeat_connections_opened_total 4\n"));
  assert_non_null(strstr(text, "{cause=\"peer_close\",code=\"1000\"} 2\n"));
  assert_non_null(strstr(text, "{cause=\"origin\"} 1\n"));
  char family[128] = "";
  size_t lines = 0;
  for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"), ++lines)
    check_line(line, family, sizeof family);
  assert_true(lines > 30);
  free(text);
  rig_finish(rig);
}

static void small_buffers(void **state) {
  Rig *rig = *state;
  rig_create(rig); /* not started: the text stands still */
  char *whole = text_now(rig);
  const int64_t length = (int64_t)strlen(whole);
  char *buffer = malloc((size_t)length + 16);
  assert_non_null(buffer);
  const size_t capacities[] = {
      0, 1, 2, 100, (size_t)length - 1, (size_t)length, (size_t)length + 1, (size_t)length + 8};
  for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; ++i) {
    const size_t capacity = capacities[i];
    memset(buffer, '#', (size_t)length + 16);
    assert_int_equal(wsb_server_metrics_text(rig->server, buffer, capacity), length);
    const size_t copied = capacity == 0 ? 0 : capacity - 1 < (size_t)length ? capacity - 1 : (size_t)length;
    assert_int_equal(memcmp(buffer, whole, copied), 0);
    if (capacity > 0) assert_int_equal(buffer[copied], '\0');
    assert_int_equal(buffer[capacity], '#');
  }
  assert_int_equal(wsb_server_metrics_text(rig->server, NULL, 1), WSB_E_INVALID);
  free(buffer);
  free(whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(counters),     RIG_TEST(queue_figures),   RIG_TEST(heartbeat_figures), RIG_TEST(many_close_codes),
      RIG_TEST(at_both_ends), RIG_TEST(prometheus_text), RIG_TEST(small_buffers),
  };
  return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
