// The log of ends. Its lock is held for a few moves only: on_close must not wait.
#include "end_log.h"

#include <chrono>
#include <string_view>

namespace tool {
namespace {

constexpr size_t kShownBytes = 120;

// Not inside a character: continuation bytes of UTF-8 go with their first one.
std::string shortened(std::string_view text) {
  if (text.size() <= kShownBytes) return std::string(text);
  size_t length = kShownBytes;
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  return std::string(text.substr(0, length)) + "\xE2\x80\xA6";
}

}  // namespace

uint64_t now_ms() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count());
}

std::string short_conn_string(wsb_server *server, wsb_conn conn, uint32_t which) {
  char text[kShownBytes + 2];
  const int64_t length = wsb_conn_string(server, conn, which, text, sizeof text);
  return length < 0 ? "" : shortened(text);
}

void EndLog::add(wsb_server *server, const wsb_close_event &event) {
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  wsb_conn_get_info(server, event.conn, &info);
  End end = {};
  end.at_ms = now_ms();
  end.conn = event.conn;
  end.code = event.code;
  end.code_sent = event.code_sent;
  end.initiator = event.initiator;
  end.cause = event.cause;
  end.clean = event.clean != 0;
  end.open_us = info.open_us;
  end.rtt_smoothed_us = info.rtt_smoothed_us;
  end.reason = shortened({event.reason, event.reason_length});
  end.path = short_conn_string(server, event.conn, WSB_STRING_PATH);
  end.subprotocol = short_conn_string(server, event.conn, WSB_STRING_SUBPROTOCOL);
  end.peer = short_conn_string(server, event.conn, WSB_STRING_PEER);

  const std::lock_guard<std::mutex> lock(mutex_);
  const std::pair<uint32_t, uint32_t> kind(event.cause, event.code);
  const bool counted = totals_.count(kind) != 0 || totals_.size() < kKinds;
  ++totals_[counted ? kind : std::pair<uint32_t, uint32_t>(event.cause, 0)];
  end.number = ++last_;
  ends_.push_back(std::move(end));
  if (ends_.size() > kKept) ends_.pop_front();
}

EndLog::News EndLog::after(uint64_t seen) {
  const std::lock_guard<std::mutex> lock(mutex_);
  News news;
  news.last = last_;
  for (const End &end : ends_) {
    if (end.number > seen) news.ends.push_back(end);
  }
  news.missed = last_ - seen - news.ends.size();
  return news;
}

std::map<std::pair<uint32_t, uint32_t>, uint64_t> EndLog::totals() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return totals_;
}

}  // namespace tool
