// Start, signals and stop. Exit codes: 0 stopped, 1 could not start, 2 wrong usage.
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>

#include "app.h"
#include "nats.h"
#include "systemd.h"

namespace tool {
namespace {

constexpr int kExitStopped = 0;
constexpr int kExitCannotStart = 1;
constexpr int kExitUsage = 2;

int complain(int exit_code, const std::string &text) {
  std::fprintf(stderr, "wsbeat-server: %s\n", text.c_str());
  return exit_code;
}

int print(const std::string &text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return kExitStopped;
  return complain(kExitCannotStart, "cannot write to stdout");
}

// What the library says about its last error, in the words of the command line.
std::string error_text(int error) {
  const std::string detail = wsb_last_error();
  return detail.empty() ? wsb_strerror(error) : with_flag_for_field(detail);
}

// A standard descriptor that is closed would become some socket, and get the text that is meant for a person. In its place comes one on
// which writing fails.
void occupy_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDONLY);  // takes the lowest number that is free: fd
  }
}

// Blocked before any thread starts, so that all threads inherit it and signals arrive at the descriptor alone.
int open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0) return -1;
  signal(SIGPIPE, SIG_IGN);  // a reader of stdout that goes away must not end the server
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

// A value that only the library can judge, such as --subprotocols, is wrong usage like any other.
int complain_about_start(int error, const std::string &text) {
  return error == WSB_E_CONFIG ? complain(kExitUsage, text) : complain(kExitCannotStart, "cannot start: " + text);
}

void reload(App &app) {
  if (app.options.tls_cert.empty()) return app.say("SIGHUP: nothing to reload without --tls-cert");
  const int result = wsb_server_reload_tls(app.server, nullptr, nullptr);
  app.say(result == WSB_OK ? "certificates reloaded"
                           : "certificates not reloaded, the old ones stay: " + error_text(result));
}

void stop_at_once(App &app) {
  wsb_stop_options options;
  wsb_stop_options_init(&options);
  options.deadline_ms = 1;
  wsb_server_request_stop(app.server, &options);
}

// Stops on a thread of its own, which writes to `done` at the end, while this one goes on hearing signals.
std::thread stop_gracefully(App &app, wsb_stop_result &result, int done) {
  app.stopping = true;
  return std::thread([&app, &result, done] {
    wsb_stop_options options;
    wsb_stop_options_init(&options);
    options.deadline_ms = app.options.stop_deadline_ms;
    options.spread_ms = app.options.stop_spread_ms;
    const int error = wsb_server_stop(app.server, &options, &result);
    if (error != WSB_OK) app.say("stop: " + error_text(error));
    eventfd_write(done, 1);
  });
}

// The allocator keeps what a crowd of connections needed. When most of them have gone, it is given back to the system, at every look for
// as long as sockets may still wait for their peers' FIN: a connection is no longer counted once its end was told.
class MemoryReturn {
 public:
  explicit MemoryReturn(uint32_t close_timeout_ms)
      : looks_(2 + (close_timeout_ms != 0 ? close_timeout_ms : kCloseTimeoutMs) / kLookMs) {}

  void look(wsb_server *server) {
    wsb_metrics metrics;
    wsb_metrics_init(&metrics);
    if (wsb_server_get_metrics(server, &metrics) != WSB_OK) return;
    // A crowd may come and go between two looks.
    most_ = std::max(most_, metrics.connections + metrics.closed - closed_);
    closed_ = metrics.closed;
    if (most_ >= kCrowd && metrics.connections <= most_ / 4) {
      most_ = metrics.connections;
      looks_left_ = looks_;
    }
    if (looks_left_ == 0) return;
    --looks_left_;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
  }

  static constexpr uint32_t kLookMs = 1000;

 private:
  static constexpr uint64_t kCrowd = 1000;
  static constexpr uint32_t kCloseTimeoutMs = 5000;  // the library's default
  uint64_t most_ = 0;                                // since a crowd has gone
  uint64_t closed_ = 0;                              // at the last look
  uint32_t looks_;
  uint32_t looks_left_ = 0;
};

void serve_until_stopped(App &app, int signals, int done, wsb_stop_result &result) {
  MemoryReturn memory(app.options.config.close_timeout_ms);
  std::thread stopper;
  pollfd waiting[] = {{signals, POLLIN, 0}, {done, POLLIN, 0}};
  while (true) {
    const int ready = poll(waiting, 2, static_cast<int>(MemoryReturn::kLookMs));
    if (ready == 0) memory.look(app.server);
    if (ready <= 0) continue;
    if ((waiting[1].revents & POLLIN) != 0) break;
    signalfd_siginfo info;
    if (read(signals, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    if (info.ssi_signo == static_cast<uint32_t>(SIGHUP)) {
      reload(app);
    } else if (stopper.joinable()) {
      stop_at_once(app);
    } else {
      tell_systemd("STOPPING=1");
      stopper = stop_gracefully(app, result, done);
    }
  }
  stopper.join();
}

std::string listening_text(const App &app) {
  const Options &options = app.options;
  if (!options.unix_path.empty()) return "listening on " + options.unix_path;
  const std::string host = options.host.empty() ? "127.0.0.1" : options.host;
  const bool v6 = host.find(':') != std::string::npos;
  return std::string("listening on ") + (options.tls_cert.empty() ? "http" : "https") + "://" +
         (v6 ? "[" + host + "]" : host) + ":" + std::to_string(wsb_server_port(app.server)) + "/";
}

int serve(const Options &options, int signals, int done) {
  App app(options);
  const wsb_config config = app.options.library_config();
  const wsb_callbacks callbacks = make_callbacks(app);
  int error = wsb_server_create(&config, &callbacks, &app.server);
  if (error != WSB_OK) return complain_about_start(error, error_text(error));
  try {
    join_nats(app.options, app.server);
  } catch (const std::exception &problem) {
    wsb_server_destroy(app.server);
    return complain(kExitCannotStart, std::string("cannot start: ") + problem.what());
  }
  app.log.start();
  app.events.start();
  if (app.options.commands) app.timers.start(app.server);
  error = wsb_server_start(app.server);
  if (error != WSB_OK) {
    const std::string text = error_text(error);
    app.timers.finish();
    wsb_server_destroy(app.server);
    app.log.finish();
    return complain_about_start(error, text);
  }
  app.events.listening(wsb_server_port(app.server), app.options.unix_path);
  app.say(listening_text(app));
  tell_systemd("READY=1");

  wsb_stop_result result = {};
  result.size = sizeof result;
  serve_until_stopped(app, signals, done, result);
  app.timers.finish();
  app.dashboard.finish();
  app.events.stopped(result);
  wsb_server_destroy(app.server);
  app.log.finish();
  return kExitStopped;
}

int run(int argc, const char *const *argv) {
  occupy_standard_descriptors();
  Options options;
  try {
    options = parse_options(argc, argv);
  } catch (const UsageError &error) {
    return complain(kExitUsage, std::string(error.what()) + " (see --help)");
  }
  if (options.help) return print(help_text());
  if (options.version) return print(std::string("wsbeat-server ") + wsb_version_string() + "\n");
  take_passed_socket(options);
  const int signals = open_signals();
  const int done = eventfd(0, EFD_CLOEXEC);
  if (signals < 0 || done < 0) return complain(kExitCannotStart, "cannot start: no descriptor for signals");
  return serve(options, signals, done);
}

}  // namespace
}  // namespace tool

int main(int argc, char **argv) {
  try {
    return tool::run(argc, argv);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "wsbeat-server: cannot start: %s\n", error.what());
    return tool::kExitCannotStart;
  }
}
