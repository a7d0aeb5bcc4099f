// The lines of --events; field order is part of what people read, so it stays as documented.
#include "events.h"

#include <unistd.h>

#include <utility>

#include "json.h"

namespace tool {
namespace {

std::string dropped_line(uint64_t count) {
  std::string line;
  JsonObject(line).text("event", "dropped").number("count", count).end();
  return line;
}

}  // namespace

Events::Events(bool enabled, std::function<void(const std::string &why)> failed)
    : enabled_(enabled), writer_(STDOUT_FILENO, dropped_line, std::move(failed)) {}

void Events::start() {
  if (enabled_) writer_.start();
}

void Events::listening(uint32_t port, const std::string &unix_path) {
  if (!enabled_) return;
  std::string line;
  JsonObject object(line);
  object.text("event", "listening");
  if (unix_path.empty()) {
    object.number("port", port);
  } else {
    object.text("unix", unix_path);
  }
  object.end();
  writer_.write(line);
}

void Events::open(const wsb_open_event &event) {
  if (!enabled_) return;
  std::string line;
  JsonObject(line)
      .text("event", "open")
      .id("conn", event.conn)
      .text("path", event.path)
      .text("subprotocol", event.subprotocol)
      .text("peer", event.peer)
      .end();
  writer_.write(line);
}

void Events::refused(const wsb_refused_event &event) {
  if (!enabled_) return;
  std::string line;
  JsonObject(line)
      .text("event", "refused")
      .number("status", event.status)
      .text("cause", wsb_refusal_name(event.refusal))
      .end();
  writer_.write(line);
}

void Events::pong(const wsb_pong_event &event) {
  const bool unsolicited = event.heartbeat == 0 && event.rtt_us == 0;
  if (!enabled_ || unsolicited) return;
  std::string line;
  JsonObject(line).text("event", "pong").id("conn", event.conn).number("rtt_us", event.rtt_us).end();
  writer_.write(line);
}

void Events::close(const wsb_close_event &event) {
  if (!enabled_) return;
  std::string line;
  JsonObject(line)
      .text("event", "close")
      .id("conn", event.conn)
      .number("code", event.code)
      .text("reason", {event.reason, event.reason_length})
      .number("code_sent", event.code_sent)
      .boolean("clean", event.clean != 0)
      .text("initiator", wsb_initiator_name(event.initiator))
      .text("cause", wsb_cause_name(event.cause))
      .end();
  writer_.write(line);
}

void Events::stopped(const wsb_stop_result &result) {
  if (!enabled_) return;
  std::string line;
  JsonObject(line).text("event", "stopped").number("clean", result.clean).number("aborted", result.aborted).end();
  writer_.finish(line);
}

}  // namespace tool
