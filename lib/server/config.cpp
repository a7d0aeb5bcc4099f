// Ranges and defaults of every field of wsb_config, and its lists.
#include "server/config.h"

#include <algorithm>

namespace wsb::server {

namespace {

constexpr uint64_t kDayMs = 86'400'000;
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kTiB = uint64_t{1} << 40;
constexpr uint32_t kDefaultHeartbeatMs = 25'000;         // below the 60 s at which proxies cut
constexpr uint32_t kLeastDefaultUserTimeoutMs = 30'000;  // the kernel also counts the time a live peer takes nothing

[[noreturn]] void refuse(const std::string& field, const std::string& why, int code = WSB_E_CONFIG) {
  throw ApiError(code, field + ": " + why);
}

// 0 gives the default; anything else must lie in least..most.
template <typename T>
T number(const char* field, T value, uint64_t standard, uint64_t least, uint64_t most) {
  if (value == 0) return static_cast<T>(standard);
  if (value < least || value > most) {
    refuse(field, std::to_string(value) + " is not within " + std::to_string(least) + ".." + std::to_string(most));
  }
  return value;
}

bool flag(const char* field, uint32_t value) {
  if (value > 1) refuse(field, std::to_string(value) + " is not 0 or 1");
  return value == 1;
}

uint32_t choice(const char* field, uint32_t value, uint32_t most) {
  if (value > most) refuse(field, std::to_string(value) + " is not within 0.." + std::to_string(most));
  return value;
}

std::string text(const char* value) {
  return value != nullptr ? value : "";
}

void read_listen(const wsb_config& in, ServerConfig& out) {
  if (in.port > 65535) refuse("port", std::to_string(in.port) + " is not within 0..65535");
  if (in.listen_fd < 0) refuse("listen_fd", std::to_string(in.listen_fd) + " is no descriptor");
  out.listen.host = in.host != nullptr && *in.host != '\0' ? in.host : "127.0.0.1";
  out.listen.port = static_cast<uint16_t>(in.port);
  out.listen.inherited_fd = in.listen_fd;
  out.listen.unix_path = text(in.unix_path);
  out.listen.backlog = static_cast<int>(number("backlog", in.backlog, 1024, 1, 65535));
  out.workers = number("workers", in.workers, 1, 1, 64);
  out.queue_delivery = choice("delivery", in.delivery, 1) == WSB_DELIVERY_QUEUE;
  out.log_level = number("log_level", in.log_level, WSB_LOG_WARNING, 1, 4);
}

void read_tls(const wsb_config& in, ServerConfig& out) {
  out.tls.cert_file = text(in.tls_cert_file);
  out.tls.key_file = text(in.tls_key_file);
  out.tls.ca_file = text(in.tls_ca_file);
  out.tls.client_cert = choice("tls_client_cert", in.tls_client_cert, WSB_CLIENT_CERT_REQUIRED);
  out.tls.min_version = number("tls_min_version", in.tls_min_version, 12, 12, 13);
  if (out.tls.cert_file.empty() && !out.tls.key_file.empty())
    refuse("tls_cert_file", "missing, but tls_key_file is set");
  if (!out.tls.cert_file.empty() && out.tls.key_file.empty())
    refuse("tls_key_file", "missing, but tls_cert_file is set");
  if (out.tls.client_cert == WSB_CLIENT_CERT_NONE) return;
  if (!out.tls.enabled()) refuse("tls_client_cert", "needs tls_cert_file and tls_key_file");
  if (out.tls.ca_file.empty()) refuse("tls_ca_file", "needed to check client certificates");
}

void read_heartbeat_and_times(const wsb_config& in, ServerConfig& out) {
  core::ConnectionConfig& c = out.connection;
  c.heartbeat = read_heartbeat(in.heartbeat_interval_ms, in.heartbeat_timeout_ms, in.heartbeat_liveness, WSB_E_CONFIG);
  const uint64_t patience =
      std::max<uint64_t>(kLeastDefaultUserTimeoutMs, uint64_t{c.heartbeat.interval_ms} + c.heartbeat.timeout_ms);
  out.listen.tcp_user_timeout_ms =
      in.tcp_user_timeout_ms == WSB_OFF
          ? 0
          : number("tcp_user_timeout_ms", in.tcp_user_timeout_ms, std::min(patience, kDayMs), 1000, kDayMs);
  c.handshake_timeout_ms = number("handshake_timeout_ms", in.handshake_timeout_ms, 10'000, 50, 600'000);
  c.close_timeout_ms = number("close_timeout_ms", in.close_timeout_ms, 5000, 50, 600'000);
  c.auth_timeout_ms = number("auth_timeout_ms", in.auth_timeout_ms, 0, 50, 600'000);
  c.idle_timeout_ms = number("idle_timeout_ms", in.idle_timeout_ms, 0, 50, 7 * kDayMs);
  c.message_timeout_ms = number("message_timeout_ms", in.message_timeout_ms, 60'000, 50, 3'600'000);
}

void read_limits(const wsb_config& in, ServerConfig& out) {
  core::ConnectionConfig& c = out.connection;
  out.max_header_bytes = number("max_header_bytes", in.max_header_bytes, 8192, 256, kMiB);
  out.max_connections = number("max_connections", in.max_connections, 1'000'000, 1, 16'000'000);
  out.max_connections_per_address =
      number("max_connections_per_address", in.max_connections_per_address, 0, 1, 16'000'000);
  c.max_messages_per_second = number("max_messages_per_second", in.max_messages_per_second, 0, 1, 10'000'000);
  c.limits.max_message_bytes = number("max_message_bytes", in.max_message_bytes, kMiB, 1, kTiB);
  c.limits.max_fragments = number("max_fragments", in.max_fragments, 65536, 1, uint64_t{1} << 31);
  c.slow_consumer = choice("slow_consumer", in.slow_consumer, WSB_SLOW_DROP_OLDEST);
  c.max_queue_bytes = number("max_queue_bytes", in.max_queue_bytes, kMiB, 1024, kTiB);
  out.max_event_queue_messages = number("max_event_queue_messages", in.max_event_queue_messages, 1024, 1, 1 << 24);
  out.max_event_queue_bytes = number("max_event_queue_bytes", in.max_event_queue_bytes, 4 * kMiB, 1024, kTiB);
}

void read_handshake(const wsb_config& in, ServerConfig& out) {
  const std::string subprotocols = text(in.subprotocols);
  for (const std::string_view name : core::split_list(subprotocols)) {
    if (!core::is_token(name)) refuse("subprotocols", "'" + std::string(name) + "' is not a token");
    const auto& known = out.handshake.subprotocols;
    if (std::find(known.begin(), known.end(), name) != known.end()) {
      refuse("subprotocols", "'" + std::string(name) + "' stands there twice");
    }
    out.handshake.subprotocols.emplace_back(name);
  }
  out.handshake.require_subprotocol = flag("require_subprotocol", in.require_subprotocol);
  if (out.handshake.require_subprotocol && out.handshake.subprotocols.empty()) {
    refuse("require_subprotocol", "needs subprotocols");
  }
  const std::string origins = text(in.origins);
  for (const std::string_view pattern : core::split_list(origins)) out.handshake.origins.emplace_back(pattern);
  std::string bad;
  if (!out.trusted_proxies.add_list(text(in.trusted_proxies), bad)) {
    refuse("trusted_proxies", "'" + bad + "' is no address, CIDR block or 'unix'");
  }
}

void read_deflate(const wsb_config& in, ServerConfig& out) {
  core::DeflateConfig& d = out.connection.deflate;
  d.enabled = flag("deflate", in.deflate);
  d.server_max_window_bits =
      static_cast<uint8_t>(number("deflate_server_max_window_bits", in.deflate_server_max_window_bits, 15, 9, 15));
  d.client_max_window_bits =
      static_cast<uint8_t>(number("deflate_client_max_window_bits", in.deflate_client_max_window_bits, 15, 9, 15));
  d.server_no_context_takeover = flag("deflate_server_no_context_takeover", in.deflate_server_no_context_takeover);
  d.client_no_context_takeover = flag("deflate_client_no_context_takeover", in.deflate_client_no_context_takeover);
  d.level = static_cast<uint8_t>(number("deflate_level", in.deflate_level, 1, 1, 9));
  d.mem_level = static_cast<uint8_t>(number("deflate_mem_level", in.deflate_mem_level, 8, 1, 9));
  out.connection.deflate_threshold_bytes =
      number("deflate_threshold_bytes", in.deflate_threshold_bytes, 256, 1, 1 << 30);
  out.handshake.deflate = d;
}

}  // namespace

core::HeartbeatSettings read_heartbeat(uint32_t interval_ms, uint32_t timeout_ms, uint32_t liveness, int code) {
  core::HeartbeatSettings settings;
  if (liveness > WSB_LIVENESS_PONG)
    refuse("heartbeat_liveness", std::to_string(liveness) + " is not within 0..1", code);
  settings.pong_only = liveness == WSB_LIVENESS_PONG;
  if (interval_ms == WSB_OFF) return settings;
  settings.interval_ms = interval_ms != 0 ? interval_ms : kDefaultHeartbeatMs;
  if (settings.interval_ms < 50 || settings.interval_ms > kDayMs) {
    refuse("heartbeat_interval_ms", std::to_string(interval_ms) + " is not within 50..86400000", code);
  }
  settings.timeout_ms = timeout_ms != 0 ? timeout_ms : settings.interval_ms / 2;
  if (settings.timeout_ms < 20 || settings.timeout_ms >= settings.interval_ms) {
    refuse("heartbeat_timeout_ms",
           std::to_string(timeout_ms) + " is not within 20.." + std::to_string(settings.interval_ms - 1) +
               " (interval - 1)",
           code);
  }
  return settings;
}

ServerConfig read_config(const wsb_config& config) {
  ServerConfig out;
  if (config.reserved0 != 0) refuse("reserved0", "must be 0");
  if (config.reserved1 != 0) refuse("reserved1", "must be 0");
  if (config.reserved2 != 0) refuse("reserved2", "must be 0");
  read_listen(config, out);
  read_tls(config, out);
  read_heartbeat_and_times(config, out);
  read_limits(config, out);
  read_handshake(config, out);
  read_deflate(config, out);
  return out;
}

}  // namespace wsb::server
