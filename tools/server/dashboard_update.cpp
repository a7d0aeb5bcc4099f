// Choosing and writing. Texts of peers are cut, so an update has a largest size whatever they send.
#include "dashboard_update.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "json.h"

namespace tool {
namespace {

constexpr std::pair<const char *, Order> kOrders[] = {
    {"attention", Order::kAttention},  {"newest", Order::kNewest}, {"oldest", Order::kOldest},
    {"round-trip", Order::kRoundTrip}, {"queue", Order::kQueue},   {"silent", Order::kSilent},
};

uint64_t less(uint64_t all, uint64_t some) {
  return all > some ? all - some : 0;
}

void append_row(std::string &out, wsb_server *server, const wsb_conn_info &info) {
  if (!out.empty()) out += ',';
  JsonObject(out)
      .id("conn", info.conn)
      .text("state", wsb_state_name(info.state))
      .text("path", short_conn_string(server, info.conn, WSB_STRING_PATH))
      .text("subprotocol", short_conn_string(server, info.conn, WSB_STRING_SUBPROTOCOL))
      .text("peer", short_conn_string(server, info.conn, WSB_STRING_PEER))
      .number("peer_port", info.peer_port)
      .number("worker", info.worker)
      .boolean("authenticated", info.authenticated != 0)
      .boolean("paused", info.paused != 0)
      .boolean("tls", info.tls != 0)
      .boolean("deflate", info.deflate != 0)
      .number("heartbeat_interval_ms", info.heartbeat_interval_ms == WSB_OFF ? 0 : info.heartbeat_interval_ms)
      .number("heartbeat_timeout_ms", info.heartbeat_timeout_ms)
      .boolean("heartbeat_waiting", info.heartbeat_waiting != 0)
      .number("heartbeat_due_us", info.heartbeat_due_us)
      .number("open_us", info.open_us)
      .number("idle_in_us", info.idle_in_us)
      .number("pings_sent", info.pings_sent)
      .number("pongs_received", info.pongs_received)
      .number("rtt_last_us", info.rtt_last_us)
      .number("rtt_smoothed_us", info.rtt_smoothed_us)
      .number("rtt_min_us", info.rtt_min_us)
      .number("messages_in", info.messages_in)
      .number("messages_out", info.messages_out)
      .number("buffered_bytes", info.buffered_bytes)
      .end();
}

void append_end(std::string &out, const End &end) {
  if (!out.empty()) out += ',';
  JsonObject(out)
      .number("number", end.number)
      .number("at_ms", end.at_ms)
      .id("conn", end.conn)
      .text("cause", wsb_cause_name(end.cause))
      .number("code", end.code)
      .number("code_sent", end.code_sent)
      .text("initiator", wsb_initiator_name(end.initiator))
      .boolean("clean", end.clean)
      .text("reason", end.reason)
      .text("path", end.path)
      .text("subprotocol", end.subprotocol)
      .text("peer", end.peer)
      .number("open_us", end.open_us)
      .number("rtt_smoothed_us", end.rtt_smoothed_us)
      .end();
}

std::string totals_json(EndLog &log) {
  std::string out;
  for (const auto &[kind, count] : log.totals()) {
    if (!out.empty()) out += ',';
    JsonObject(out).text("cause", wsb_cause_name(kind.first)).number("code", kind.second).number("count", count).end();
  }
  return '[' + out + ']';
}

}  // namespace

std::optional<Order> order_of(std::string_view name) {
  for (const auto &[known, order] : kOrders) {
    if (name == known) return order;
  }
  return std::nullopt;
}

const char *order_name(Order order) {
  const auto *const found =
      std::find_if(std::begin(kOrders), std::end(kOrders), [&](const auto &entry) { return entry.second == order; });
  return found->first;
}

void WatcherTraffic::add(const wsb_conn_info &info) {
  messages_in += info.messages_in;
  messages_out += info.messages_out;
  bytes_in += info.bytes_in;
  bytes_out += info.bytes_out;
}

Survey::Survey(wsb_server *server, uint64_t max_queue_bytes, std::vector<wsb_conn> watchers, WatcherTraffic past)
    : server_(server), max_queue_bytes_(max_queue_bytes), watchers_(std::move(watchers)), traffic_(past) {
  wsb_conn_info info;
  for (const wsb_conn watcher : watchers_) {
    wsb_conn_info_init(&info);
    if (wsb_conn_get_info(server, watcher, &info) == WSB_OK) traffic_.add(info);
  }
  wsb_metrics_init(&metrics_);
  wsb_server_get_metrics(server, &metrics_);
  seen_.reserve(std::min<size_t>(metrics_.connections, kLookedAt));
  wsb_server_for_each(server, visit, this);
}

int Survey::visit(wsb_conn conn, void *user) {
  Survey &survey = *static_cast<Survey *>(user);
  const auto &watchers = survey.watchers_;
  if (std::find(watchers.begin(), watchers.end(), conn) != watchers.end()) return 0;
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  if (wsb_conn_get_info(survey.server_, conn, &info) == WSB_OK) survey.seen_.push_back(info);
  return survey.seen_.size() >= kLookedAt ? 1 : 0;
}

// The larger, the more attention; equal ones go by age, the newest first.
uint64_t Survey::key(Order order, const wsb_conn_info &info) const {
  switch (order) {
    case Order::kAttention: {
      // Part of an answer's time has gone by, where most answers come at once.
      const uint64_t timeout_us = uint64_t{info.heartbeat_timeout_ms} * 1000;
      if (info.state != WSB_STATE_OPEN) return 4;
      if (info.heartbeat_waiting != 0 && info.paused == 0 && info.heartbeat_due_us < timeout_us / 4 * 3) return 3;
      if (info.buffered_bytes >= max_queue_bytes_ / 8) return 2;
      return info.paused != 0 ? 1 : 0;
    }
    case Order::kNewest:
      return 0;
    case Order::kOldest:
      return info.open_us;
    case Order::kRoundTrip:
      return info.rtt_smoothed_us;
    case Order::kQueue:
      return info.buffered_bytes;
    case Order::kSilent:
      return info.idle_in_us;
  }
  return 0;
}

std::string Survey::rows(Order order) const {
  struct Candidate {
    uint64_t key;
    const wsb_conn_info *info;
  };
  std::vector<Candidate> candidates;
  candidates.reserve(seen_.size());
  for (const wsb_conn_info &info : seen_) candidates.push_back({key(order, info), &info});
  const size_t count = std::min(candidates.size(), kRows);
  const auto end = candidates.begin() + static_cast<ptrdiff_t>(count);
  std::partial_sort(candidates.begin(), end, candidates.end(), [](const Candidate &a, const Candidate &b) {
    if (a.key != b.key) return a.key > b.key;
    if (a.info->open_us != b.info->open_us) return a.info->open_us < b.info->open_us;
    return a.info->conn < b.info->conn;
  });
  std::string out;
  std::for_each(candidates.begin(), end, [&](const Candidate &one) { append_row(out, server_, *one.info); });
  return '[' + out + ']';
}

std::string Survey::update(const Frame &frame, EndLog &log, uint64_t &ends_seen) const {
  const EndLog::News news = log.after(ends_seen);
  ends_seen = news.last;
  std::string ends;
  for (const End &end : news.ends) append_end(ends, end);
  std::string out;
  JsonObject(out)
      .text("type", "update")
      .number("started_ms", frame.started_ms)
      .number("uptime_ms", frame.uptime_ms)
      .boolean("stopping", frame.stopping)
      .text("order", order_name(frame.order))
      .number("open", less(metrics_.connections, watchers_.size()))
      .number("watching", watchers_.size())
      .number("looked_at", seen_.size())
      .number("opened", less(metrics_.opened, traffic_.opened))
      .number("closed", less(metrics_.closed, traffic_.closed))
      .number("closed_clean", less(metrics_.closed_clean, traffic_.closed_clean))
      .number("refused", metrics_.refused)
      .number("messages_in", less(metrics_.messages_in, traffic_.messages_in))
      .number("messages_out", less(metrics_.messages_out, traffic_.messages_out))
      .number("bytes_in", less(metrics_.bytes_in, traffic_.bytes_in))
      .number("bytes_out", less(metrics_.bytes_out, traffic_.bytes_out))
      .number("queue_bytes", metrics_.queue_bytes)
      .number("loop_lag_us", metrics_.loop_lag_us)
      .number("max_queue_bytes", max_queue_bytes_)
      .raw("connections", rows(frame.order))
      .raw("totals", totals_json(log))
      .raw("ends", '[' + ends + ']')
      .number("ends_missed", news.missed)
      .end();
  return out;
}

}  // namespace tool
