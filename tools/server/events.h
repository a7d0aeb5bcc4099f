// --events: one JSON object a line on stdout. Each method may be called from any thread and does nothing unless events are on.
#pragma once

#include <wsbeat/wsbeat.h>

#include <functional>
#include <string>

#include "line_writer.h"

namespace tool {

class Events {
 public:
  // `failed` hears once, from another thread, why stdout cannot be written.
  Events(bool enabled, std::function<void(const std::string &why)> failed);

  bool enabled() const { return enabled_; }
  // Before the first event; may throw std::system_error.
  void start();

  void listening(uint32_t port, const std::string &unix_path);
  void open(const wsb_open_event &event);
  void refused(const wsb_refused_event &event);
  void pong(const wsb_pong_event &event);
  void close(const wsb_close_event &event);
  // The last event: returns when all were written, or could not be.
  void stopped(const wsb_stop_result &result);

 private:
  const bool enabled_;
  LineWriter writer_;
};

}  // namespace tool
