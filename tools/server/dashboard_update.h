// What watchers are told: a bounded choice of connections, totals, and ends. Made from the public API; no state.
#pragma once

#include <wsbeat/wsbeat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "end_log.h"

namespace tool {

// Which connections come first.
enum class Order : uint8_t { kAttention, kNewest, kOldest, kRoundTrip, kQueue, kSilent };
std::optional<Order> order_of(std::string_view name);
const char *order_name(Order order);

// What watchers themselves add to the server's metrics, to be taken off again.
struct WatcherTraffic {
  uint64_t opened = 0;
  uint64_t closed = 0;
  uint64_t closed_clean = 0;
  uint64_t messages_in = 0;
  uint64_t messages_out = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;

  void add(const wsb_conn_info &info);
};

// One look at the server, from which the update of each watcher is made.
class Survey {
 public:
  static constexpr size_t kLookedAt = 10000;  // connections per look
  static constexpr size_t kRows = 100;        // of them in one update

  // `watchers` are left out; `past` is the traffic of those that have gone.
  Survey(wsb_server *server, uint64_t max_queue_bytes, std::vector<wsb_conn> watchers, WatcherTraffic past);

  struct Frame {
    uint64_t started_ms;  // since 1970
    uint64_t uptime_ms;
    bool stopping;
    Order order;
  };
  std::string update(const Frame &frame, EndLog &log, uint64_t &ends_seen) const;

 private:
  static int visit(wsb_conn conn, void *user);
  std::string rows(Order order) const;
  uint64_t key(Order order, const wsb_conn_info &info) const;

  wsb_server *const server_;
  const uint64_t max_queue_bytes_;
  const std::vector<wsb_conn> watchers_;
  WatcherTraffic traffic_;
  wsb_metrics metrics_;
  std::vector<wsb_conn_info> seen_;
};

}  // namespace tool
