// How the latest connections ended, and how many ended in which way. Bounded, whatever peers do.
#pragma once

#include <wsbeat/wsbeat.h>

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace tool {

struct End {
  uint64_t number;  // 1, 2, 3...
  uint64_t at_ms;   // since 1970
  wsb_conn conn;
  uint32_t code;
  uint32_t code_sent;
  uint32_t initiator;
  uint32_t cause;
  bool clean;
  uint64_t open_us;
  uint64_t rtt_smoothed_us;
  std::string reason;
  std::string path;
  std::string subprotocol;
  std::string peer;
};

uint64_t now_ms();  // since 1970

// One text of a connection, of which a peer may choose the length; cut with an ellipsis.
std::string short_conn_string(wsb_server *server, wsb_conn conn, uint32_t which);

class EndLog {
 public:
  static constexpr size_t kKept = 100;
  static constexpr size_t kKinds = 64;  // of cause and code; beyond, the rest of a cause is counted under code 0

  // In on_close.
  void add(wsb_server *server, const wsb_close_event &event);

  struct News {
    uint64_t last = 0;      // number of the newest end
    uint64_t missed = 0;    // ends after `seen` that are not kept any more
    std::vector<End> ends;  // after `seen`, oldest first
  };
  News after(uint64_t seen);

  // {cause, code} and how many.
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> totals();

 private:
  std::mutex mutex_;
  std::deque<End> ends_;
  uint64_t last_ = 0;
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> totals_;
};

}  // namespace tool
