/* What a server leaves alone: descriptors, threads, signals, standard output and error. */
#include <signal.h>
#include <unistd.h>

#include "support.h"

/* One whole life with a connection in it. */
static void live_once(uint32_t workers, uint32_t delivery) {
  wsb_config config;
  wsb_config_init(&config);
  config.workers = workers;
  config.delivery = delivery;
  wsb_server *server = NULL;
  assert_int_equal(wsb_server_create(&config, NULL, &server), WSB_OK);
  assert_int_equal(wsb_server_start(server), WSB_OK);
  Client *client = client_open(wsb_server_port(server));
  assert_non_null(client);
  client_free(client);
  assert_int_equal(wsb_server_destroy(server), WSB_OK);
}

static void fifty_lives(void **state) {
  (void)state;
  live_once(2, WSB_DELIVERY_CALLBACKS); /* what is loaded once and stays */
  live_once(1, WSB_DELIVERY_QUEUE);
  const size_t descriptors = count_descriptors();
  const size_t threads = count_threads();
  for (int i = 0; i < 50; ++i) {
    live_once(1 + (uint32_t)i % 2, i % 3 == 0 ? WSB_DELIVERY_QUEUE : WSB_DELIVERY_CALLBACKS);
    wsb_server *unused = NULL;
    assert_int_equal(wsb_server_create(NULL, NULL, &unused), WSB_OK);
    assert_int_equal(wsb_server_destroy(unused), WSB_OK);
  }
  assert_int_equal(count_descriptors(), descriptors);
  assert_int_equal(count_threads(), threads);
}

/* Everything that goes wrong often: none of it may be printed by the library, with or without on_log. */
static void make_noise(Rig *rig) {
  rig_start(rig);
  Client *client = rig_client(rig, NULL);
  client_send_bytes(client, "\xff\xff\xff\xff", 4);
  client_read_end(client, PATIENCE_MS);
  client_free(client);
  client_reset(rig_client(rig, NULL));
  client = client_tcp("127.0.0.1", rig->port, 0);
  client_request(client, "nonsense\r\n\r\n", PATIENCE_MS);
  client_free(client);
  wsb_config taken;
  wsb_config_init(&taken);
  taken.port = rig->port;
  wsb_server *second = NULL;
  wsb_server_create(&taken, NULL, &second);
  wsb_server_start(second);
  wsb_server_destroy(second);
  wsb_config_init(&taken);
  taken.tls_cert_file = taken.tls_key_file = "/nonexistent.pem";
  if (wsb_server_create(&taken, NULL, &second) == WSB_OK) {
    wsb_server_start(second);
    wsb_server_destroy(second);
  }
  wsb_server_destroy(rig->server);
  rig->server = NULL;
}

static void process_is_left_alone(void **state) {
  Rig *rig = *state;
  sigset_t mask_before, mask_after;
  struct sigaction before[32], after;
  sigprocmask(SIG_SETMASK, NULL, &mask_before);
  for (int i = 1; i < 32; ++i) sigaction(i, NULL, &before[i]);
  FILE *captured = tmpfile();
  assert_non_null(captured);
  fflush(stdout);
  fflush(stderr);
  const int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
  dup2(fileno(captured), STDOUT_FILENO);
  dup2(fileno(captured), STDERR_FILENO);
  make_noise(rig);
  rig->callbacks.on_log = NULL;
  rig->config.log_level = WSB_LOG_DEBUG;
  make_noise(rig);
  fflush(stdout);
  fflush(stderr);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  close(out);
  close(err);
  fseek(captured, 0, SEEK_END);
  const long printed = ftell(captured);
  fclose(captured);
  assert_int_equal(printed, 0);
  sigprocmask(SIG_SETMASK, NULL, &mask_after);
  for (int i = 1; i < 32; ++i) {
    assert_int_equal(sigismember(&mask_before, i), sigismember(&mask_after, i));
    sigaction(i, NULL, &after);
    assert_true(before[i].sa_handler == after.sa_handler);
  }
}

/* wsb_server_run is on a thread of ours, which does not block SIGPIPE: a write to a dead peer must not raise it. */
static void no_sigpipe_on_our_thread(void **state) {
  Rig *rig = *state;
  rig->on_record = rig_flood;
  signal(SIGPIPE, SIG_DFL);
  const pthread_t runner = rig_run(rig);
  for (int i = 0; i < 20; ++i) {
    Client *client = rig_client(rig, NULL);
    assert_true(client_send_text(client, "flood"));
    Frame frame;
    assert_true(client_read(client, &frame, PATIENCE_MS));
    client_reset(client);
  }
  assert_int_equal(wsb_server_stop(rig->server, NULL, NULL), WSB_OK);
  pthread_join(runner, NULL);
  rig_finish(rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TEST(fifty_lives),
      RIG_TEST(process_is_left_alone),
      RIG_TEST(no_sigpipe_on_our_thread),
  };
  return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
