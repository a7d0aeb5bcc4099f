// All that the callbacks share. One per process, alive from before the server starts until after it has stopped.
#pragma once

#include <wsbeat/wsbeat.h>

#include <atomic>
#include <string>

#include "dashboard.h"
#include "events.h"
#include "line_writer.h"
#include "options.h"
#include "pause_timers.h"
#include "registry.h"

namespace tool {

struct App {
  explicit App(Options parsed);

  // A line of log, unless --quiet.
  void say(const std::string &text);

  const Options options;
  // Texts that begin with "/" may be orders: --commands, or /auth alone with --auth-timeout-ms.
  const bool takes_orders;
  // The size of the send queue in force.
  const uint64_t max_queue_bytes;
  wsb_server *server = nullptr;
  LineWriter log;
  Events events;
  PauseTimers timers;
  Registry registry;
  std::atomic<bool> stopping{false};
  Dashboard dashboard;
};

// The library's callbacks, with `app` as their user pointer.
wsb_callbacks make_callbacks(App &app);

}  // namespace tool
