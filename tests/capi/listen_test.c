/* Where a server listens: hosts, ports, Unix sockets, inherited descriptors, and addresses that cannot be had. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

/* A listening TCP socket on 127.0.0.1 that is not the library's; gives its port. */
static int listen_ourselves(uint32_t *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(fd, 16), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

static bool have_ipv6(void) {
  const struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool have = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
  if (fd >= 0) close(fd);
  return have;
}

/* Starts on `host`, connects to `target`, and expects on_open to name `peer`. */
static void serve_host(Rig *rig, const char *host, const char *target, const char *peer) {
  rig->config.host = host;
  const size_t before = rig_count(rig, WSB_EVENT_OPEN);
  rig_start(rig);
  Client *client = client_tcp(target, rig->port, 0);
  assert_non_null(client);
  assert_int_equal(client_handshake(client, "/", NULL, PATIENCE_MS), 101);
  assert_string_equal(rig_expect(rig, WSB_EVENT_OPEN, before)->as.open.peer, peer);
  client_free(client);
  rig_finish(rig);
}

static void hosts(void **state) {
  serve_host(*state, "127.0.0.1", "127.0.0.1", "127.0.0.1");
  serve_host(*state, "127.0.0.2", "127.0.0.2", "127.0.0.1");
  serve_host(*state, "0.0.0.0", "127.0.0.1", "127.0.0.1");
}

static void named_host(void **state) {
  Rig *rig = *state;
  rig->config.host = "localhost";
  rig_start(rig);
  Client *client = client_tcp("localhost", rig->port, 0);
  assert_non_null(client);
  assert_int_equal(client_handshake(client, "/", NULL, PATIENCE_MS), 101);
  client_free(client);
  rig_finish(rig);
}

static void ipv6_hosts(void **state) {
  if (!have_ipv6()) skip();
  serve_host(*state, "::1", "::1", "::1");
  serve_host(*state, "::", "::1", "::1");
  serve_host(*state, "::", "127.0.0.1", "127.0.0.1"); /* not ::ffff:127.0.0.1 */
}

static void workers_share_a_port(void **state) {
  Rig *rig = *state;
  rig->config.workers = 4;
  rig_start(rig);
  Client *clients[32];
  bool seen[4] = {false};
  for (size_t i = 0; i < 32; ++i) {
    wsb_conn conn;
    clients[i] = rig_client(rig, &conn);
    wsb_conn_info info;
    wsb_conn_info_init(&info);
    assert_int_equal(wsb_conn_get_info(rig->server, conn, &info), WSB_OK);
    assert_in_range(info.worker, 0, 3);
    seen[info.worker] = true;
  }
  assert_true(seen[0] + seen[1] + seen[2] + seen[3] >= 2);
  for (size_t i = 0; i < 32; ++i) client_free(clients[i]);
  rig_finish(rig);
}

static void port_in_use(void **state) {
  Rig *rig = *state;
  uint32_t port = 0;
  const int fd = listen_ourselves(&port);
  char number[16];
  snprintf(number, sizeof number, "%u", port);
  rig->config.port = port;
  for (uint32_t workers = 1; workers <= 4; workers += 3) {
    rig->config.workers = workers;
    rig_create(rig);
    expect_error(wsb_server_start(rig->server), WSB_E_ADDRESS, number);
    assert_int_equal(wsb_server_port(rig->server), 0);
    if (workers == 4) break;
    assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
  }
  close(fd); /* after a failure the server may be started again */
  rig_start(rig);
  assert_int_equal(rig->port, port);
  client_free(rig_client(rig, NULL));
  rig_finish(rig);
}

/* SO_REUSEPORT is for the workers of one server, not for two servers by mistake. */
static void port_in_use_by_another_server(void **state) {
  Rig *rig = *state;
  for (uint32_t workers = 1; workers <= 4; workers += 3) {
    rig->config.workers = workers;
    rig_start(rig);
    wsb_config config;
    wsb_config_init(&config);
    config.port = rig->port;
    for (config.workers = 1; config.workers <= 4; config.workers += 3) {
      wsb_server *second = NULL;
      assert_int_equal(wsb_server_create(&config, NULL, &second), WSB_OK);
      const int started = wsb_server_start(second);
      assert_int_equal(wsb_server_destroy(second), WSB_OK);
      assert_int_equal(started, WSB_E_ADDRESS);
    }
    client_free(rig_client(rig, NULL));
    rig_finish(rig);
  }
}

/* A port can be taken again at once although connections of the last server linger. */
static void port_again(void **state) {
  Rig *rig = *state;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  const uint32_t port = rig->port;
  assert_int_equal(wsb_server_request_stop(rig->server, NULL), WSB_OK);
  expect_close(client, 1001, "server is closing");
  assert_true(client_send_close(client, 1001, ""));
  expect_end(client);
  rig_finish(rig);
  rig->config.port = port;
  rig_start(rig);
  assert_int_equal(rig->port, port);
  rig_finish(rig);
  client_free(client);
}

static void wrong_hosts(void **state) {
  Rig *rig = *state;
  static const char *const wrong[] = {"no-such-host.invalid", "192.0.2.1", "1.2.3.4.5", "127.0.0.1:80"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    rig->config.host = wrong[i];
    rig_create(rig);
    expect_error(wsb_server_start(rig->server), WSB_E_ADDRESS, wrong[i]);
    assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
    rig->server = NULL;
  }
}

static void unix_socket(void **state) {
  Rig *rig = *state;
  char directory[256];
  char path[300];
  make_directory(directory, sizeof directory);
  snprintf(path, sizeof path, "%s/socket", directory);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  assert_true(strlen(path) < sizeof address.sun_path);
  memcpy(address.sun_path, path, strlen(path) + 1);
  const int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(stale, (const struct sockaddr *)&address, sizeof address), 0);
  close(stale); /* leaves the file */
  rig->config.unix_path = path;
  for (uint32_t workers = 1; workers <= 3; workers += 2) {
    const size_t before = rig_count(rig, WSB_EVENT_OPEN);
    rig->config.workers = workers;
    rig_start(rig);
    assert_int_equal(rig->port, 0);
    Client *client = client_unix(path);
    assert_non_null(client);
    assert_int_equal(client_handshake(client, "/u", NULL, PATIENCE_MS), 101);
    const Record *opened = rig_expect(rig, WSB_EVENT_OPEN, before);
    assert_string_equal(opened->as.open.peer, "unix");
    wsb_conn_info info;
    wsb_conn_info_init(&info);
    assert_int_equal(wsb_conn_get_info(rig->server, opened->conn, &info), WSB_OK);
    assert_int_equal(info.peer_port, 0);
    client_free(client);
    rig_finish(rig);
    assert_int_equal(access(path, F_OK), -1);
  }
  remove_directory(directory);
}

static void unix_socket_refused(void **state) {
  Rig *rig = *state;
  char directory[256];
  char path[300];
  make_directory(directory, sizeof directory);
  snprintf(path, sizeof path, "%s/precious", directory);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs("data", file);
  fclose(file);
  rig->config.unix_path = path; /* a file that is no socket is never replaced */
  rig_create(rig);
  expect_error(wsb_server_start(rig->server), WSB_E_ADDRESS, path);
  assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_size, 4);

  snprintf(path, sizeof path, "%s/none/socket", directory);
  rig_create(rig);
  expect_error(wsb_server_start(rig->server), WSB_E_ADDRESS, path);
  assert_int_equal(wsb_server_destroy(rig->server), WSB_OK);

  snprintf(path, sizeof path, "%s/socket", directory);
  rig->server = NULL;
  rig_start(rig); /* a socket that a living server listens on is not stale */
  wsb_server *second = NULL;
  assert_int_equal(wsb_server_create(&rig->config, NULL, &second), WSB_OK);
  assert_int_equal(wsb_server_start(second), WSB_E_ADDRESS);
  assert_int_equal(wsb_server_destroy(second), WSB_OK);
  Client *client = client_unix(path);
  assert_non_null(client);
  client_free(client);
  rig_finish(rig);
  remove_directory(directory);
}

static void unix_path_too_long(void **state) {
  Rig *rig = *state;
  char path[200];
  memset(path, 'x', sizeof path);
  memcpy(path, "/tmp/", 5);
  path[199] = '\0';
  rig->config.unix_path = path;
  const int made = wsb_server_create(&rig->config, &rig->callbacks, &rig->server);
  if (made == WSB_OK) {
    expect_error(wsb_server_start(rig->server), WSB_E_ADDRESS, NULL);
  } else {
    expect_error(made, WSB_E_CONFIG, "unix_path");
  }
}

static void inherited_descriptor(void **state) {
  Rig *rig = *state;
  uint32_t port = 0;
  const int fd = listen_ourselves(&port);
  const int flags = fcntl(fd, F_GETFL);
  rig->config.listen_fd = fd;
  for (uint32_t workers = 1; workers <= 3; workers += 2) {
    rig->config.workers = workers;
    rig_start(rig);
    assert_int_equal(rig->port, port);
    client_free(rig_client(rig, NULL));
    client_free(rig_client(rig, NULL));
    rig_finish(rig);
    assert_true(fcntl(fd, F_GETFD) >= 0);
  }
  Client *client = client_tcp("127.0.0.1", port, 0); /* still listening, and still ours */
  assert_non_null(client);
  const int accepted = accept(fd, NULL, NULL);
  assert_true(accepted >= 0);
  close(accepted);
  client_free(client);
  assert_int_equal(fcntl(fd, F_GETFL) & ~O_NONBLOCK, flags & ~O_NONBLOCK);
  close(fd);
}

/* The stop is ordered first, so the worker sees it before the client that comes then. */
static void stop_and_knock(Rig *rig, const Record *record) {
  if (record->type != WSB_EVENT_MESSAGE || wsb_server_request_stop(rig->server, NULL) != WSB_OK) return;
  rig->context = client_tcp("127.0.0.1", rig->port, 0);
}

/* Who waits on an inherited socket when the server stops is left to whoever serves there next. */
static void inherited_waiters_stay(void **state) {
  Rig *rig = *state;
  uint32_t port = 0;
  const int fd = listen_ourselves(&port);
  rig->config.listen_fd = fd;
  rig->config.close_timeout_ms = 100;
  rig->on_record = stop_and_knock;
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  assert_true(client_send_text(client, "stop"));
  expect_close(client, 1001, "server is closing");
  client_free(client);
  rig_finish(rig);
  Client *waiter = rig->context;
  assert_non_null(waiter);
  const int accepted = accept(fd, NULL, NULL);
  assert_true(accepted >= 0);
  close(accepted);
  client_free(waiter);
  close(fd);
}

static void wrong_descriptors(void **state) {
  Rig *rig = *state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  const int unbound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int datagram = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int wrong[] = {ends[0], unbound, datagram, 4000, -1};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    rig->config.listen_fd = wrong[i];
    wsb_server *server = NULL;
    const int made = wsb_server_create(&rig->config, NULL, &server);
    if (made == WSB_OK) {
      expect_error(wsb_server_start(server), WSB_E_ADDRESS, NULL);
      wsb_server_destroy(server);
    } else {
      expect_error(made, WSB_E_CONFIG, "listen_fd");
    }
  }
  assert_true(fcntl(ends[0], F_GETFD) >= 0);
  close(ends[0]);
  close(ends[1]);
  close(unbound);
  close(datagram);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(hosts),
      RIG_TEST(named_host),
      RIG_TEST(ipv6_hosts),
      RIG_TEST(workers_share_a_port),
      RIG_TEST(port_in_use),
      RIG_TEST(port_in_use_by_another_server),
      RIG_TEST(port_again),
      RIG_TEST(wrong_hosts),
      RIG_TEST(unix_socket),
      RIG_TEST(unix_socket_refused),
      RIG_TEST(unix_path_too_long),
      RIG_TEST(inherited_descriptor),
      RIG_TEST(inherited_waiters_stay),
      RIG_TEST(wrong_descriptors),
  };
  return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
