// Pausing a connection's reading for two reasons, a full queue and /pause, of which both must end before it is read again.
#pragma once

#include <wsbeat/wsbeat.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "peer.h"

namespace tool {

class PauseTimers {
 public:
  PauseTimers() = default;
  ~PauseTimers() { finish(); }
  PauseTimers(const PauseTimers &) = delete;
  PauseTimers &operator=(const PauseTimers &) = delete;

  // Starts the timer thread; needed for pause_for only. May throw std::system_error.
  void start(wsb_server *server);
  void finish();

  // All four on the peer's own worker thread.
  void pause_for(wsb_server *server, Peer &peer, std::chrono::milliseconds duration);
  void pause_for_backpressure(wsb_server *server, Peer &peer);
  void end_backpressure(wsb_server *server, Peer &peer);
  // The connection has ended: its timer, if any, forgets it.
  void forget(Peer &peer);

 private:
  void run(wsb_server *server);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::pair<std::chrono::steady_clock::time_point, Peer *>> due_;
  bool finishing_ = false;
  std::thread thread_;
};

}  // namespace tool
