// A server's life, its settings, and what is asked of it as a whole.
#include "engine.h"

#include <cstring>

#include "errors.h"

namespace binding {

namespace {

constexpr uint64_t kDefaultMaxQueueBytes = 1 << 20;  // wsb_config.max_queue_bytes

const char* const handler_names[] = {
#define BINDING_XX(name) #name,
    BINDING_HANDLERS(BINDING_XX)
#undef BINDING_XX
};

const char* const backplane_states[] = {"none", "down", "up"};  // WSB_BACKPLANE_*

// Text of Python for the time of a call.
std::string text_of(const py::handle& text) {
  return py::cast<std::string>(text);
}

wsb_stop_options stop_options(uint32_t code, const std::string& reason, uint32_t deadline_ms, uint32_t spread_ms) {
  wsb_stop_options options;
  wsb_stop_options_init(&options);
  options.code = code;
  options.reason = reason.empty() ? nullptr : reason.c_str();
  options.deadline_ms = deadline_ms;
  options.spread_ms = spread_ms;
  return options;
}

}  // namespace

Engine::Engine(const py::dict& settings, py::object connection_class)
    : connection_class_(connection_class.release().ptr()),
      max_queue_bytes_(kDefaultMaxQueueBytes),
      generation_(forks()) {
  auto* const type = reinterpret_cast<PyTypeObject*>(connection_class_.get());
  if (PyType_Check(connection_class_.get()) == 0 || PyType_IsSubtype(type, connection_type) == 0) {
    throw py::type_error("the connection class must derive from Connection or ServerConnection");
  }
  if (exiting()) raise(WSB_E_STATE, "the interpreter is about to exit");
  wsb_config config;
  wsb_config_init(&config);
  config.delivery = WSB_DELIVERY_QUEUE;
  std::vector<std::string> texts;
  add_settings_to(config, settings, texts);
  if (config.max_queue_bytes != 0) max_queue_bytes_ = config.max_queue_bytes;
  wsb_callbacks callbacks;
  wsb_callbacks_init(&callbacks);
  callbacks.user = this;
  callbacks.on_handshake = on_handshake;
  callbacks.on_http = on_http;
  callbacks.on_subscribe = on_subscribe;
  callbacks.on_durable = on_durable;
  callbacks.on_presence = on_presence;
  check(unlocked([&] { return wsb_server_create(&config, &callbacks, &server_); }));
  enlist();
}

Engine::~Engine() {
  clear();  // first: who finds a handler may rely on this
  unlist();
  forget_all();
  // In a forked child the library's threads do not exist: nothing of the server can be ended there.
  if (server_ == nullptr || in_forked_child()) return;
  unlocked([&] {
    wsb_batch_release(batch_);
    (void)wsb_server_destroy(server_);
  });
  deliver_stored();
  if (stored_fd_ >= 0) (void)::close(stored_fd_);
  while (heads_ != nullptr) {
    RequestHead* const head = heads_;
    release_head(head);
    delete head;
  }
}

void Engine::forget_all() noexcept {
  for (Outgoing& message : outgoing_) Py_DECREF(as_object(message.connection));
  outgoing_.clear();
  for (const auto& [id, connection] : connections_) {
    connection->engine = nullptr;
    Py_DECREF(as_object(connection));
  }
  connections_.clear();
}

bool Engine::usable() const noexcept {
  return !in_forked_child();
}

void Engine::check_usable() const {
  if (in_forked_child()) raise(WSB_E_STATE, "the server runs in the parent process: a forked child cannot use it");
  if (Formatting::under_way()) raise(WSB_E_STATE, Formatting::kRefusal);
}

PyObject* Engine::self() const {
  return py::detail::get_object_handle(this, py::detail::get_type_info(typeid(Engine))).ptr();
}

// ---------------------------------------------------------------------------------------------------------------- handlers

void Engine::set_handlers(const py::dict& handlers) {
  for (const auto& [key, callable] : handlers) {
    const std::string name = text_of(key);
    size_t i = 0;
    while (i < handlers_.size() && name != handler_names[i]) ++i;
    if (i == handlers_.size()) throw py::key_error(name);
    PyObject* const before = std::exchange(handlers_[i], callable.is_none() ? nullptr : Py_NewRef(callable.ptr()));
    Py_XDECREF(before);
  }
  asks_handshake_.store(handler(Handler::handshake) != nullptr);
  asks_http_.store(handler(Handler::http) != nullptr);
  asks_subscribe_.store(handler(Handler::subscribe) != nullptr);
  asks_durable_.store(handler(Handler::durable) != nullptr);
  asks_presence_.store(handler(Handler::presence) != nullptr);
}

void Engine::attach(const py::object& loop, uint32_t max_queue) {
  loop_ = Ref::share(loop.ptr());
  create_future_ = Ref(py::object(loop.attr("create_future")).release().ptr());
  call_soon_ = Ref(py::object(loop.attr("call_soon")).release().ptr());
  flush_callback_ = Ref(py::object(py::handle(self()).attr("flush")).release().ptr());
  max_queue_ = max_queue;
  dispatcher_ = PyThread_get_thread_ident();
}

PyObject* Engine::create_future() const noexcept {
  if (!create_future_) {
    PyErr_SetString(PyExc_RuntimeError, "the server belongs to no event loop");
    return nullptr;
  }
  return PyObject_CallNoArgs(create_future_.get());
}

int Engine::traverse(visitproc visit, void* arg) const {
  for (PyObject* callable : handlers_) Py_VISIT(callable);
  Py_VISIT(connection_class_.get());
  Py_VISIT(loop_.get());
  Py_VISIT(create_future_.get());
  Py_VISIT(call_soon_.get());
  Py_VISIT(flush_callback_.get());
  for (const auto& [id, connection] : connections_) Py_VISIT(as_object(connection));
  return 0;
}

void Engine::clear() noexcept {
  asks_handshake_.store(false);
  asks_http_.store(false);
  asks_subscribe_.store(false);
  asks_durable_.store(false);
  asks_presence_.store(false);
  for (PyObject*& callable : handlers_) Py_CLEAR(callable);
  loop_ = Ref();
  create_future_ = Ref();
  call_soon_ = Ref();
  flush_callback_ = Ref();
}

// ------------------------------------------------------------------------------------------------------------ start and stop

void Engine::start() {
  check_usable();
  if (exiting()) raise(WSB_E_STATE, "the interpreter is about to exit");
  check(unlocked([&] { return wsb_server_start(server_); }));
}

py::tuple Engine::stop(uint32_t code, const py::str& reason, uint32_t deadline_ms, uint32_t spread_ms) {
  check_usable();
  flush();
  const std::string text = text_of(reason);
  const wsb_stop_options options = stop_options(code, text, deadline_ms, spread_ms);
  wsb_stop_result result{};
  result.size = sizeof result;
  check(unlocked([&] { return wsb_server_stop(server_, &options, &result); }));
  return py::make_tuple(result.clean, result.aborted);
}

void Engine::request_stop(uint32_t code, const py::str& reason, uint32_t deadline_ms, uint32_t spread_ms) {
  check_usable();
  flush();
  const std::string text = text_of(reason);
  const wsb_stop_options options = stop_options(code, text, deadline_ms, spread_ms);
  check(unlocked([&] { return wsb_server_request_stop(server_, &options); }));
}

void Engine::reload_tls(const py::object& cert_file, const py::object& key_file) {
  check_usable();
  const std::string cert = cert_file.is_none() ? std::string() : text_of(cert_file);
  const std::string key = key_file.is_none() ? std::string() : text_of(key_file);
  check(unlocked([&] {
    return wsb_server_reload_tls(server_, cert_file.is_none() ? nullptr : cert.c_str(),
                                 key_file.is_none() ? nullptr : key.c_str());
  }));
}

// --------------------------------------------------------------------------------------------------------------- questions

uint32_t Engine::port() const {
  return wsb_server_port(server_);
}

int Engine::event_fd() const {
  check_usable();
  return check(wsb_server_event_fd(server_));
}

py::dict Engine::metrics() const {
  check_usable();
  wsb_metrics m;
  wsb_metrics_init(&m);
  check(unlocked([&] { return wsb_server_get_metrics(server_, &m); }));
  py::dict out;
  out["connections"] = m.connections;
  out["opened"] = m.opened;
  out["closed"] = m.closed;
  out["closed_clean"] = m.closed_clean;
  out["refused"] = m.refused;
  out["http_requests"] = m.http_requests;
  out["accepted"] = m.accepted;
  out["messages_in"] = m.messages_in;
  out["messages_out"] = m.messages_out;
  out["bytes_in"] = m.bytes_in;
  out["bytes_out"] = m.bytes_out;
  out["pings_sent"] = m.pings_sent;
  out["pongs_received"] = m.pongs_received;
  out["queue_bytes"] = m.queue_bytes;
  out["queue_refused"] = m.queue_refused;
  out["messages_dropped"] = m.messages_dropped;
  out["writes"] = m.writes;
  out["loop_turns"] = m.loop_turns;
  out["loop_lag_us"] = m.loop_lag_us;
  out["subscriptions"] = m.subscriptions;
  out["published"] = m.published;
  out["publish_reached"] = m.publish_reached;
  out["publish_refused"] = m.publish_refused;
  out["retained_messages"] = m.retained_messages;
  out["retained_bytes"] = m.retained_bytes;
  out["backplane_state"] = backplane_states[m.backplane_state < 3 ? m.backplane_state : 0];
  out["backplane_published"] = m.backplane_published;
  out["backplane_refused"] = m.backplane_refused;
  out["backplane_received"] = m.backplane_received;
  out["durable_stored"] = m.durable_stored;
  out["durable_refused"] = m.durable_refused;
  out["replays"] = m.replays;
  out["replayed"] = m.replayed;
  out["replays_missed"] = m.replays_missed;
  out["presence_members"] = m.presence_members;
  out["presence_watches"] = m.presence_watches;
  out["presence_joins"] = m.presence_joins;
  out["presence_leaves"] = m.presence_leaves;
  py::dict causes;
#define WSB_XX(name, value, text) causes[text] = m.closed_by_cause[value];
  WSB_CAUSE_MAP(WSB_XX)
#undef WSB_XX
  out["closed_by_cause"] = causes;
  return out;
}

py::str Engine::metrics_text() const {
  check_usable();
  std::string text;
  for (;;) {
    const int64_t length = unlocked([&] { return wsb_server_metrics_text(server_, text.data(), text.size()); });
    if (length < 0) raise(static_cast<int>(length), nullptr);
    if (static_cast<size_t>(length) < text.size()) {
      text.resize(static_cast<size_t>(length));
      return text;
    }
    text.resize(static_cast<size_t>(length) + 256);  // it may grow meanwhile
  }
}

py::list Engine::connections() const {
  py::list out;
  for (const auto& [id, connection] : connections_) out.append(py::handle(as_object(connection)));
  return out;
}

}  // namespace binding
