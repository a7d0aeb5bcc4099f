// Settings by the names of the fields of wsb_config and wsb_nats_options.
#include <limits>
#include <string>
#include <unordered_map>

#include "engine.h"
#include "errors.h"

namespace binding {

namespace {

// Every field of wsb_config but `size`, `delivery` and what is reserved.
// clang-format off
#define BINDING_FIELDS(XX) \
  XX(host) XX(port) XX(listen_fd) XX(unix_path) XX(backlog) XX(workers) XX(log_level) XX(tls_cert_file) \
  XX(tls_key_file) XX(tls_ca_file) XX(tls_client_cert) XX(tls_min_version) XX(heartbeat_interval_ms) \
  XX(heartbeat_timeout_ms) XX(heartbeat_liveness) XX(tcp_user_timeout_ms) XX(handshake_timeout_ms) \
  XX(close_timeout_ms) XX(auth_timeout_ms) XX(idle_timeout_ms) XX(message_timeout_ms) XX(max_header_bytes) \
  XX(max_connections) XX(max_connections_per_address) XX(max_messages_per_second) XX(max_message_bytes) \
  XX(max_fragments) XX(slow_consumer) XX(max_queue_bytes) XX(max_event_queue_messages) \
  XX(max_event_queue_bytes) XX(subprotocols) XX(require_subprotocol) XX(origins) XX(trusted_proxies) \
  XX(deflate) XX(deflate_server_max_window_bits) XX(deflate_client_max_window_bits) \
  XX(deflate_server_no_context_takeover) XX(deflate_client_no_context_takeover) XX(deflate_level) \
  XX(deflate_mem_level) XX(deflate_threshold_bytes) XX(proxy_protocol) XX(app_beat_ms) \
  XX(max_topics_per_connection) XX(max_subscriptions) XX(max_retained_messages) XX(max_retained_bytes)

// Every field of wsb_nats_options but `size`.
#define BINDING_NATS_FIELDS(XX) \
  XX(servers) XX(prefix) XX(name) XX(credentials_file) XX(tls_ca_file) XX(tls_cert_file) XX(tls_key_file) \
  XX(buffer_bytes) XX(refuse_when_down) XX(ping_interval_ms) XX(durable) XX(durable_max_bytes) \
  XX(durable_max_age_s) XX(durable_replicas) XX(max_replay) XX(replay_memory_bytes) \
  XX(presence_ttl_ms)
// clang-format on

template <typename Number>
Number number_of(const std::string& name, const py::handle& value) {
  if (PyBool_Check(value.ptr())) return static_cast<Number>(value.ptr() == Py_True);
  if (PyLong_Check(value.ptr()) == 0) throw py::type_error(name + " must be an integer");
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
  using Limits = std::numeric_limits<Number>;
  const bool too_big = overflow > 0 || (number > 0 && static_cast<unsigned long long>(number) >
                                                          static_cast<unsigned long long>(Limits::max()));
  const bool too_small =
      overflow < 0 || (number < 0 && (!Limits::is_signed || number < static_cast<long long>(Limits::min())));
  if (too_big || too_small) raise(WSB_E_CONFIG, (name + " is out of range").c_str());
  return static_cast<Number>(number);
}

void set(const std::string& name, const py::handle& value, uint32_t& out, std::string& /*text*/) {
  out = number_of<uint32_t>(name, value);
}
void set(const std::string& name, const py::handle& value, int32_t& out, std::string& /*text*/) {
  out = number_of<int32_t>(name, value);
}
void set(const std::string& name, const py::handle& value, uint64_t& out, std::string& /*text*/) {
  out = number_of<uint64_t>(name, value);
}
void set(const std::string& name, const py::handle& value, const char*& out, std::string& text) {
  if (PyUnicode_Check(value.ptr()) == 0) throw py::type_error(name + " must be a string");
  text = py::cast<std::string>(value);
  if (text.find('\0') != std::string::npos) raise(WSB_E_CONFIG, (name + " has a NUL character in it").c_str());
  out = text.c_str();
}

[[noreturn]] void refuse(const std::string& name) {
  throw py::type_error("there is no setting \"" + name + "\"");
}

#define BINDING_XX(field)               \
  if (name == #field) {                 \
    set(name, value, into.field, text); \
    return;                             \
  }

void set_one(wsb_config& into, const std::string& name, const py::handle& value, std::string& text) {
  BINDING_FIELDS(BINDING_XX)
  refuse(name);
}

void set_one(wsb_nats_options& into, const std::string& name, const py::handle& value, std::string& text) {
  BINDING_NATS_FIELDS(BINDING_XX)
  refuse(name);
}

#undef BINDING_XX

template <typename Struct>
void set_all(Struct& into, const py::dict& settings, std::vector<std::string>& texts) {
  texts.resize(settings.size());  // not to move again: the struct points into them
  size_t i = 0;
  for (const auto& [key, value] : settings) set_one(into, py::cast<std::string>(key), value, texts[i++]);
}

}  // namespace

void add_settings_to(wsb_config& config, const py::dict& settings, std::vector<std::string>& texts) {
  set_all(config, settings, texts);
}

void add_settings_to(wsb_nats_options& options, const py::dict& settings, std::vector<std::string>& texts) {
  set_all(options, settings, texts);
}

}  // namespace binding
