// The public configuration, checked and in the library's own types.
#pragma once

#include <stdexcept>
#include <string>

#include "core/connection.h"
#include "core/handshake.h"
#include "core/proxy.h"
#include "net/listener.h"
#include "net/tls.h"
#include "wsbeat/wsbeat.h"

namespace wsb::server {

// An error for the caller: a wsb_error and its detail.
class ApiError : public std::runtime_error {
 public:
  ApiError(int code, const std::string& text) : std::runtime_error(text), code_(code) {}
  int code() const noexcept { return code_; }

 private:
  int code_;
};

struct ServerConfig {
  net::ListenConfig listen;
  net::TlsConfig tls;
  core::ConnectionConfig connection;
  core::HandshakeConfig handshake;
  core::CidrSet trusted_proxies;
  uint32_t proxy_protocol = WSB_PROXY_PROTOCOL_OFF;
  uint32_t workers = 1;
  uint32_t log_level = WSB_LOG_WARNING;
  bool queue_delivery = false;
  size_t max_header_bytes = 8192;
  uint32_t max_connections = 0;
  uint32_t max_connections_per_address = 0;
  uint32_t max_event_queue_messages = 1024;
  uint64_t max_event_queue_bytes = 4 << 20;
  uint32_t max_topics_per_connection = 0;
  uint32_t max_subscriptions = 0;
  uint32_t max_retained_messages = 0;
  uint64_t max_retained_bytes = 0;
};

// Throws ApiError(WSB_E_CONFIG) with a text that names the field.
ServerConfig read_config(const wsb_config& config);

// Checks and completes heartbeat numbers as the configuration's rules say. Throws ApiError(`code`).
core::HeartbeatSettings read_heartbeat(uint32_t interval_ms, uint32_t timeout_ms, uint32_t liveness, int code);

}  // namespace wsb::server
