// What all workers of a server share, and an order to stop.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "core/limits.h"
#include "core/time.h"
#include "server/backplane.h"
#include "server/config.h"
#include "server/delivery.h"
#include "server/topics.h"
#include "wsbeat/wsbeat.h"

namespace wsb::server {

class Presence;

struct Context {
  Context(ServerConfig its_config, const wsb_callbacks& its_callbacks)
      : config(std::move(its_config)),
        callbacks(its_callbacks),
        limits(config.max_connections, config.max_connections_per_address),
        topics(config) {}

  void log(uint32_t level, uint64_t conn, std::string_view text, std::string_view detail = {}) const noexcept {
    if (level > config.log_level) return;
    try {
      delivery->log(level, conn, std::string(text).append(detail));
    } catch (const std::exception&) {  // no memory to say something: say nothing
    }
  }

  const ServerConfig config;
  const wsb_callbacks callbacks;
  std::unique_ptr<Delivery> delivery;
  std::mutex limits_mutex;
  core::ConnectionLimits limits;
  Topics topics;
  Backplane backplane;
  Presence* presence = nullptr;  // the server's
};

struct StopOrder {
  uint32_t code = WSB_CLOSE_GOING_AWAY;
  std::string reason;
  core::TimeUs deadline = 0;   // of the monotonic clock: what is left then is aborted
  core::TimeUs spread_us = 0;  // closes are spread over this
  bool at_once = false;        // no Close, no waiting
};

}  // namespace wsb::server
