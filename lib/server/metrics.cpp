// Summing workers' numbers and writing them in Prometheus text format.
#include "server/metrics.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace wsb::server {

namespace {

constexpr core::TimeUs kLagWindowUs = 5'000'000;

void append(std::string& out, const char* name, const char* labels, uint64_t value) {
  char line[192];
  (void)std::snprintf(line, sizeof line, "%s%s %" PRIu64 "\n", name, labels, value);
  out += line;
}

void head(std::string& out, const char* name, const char* type, const char* help) {
  out += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

void single(std::string& out, const char* name, const char* type, const char* help, uint64_t value) {
  head(out, name, type, help);
  append(out, name, "", value);
}

// Microseconds as seconds, without floating point's noise.
std::string seconds(uint64_t us) {
  char text[40];
  (void)std::snprintf(text, sizeof text, "%" PRIu64 ".%06" PRIu64, us / 1'000'000, us % 1'000'000);
  return text;
}

void histogram(std::string& out, const MetricsSum& sum) {
  const std::string name = "wsbeat_heartbeat_rtt_seconds";
  head(out, name.c_str(), "histogram", "Round trips of heartbeat pings.");
  uint64_t count = 0;
  for (size_t i = 0; i < sum.rtt_buckets.size(); ++i) {
    count += sum.rtt_buckets[i];
    const std::string bound = i < kRttBucketsUs.size() ? seconds(kRttBucketsUs[i]) : "+Inf";
    out += name + "_bucket{le=\"" + bound + "\"} " + std::to_string(count) + "\n";
  }
  out += name + "_sum " + seconds(sum.rtt_sum_us) + "\n" + name + "_count " + std::to_string(count) + "\n";
}

}  // namespace

void WorkerMetrics::note_rtt(uint32_t rtt_us) noexcept {
  const auto* bucket = std::lower_bound(kRttBucketsUs.begin(), kRttBucketsUs.end(), rtt_us);
  rtt_buckets[static_cast<size_t>(bucket - kRttBucketsUs.begin())].add(1);
  rtt_sum_us.add(rtt_us);
}

void WorkerMetrics::note_lag(core::TimeUs now, core::TimeUs late_us) noexcept {
  const uint64_t window = now / kLagWindowUs;
  if (window != lag_window.get()) {
    lag_before_us.set(window == lag_window.get() + 1 ? lag_now_us.get() : 0);
    lag_now_us.set(0);
    lag_window.set(window);
  }
  if (late_us > lag_now_us.get()) lag_now_us.set(late_us);
}

uint64_t WorkerMetrics::lag_us(core::TimeUs now) const noexcept {
  const uint64_t windows_ago = now / kLagWindowUs - lag_window.get();
  if (windows_ago == 0) return std::max(lag_now_us.get(), lag_before_us.get());
  return windows_ago == 1 ? lag_now_us.get() : 0;
}

void count_close(CloseCounts& counts, uint32_t cause, uint32_t code) {
  const bool own = code >= kFirstOwnCode;
  if (own && counts.size() >= kMostCloseCounts && counts.count({cause, code}) == 0) code = kOtherCodes;
  ++counts[{cause, code}];
}

void MetricsSum::add(const WorkerMetrics& w, core::TimeUs now) {
  totals.connections += w.connections.get();
  totals.opened += w.opened.get();
  totals.closed += w.closed.get();
  totals.closed_clean += w.closed_clean.get();
  totals.http_requests += w.http_requests.get();
  totals.accepted += w.accepted.get();
  totals.messages_in += w.messages_in.get();
  totals.messages_out += w.messages_out.get();
  totals.bytes_in += w.bytes_in.get();
  totals.bytes_out += w.bytes_out.get();
  totals.pings_sent += w.pings_sent.get();
  totals.pongs_received += w.pongs_received.get();
  totals.queue_bytes += w.queue_bytes.get();
  totals.queue_refused += w.queue_refused.get();
  totals.messages_dropped += w.messages_dropped.get();
  totals.writes += w.writes.get();
  totals.loop_turns += w.loop_turns.get();
  totals.loop_lag_us = std::max(totals.loop_lag_us, w.lag_us(now));
  for (size_t i = 0; i < w.closed_by_cause.size(); ++i) totals.closed_by_cause[i] += w.closed_by_cause[i].get();
  for (size_t i = 0; i < refused_by_cause.size(); ++i) {
    refused_by_cause[i] += w.refused_by_cause[i].get();
    totals.refused += w.refused_by_cause[i].get();
  }
  for (size_t i = 0; i < rtt_buckets.size(); ++i) rtt_buckets[i] += w.rtt_buckets[i].get();
  rtt_sum_us += w.rtt_sum_us.get();
}

std::string prometheus_text(const MetricsSum& sum) {
  const wsb_metrics& t = sum.totals;
  std::string out;
  out.reserve(7000);
  head(out, "wsbeat_build_info", "gauge", "Always 1; the label tells the library's version.");
  append(out, "wsbeat_build_info", "{version=\"" WSB_VERSION_STRING "\"}", 1);
  single(out, "wsbeat_connections", "gauge", "WebSocket connections open now.", t.connections);
  single(out, "wsbeat_connections_opened_total", "counter", "Handshakes completed.", t.opened);
  head(out, "wsbeat_closes_total", "counter", "Ends of connections by cause and received close code.");
  for (const auto& [key, count] : sum.closes) {
    const std::string code = key.second == kOtherCodes ? "other" : std::to_string(key.second);
    const std::string labels = std::string("{cause=\"") + wsb_cause_name(key.first) + "\",code=\"" + code + "\"}";
    append(out, "wsbeat_closes_total", labels.c_str(), count);
  }
  single(out, "wsbeat_closes_clean_total", "counter", "Ends with a Close frame in both directions.", t.closed_clean);
  head(out, "wsbeat_handshakes_refused_total", "counter", "Handshakes refused by cause.");
  for (uint32_t cause = 1; cause <= WSB_REFUSAL_LAST_; ++cause) {
    char labels[64];
    (void)std::snprintf(labels, sizeof labels, "{cause=\"%s\"}", wsb_refusal_name(cause));
    append(out, "wsbeat_handshakes_refused_total", labels, sum.refused_by_cause[cause]);
  }
  single(out, "wsbeat_http_requests_total", "counter", "Plain HTTP requests answered.", t.http_requests);
  single(out, "wsbeat_sockets_accepted_total", "counter", "Sockets accepted.", t.accepted);
  single(out, "wsbeat_messages_received_total", "counter", "Messages received.", t.messages_in);
  single(out, "wsbeat_messages_sent_total", "counter", "Messages queued by the application.", t.messages_out);
  single(out, "wsbeat_messages_dropped_total", "counter", "Queued messages that never left.", t.messages_dropped);
  single(out, "wsbeat_sends_refused_total", "counter", "Sends refused because a queue was full.", t.queue_refused);
  single(out, "wsbeat_received_bytes_total", "counter", "Bytes of frames received.", t.bytes_in);
  single(out, "wsbeat_sent_bytes_total", "counter", "Bytes written.", t.bytes_out);
  single(out, "wsbeat_queue_bytes", "gauge", "Bytes queued for sending now.", t.queue_bytes);
  single(out, "wsbeat_heartbeat_pings_total", "counter", "Heartbeat pings sent.", t.pings_sent);
  single(out, "wsbeat_heartbeat_pongs_total", "counter", "Heartbeat pings answered.", t.pongs_received);
  histogram(out, sum);
  single(out, "wsbeat_subscriptions", "gauge", "Subscriptions to topics now.", t.subscriptions);
  single(out, "wsbeat_published_total", "counter", "Publications.", t.published);
  single(out, "wsbeat_publish_reached_total", "counter", "Receivers whose queue took a publication.",
         t.publish_reached);
  single(out, "wsbeat_publish_refused_total", "counter", "Receivers whose queue refused a publication.",
         t.publish_refused);
  single(out, "wsbeat_presence_members", "gauge", "Names present on topics, as far as this server knows.",
         t.presence_members);
  single(out, "wsbeat_presence_watches", "gauge", "Watches of topics now.", t.presence_watches);
  single(out, "wsbeat_presence_joins_total", "counter", "Connections that joined a topic.", t.presence_joins);
  single(out, "wsbeat_presence_leaves_total", "counter", "Connections that left a topic.", t.presence_leaves);
  single(out, "wsbeat_retained_messages", "gauge", "Retained messages.", t.retained_messages);
  single(out, "wsbeat_retained_bytes", "gauge", "Bytes of retained messages and their names.", t.retained_bytes);
  single(out, "wsbeat_backplane_up", "gauge", "1: the backplane is connected.",
         t.backplane_state == WSB_BACKPLANE_UP ? 1 : 0);
  single(out, "wsbeat_backplane_published_total", "counter", "Publications that the backplane took.",
         t.backplane_published);
  single(out, "wsbeat_backplane_refused_total", "counter", "Publications that it did not take.", t.backplane_refused);
  single(out, "wsbeat_backplane_received_total", "counter", "Messages that the backplane brought.",
         t.backplane_received);
  single(out, "wsbeat_durable_stored_total", "counter", "Publications to durable topics that the store has.",
         t.durable_stored);
  single(out, "wsbeat_durable_refused_total", "counter", "Publications to durable topics that it has not taken.",
         t.durable_refused);
  single(out, "wsbeat_replays_total", "counter", "Replays begun for subscriptions.", t.replays);
  single(out, "wsbeat_replayed_total", "counter", "Messages that replays sent.", t.replayed);
  single(out, "wsbeat_replays_missed_total", "counter", "Replays that could not give all that was missed.",
         t.replays_missed);
  single(out, "wsbeat_writes_total", "counter", "System calls that wrote.", t.writes);
  single(out, "wsbeat_loop_turns_total", "counter", "Turns of the workers' event loops.", t.loop_turns);
  head(out, "wsbeat_loop_lag_seconds", "gauge", "Largest lateness of a timer in the last five to ten seconds.");
  out += "wsbeat_loop_lag_seconds " + seconds(t.loop_lag_us) + "\n";
  return out;
}

}  // namespace wsb::server
