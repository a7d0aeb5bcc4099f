// The dashboard's side of the server: who watches, and what they are told, at most twice a second. While nobody watches there is no timer and
// no look at any connection; only ends are written down, as they come.
#pragma once

#include <wsbeat/wsbeat.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "dashboard_update.h"
#include "end_log.h"
#include "peer.h"

namespace tool {

struct App;

// Where watchers connect, and where plain HTTP asks whether they may.
inline constexpr std::string_view kDashboardPath = "/api/dashboard";

class Dashboard {
 public:
  explicit Dashboard(App &app);
  ~Dashboard() { finish(); }
  Dashboard(const Dashboard &) = delete;
  Dashboard &operator=(const Dashboard &) = delete;

  bool enabled() const { return enabled_; }

  // on_handshake and on_http for kDashboardPath.
  void judge(wsb_request *request);
  void answer(wsb_request *request);
  // The role that judge() gave, by the new connection's user pointer.
  static Role role_of(const void *conn_user);

  // A watcher's life. May throw std::system_error (no thread) and std::bad_alloc.
  void add(const Peer &peer);
  void take(const Peer &peer, const wsb_message_event &event);
  void remove(const wsb_close_event &event);

  // Another connection has ended.
  void ended(const wsb_close_event &event);

  bool is_watcher(wsb_conn conn);
  // How many of the server's connections are watchers now.
  uint64_t watching();

  // Ends the thread, if there is one. Before the server is destroyed.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  struct Watcher {
    wsb_conn conn;
    Order order;
    uint64_t ends_seen;
    bool served;  // false: one too many, being closed
  };

  void run();
  void send_updates(std::vector<Watcher> &watchers, const WatcherTraffic &past);
  void reply(const Peer &peer, const char *type, const std::string &text);
  void set_order(const Peer &peer, std::string_view name);
  void close_connection(const Peer &peer, std::string_view rest);

  App &app_;
  const bool enabled_;
  const Clock::time_point began_;
  const uint64_t began_ms_;  // since 1970
  EndLog ends_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Watcher> watchers_;
  WatcherTraffic traffic_;  // of watchers that have gone
  bool finishing_ = false;
  std::thread thread_;
};

}  // namespace tool
