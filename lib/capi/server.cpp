// Servers: create, start, run, stop, destroy, certificates, lists, metrics.
#include <memory>

#include "capi/guard.h"
#include "capi/sized.h"
#include "core/frame.h"
#include "core/utf8.h"
#include "net/loop.h"
#include "server/copy_text.h"
#include "server/metrics.h"

namespace {

using wsb::capi::fail;
using wsb::capi::guarded;
using wsb::server::ApiError;

[[noreturn]] void invalid(const char *text) {
  throw ApiError(WSB_E_INVALID, text);
}

wsb_server &server_of(wsb_server *server) {
  if (server == nullptr) invalid("server is NULL");
  return *server;
}

wsb_callbacks checked(const wsb_callbacks *given, const wsb_config &config) {
  const wsb_callbacks callbacks = wsb::capi::read_sized(given, "wsb_callbacks");
  if (callbacks.on_message != nullptr && callbacks.on_fragment != nullptr)
    invalid("on_message and on_fragment exclude each other");
  if (config.delivery != WSB_DELIVERY_QUEUE) return callbacks;
  if (callbacks.on_open != nullptr || callbacks.on_message != nullptr || callbacks.on_fragment != nullptr ||
      callbacks.on_pong != nullptr || callbacks.on_drain != nullptr || callbacks.on_close != nullptr ||
      callbacks.on_refused != nullptr || callbacks.on_log != nullptr || callbacks.on_resumed != nullptr) {
    invalid("with queue delivery only on_handshake, on_http, on_subscribe, on_durable and on_presence may be set");
  }
  return callbacks;
}

void open_backplane(wsb_server &server) {
  if (server.is_on_worker_thread()) return;  // starting will be refused
  const int result = wsb::capi::open_backplane(server);
  if (result != WSB_OK) throw ApiError(result, "the backplane could not be opened");
}

// Milliseconds from now on the workers' clock.
wsb::server::StopOrder order_of(const wsb_stop_options *given) {
  constexpr uint32_t kDefaultDeadlineMs = 5000;
  constexpr uint32_t kMaxDeadlineMs = 3'600'000;
  const wsb_stop_options options = wsb::capi::read_sized(given, "wsb_stop_options");
  wsb::server::StopOrder order;
  if (options.code != 0) {
    if (!wsb::core::may_send_close_code(options.code))
      throw ApiError(WSB_E_INVALID, "code: " + std::to_string(options.code) + " may not be sent");
    order.code = options.code;
  }
  order.reason = options.reason != nullptr ? options.reason : "server is closing";
  if (order.reason.size() > wsb::core::kMaxCloseReason) invalid("reason: longer than 123 bytes");
  if (!wsb::core::is_valid_utf8(order.reason)) invalid("reason: not UTF-8");
  const uint32_t deadline_ms = options.deadline_ms != 0 ? options.deadline_ms : kDefaultDeadlineMs;
  if (deadline_ms > kMaxDeadlineMs)
    throw ApiError(WSB_E_INVALID, "deadline_ms: " + std::to_string(deadline_ms) + " is not within 1..3600000");
  if (options.spread_ms >= deadline_ms)
    throw ApiError(WSB_E_INVALID, "spread_ms: not below deadline_ms (" + std::to_string(deadline_ms) + ")");
  if (options.reserved != 0) invalid("reserved: must be 0");
  order.deadline = wsb::net::Loop::clock() + wsb::core::from_ms(deadline_ms);
  order.spread_us = wsb::core::from_ms(options.spread_ms);
  return order;
}

}  // namespace

extern "C" {

int wsb_server_create(const wsb_config *config, const wsb_callbacks *callbacks, wsb_server **out) noexcept {
  return guarded([&]() -> int {
    if (out == nullptr) invalid("out is NULL");
    *out = nullptr;
    wsb::net::check_library_versions();
    const wsb_config given = wsb::capi::read_sized(config, "wsb_config");
    wsb::server::ServerConfig read = wsb::server::read_config(given);
    const wsb_callbacks calls = checked(callbacks, given);
    read.connection.streaming = calls.on_fragment != nullptr;
    *out = std::make_unique<wsb_server>(std::move(read), calls).release();
    return WSB_OK;
  });
}

int wsb_server_start(wsb_server *server) noexcept {
  return guarded([&]() -> int {
    open_backplane(server_of(server));
    server->start();
    return WSB_OK;
  });
}

int wsb_server_run(wsb_server *server) noexcept {
  return guarded([&]() -> int {
    open_backplane(server_of(server));
    server->run();
    return WSB_OK;
  });
}

int wsb_server_stop(wsb_server *server, const wsb_stop_options *options, wsb_stop_result *result) noexcept {
  return guarded([&]() -> int {
    wsb_server &stopped = server_of(server);
    if (result != nullptr) wsb::capi::check_out(result, "wsb_stop_result");
    const wsb::server::Worker::StopCounts counts = stopped.stop(order_of(options), options != nullptr);
    if (result != nullptr) {
      wsb_stop_result made{};
      made.clean = counts.clean;
      made.aborted = counts.aborted;
      wsb::capi::write_sized(made, result);
    }
    return WSB_OK;
  });
}

int wsb_server_request_stop(wsb_server *server, const wsb_stop_options *options) noexcept {
  return guarded([&]() -> int {
    server_of(server).request_stop(order_of(options));
    return WSB_OK;
  });
}

int wsb_server_destroy(wsb_server *server) noexcept {
  if (server == nullptr) return WSB_OK;
  if (server->is_on_worker_thread())
    return fail(WSB_E_IN_CALLBACK, "a server cannot be destroyed on its own worker thread");
  return guarded([&]() -> int {
    delete server;
    return WSB_OK;
  });
}

uint32_t wsb_server_port(const wsb_server *server) noexcept {
  return server != nullptr ? server->port() : 0;
}

int wsb_server_reload_tls(wsb_server *server, const char *cert_file, const char *key_file) noexcept {
  return guarded([&]() -> int {
    wsb_server &reloaded = server_of(server);
    if ((cert_file == nullptr) != (key_file == nullptr)) invalid("cert_file and key_file: both or neither");
    reloaded.reload_tls(cert_file != nullptr ? cert_file : "", key_file != nullptr ? key_file : "");
    return WSB_OK;
  });
}

int64_t wsb_server_for_each(wsb_server *server, int (*visit)(wsb_conn conn, void *user), void *user) noexcept {
  return guarded([&]() -> int64_t {
    if (visit == nullptr) invalid("visit is NULL");
    int64_t calls = 0;
    for (const uint64_t id : server_of(server).connections()) {
      ++calls;
      if (visit(id, user) != 0) break;
    }
    return calls;
  });
}

int wsb_server_get_metrics(wsb_server *server, wsb_metrics *metrics) noexcept {
  return guarded([&]() -> int {
    wsb_server &asked = server_of(server);
    wsb::capi::check_out(metrics, "wsb_metrics");
    wsb::capi::write_sized(asked.metrics().totals, metrics);
    return WSB_OK;
  });
}

int64_t wsb_server_metrics_text(wsb_server *server, char *buffer, size_t capacity) noexcept {
  return guarded([&]() -> int64_t {
    wsb_server &asked = server_of(server);
    if (buffer == nullptr && capacity != 0) invalid("buffer is NULL");
    return wsb::server::copy_text(wsb::server::prometheus_text(asked.metrics()), buffer, capacity);
  });
}

}  // extern "C"
