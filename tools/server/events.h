// --events: one JSON object a line on stdout. Each method does nothing unless events are on.
#pragma once

#include <wsbeat/wsbeat.h>

#include <string>

#include "line_writer.h"

namespace tool {

class Events {
 public:
  explicit Events(bool enabled);

  bool enabled() const { return enabled_; }
  void start();
  void finish() { writer_.finish(); }

  void listening(uint32_t port, const std::string &unix_path);
  void open(const wsb_open_event &event);
  void refused(const wsb_refused_event &event);
  void pong(const wsb_pong_event &event);
  void close(const wsb_close_event &event);
  void stopped(const wsb_stop_result &result);

 private:
  const bool enabled_;
  LineWriter writer_;
};

}  // namespace tool
