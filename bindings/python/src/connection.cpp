// The connection types: their life, what they know, and the calls that both faces share. Built by hand, since a call of a pybind11 method
// costs more than all else that a message needs.
#include "connection.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

#include "engine.h"
#include "errors.h"
#include "order.h"

namespace binding {

PyTypeObject* connection_type = nullptr;
PyTypeObject* plain_connection_type = nullptr;
PyTypeObject* async_connection_type = nullptr;

// ------------------------------------------------------------------------------------------------------------------- inbox

bool Inbox::push(PyObject* owned) noexcept {
  if (count_ == capacity_) {
    const uint32_t larger = capacity_ == 0 ? 4 : capacity_ * 2;
    auto** items = static_cast<PyObject**>(std::malloc(larger * sizeof(PyObject*)));
    if (items == nullptr) {
      Py_DECREF(owned);
      return false;
    }
    for (uint32_t i = 0; i < count_; ++i) items[i] = items_[(first_ + i) & (capacity_ - 1)];
    std::free(items_);
    items_ = items;
    capacity_ = larger;
    first_ = 0;
  }
  items_[(first_ + count_) & (capacity_ - 1)] = owned;
  ++count_;
  return true;
}

PyObject* Inbox::pop() noexcept {
  PyObject* const item = items_[first_];
  first_ = (first_ + 1) & (capacity_ - 1);
  --count_;
  return item;
}

void Inbox::clear() noexcept {
  while (count_ != 0) Py_DECREF(pop());
  std::free(items_);
  items_ = nullptr;
  capacity_ = first_ = 0;
}

int Inbox::traverse(visitproc visit, void* arg) const {
  for (uint32_t i = 0; i < count_; ++i) Py_VISIT(items_[(first_ + i) & (capacity_ - 1)]);
  return 0;
}

// ------------------------------------------------------------------------------------------------------------ every call

Engine* engine_of(Connection* c) {
  if (c->engine == nullptr || c->engine->server() == nullptr) {
    set_error(WSB_E_STATE, "the server of this connection is gone");
    return nullptr;
  }
  if (!c->engine->usable()) {
    set_error(WSB_E_STATE, "the server runs in the parent process: a forked child cannot use it");
    return nullptr;
  }
  if (Formatting::under_way()) {
    set_error(WSB_E_STATE, Formatting::kRefusal);
    return nullptr;
  }
  return c->engine;
}

void set_call_error(Connection* c, int result) {
  if (PyErr_Occurred() != nullptr) return;
  if (result == WSB_E_CLOSED) {
    set_closed_error(c);
  } else {
    set_error(result);
  }
}

// -------------------------------------------------------------------------------------------------------------------- life

namespace {

int traverse(PyObject* self, visitproc visit, void* arg) {
  Connection* const c = as_connection(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(c->engine_object);
  Py_VISIT(c->request);
  Py_VISIT(c->close_info);
  Py_VISIT(c->waiter);
  if (c->parts.head) Py_VISIT(c->parts.head->user);
  return c->parts.inbox.traverse(visit, arg);
}

int clear(PyObject* self) {
  Connection* const c = as_connection(self);
  c->engine = nullptr;
  Py_CLEAR(c->engine_object);
  Py_CLEAR(c->request);
  Py_CLEAR(c->close_info);
  Py_CLEAR(c->waiter);
  if (c->parts.head) Py_CLEAR(c->parts.head->user);
  c->parts.inbox.clear();
  return 0;
}

void dealloc(PyObject* self) {
  Connection* const c = as_connection(self);
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (c->weak_references != nullptr) PyObject_ClearWeakRefs(self);
  clear(self);
  Py_CLEAR(c->path);
  Py_CLEAR(c->query);
  Py_CLEAR(c->subprotocol);
  Py_CLEAR(c->peer);
  c->parts.~ConnectionParts();
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* refuse_new(PyTypeObject* type, PyObject* /*arguments*/, PyObject* /*keywords*/) {
  PyErr_Format(PyExc_TypeError, "%s objects come from a server", type->tp_name);
  return nullptr;
}

PyObject* repr(PyObject* self) {
  Connection* const c = as_connection(self);
  return PyUnicode_FromFormat("<%s %llu %R from %R, %s>", Py_TYPE(self)->tp_name,
                              static_cast<unsigned long long>(c->id), c->path != nullptr ? c->path : Py_None,
                              c->peer != nullptr ? c->peer : Py_None,
                              c->close_info != Py_None ? "closed"
                              : c->closing             ? "closing"
                                                       : "open");
}

// ------------------------------------------------------------------------------------------------------------------- calls

PyObject* close(PyObject* self, PyObject* arguments) {
  unsigned int code = 0;
  const char* reason = nullptr;
  Py_ssize_t length = 0;
  if (!PyArg_ParseTuple(arguments, "Is#:_close", &code, &reason, &length)) return nullptr;
  PyObject* const result = order(self, [&](wsb_server* server, uint64_t id) {
    return wsb_close(server, id, code, reason, static_cast<size_t>(length));
  });
  if (result != nullptr) as_connection(self)->closing = true;
  return result;
}

PyObject* abort(PyObject* self, PyObject* /*unused*/) {
  PyObject* const result = order(self, [](wsb_server* server, uint64_t id) { return wsb_abort(server, id); });
  if (result != nullptr) as_connection(self)->closing = true;
  return result;
}

PyObject* ping(PyObject* self, PyObject* payload) {
  Payload data;
  if (!read_payload(payload, data)) return nullptr;
  return order(self, [&](wsb_server* server, uint64_t id) { return wsb_ping(server, id, data.data, data.length); });
}

PyObject* pause(PyObject* self, PyObject* /*unused*/) {
  return order(self, [](wsb_server* server, uint64_t id) { return wsb_conn_pause(server, id); });
}

PyObject* resume(PyObject* self, PyObject* /*unused*/) {
  return order(self, [](wsb_server* server, uint64_t id) { return wsb_conn_resume(server, id); });
}

PyObject* authenticate(PyObject* self, PyObject* /*unused*/) {
  return order(self, [](wsb_server* server, uint64_t id) { return wsb_conn_authenticate(server, id); });
}

PyObject* set_heartbeat(PyObject* self, PyObject* arguments) {
  unsigned int interval_ms = 0;
  unsigned int timeout_ms = 0;
  unsigned int liveness = 0;
  if (!PyArg_ParseTuple(arguments, "III:_set_heartbeat", &interval_ms, &timeout_ms, &liveness)) return nullptr;
  return order(self, [&](wsb_server* server, uint64_t id) {
    return wsb_conn_set_heartbeat(server, id, interval_ms, timeout_ms, liveness);
  });
}

PyObject* info(PyObject* self, PyObject* /*unused*/) {
  wsb_conn_info out;
  wsb_conn_info_init(&out);
  const Ref done(order(self, [&](wsb_server* server, uint64_t id) { return wsb_conn_get_info(server, id, &out); }));
  if (!done) return nullptr;
  return Py_BuildValue(
      "(sIOOOOIIIOKKKKKKKKKKIIIK)", wsb_state_name(out.state), out.worker, out.authenticated != 0 ? Py_True : Py_False,
      out.paused != 0 ? Py_True : Py_False, out.tls != 0 ? Py_True : Py_False, out.deflate != 0 ? Py_True : Py_False,
      out.peer_port, out.heartbeat_interval_ms, out.heartbeat_timeout_ms,
      out.heartbeat_waiting != 0 ? Py_True : Py_False, static_cast<unsigned long long>(out.open_us),
      static_cast<unsigned long long>(out.idle_in_us), static_cast<unsigned long long>(out.idle_message_us),
      static_cast<unsigned long long>(out.bytes_in), static_cast<unsigned long long>(out.bytes_out),
      static_cast<unsigned long long>(out.messages_in), static_cast<unsigned long long>(out.messages_out),
      static_cast<unsigned long long>(out.buffered_bytes), static_cast<unsigned long long>(out.pings_sent),
      static_cast<unsigned long long>(out.pongs_received), out.rtt_last_us, out.rtt_smoothed_us, out.rtt_min_us,
      static_cast<unsigned long long>(out.topics));
}

PyMethodDef base_methods[] = {
    {"_close", close, METH_VARARGS, "Starts the closing handshake."},
    {"_abort", abort, METH_NOARGS, "Ends the connection at once."},
    {"_ping", ping, METH_O, "Sends a ping with this payload."},
    {"_pause", pause, METH_NOARGS, "Stops reading."},
    {"_resume", resume, METH_NOARGS, "Reads again."},
    {"_authenticate", authenticate, METH_NOARGS, "Ends auth_timeout."},
    {"_set_heartbeat", set_heartbeat, METH_VARARGS, "Interval and timeout in milliseconds, liveness."},
    {"_info", info, METH_NOARGS, "The figures of wsb_conn_info."},
    {"_subscribe", subscribe, METH_VARARGS, "Subscribes to a topic or a pattern. True: on_resumed follows."},
    {"_unsubscribe", unsubscribe, METH_O, "Ends one subscription."},
    {"_join", join, METH_VARARGS, "Joins a topic as a member."},
    {"_leave", leave, METH_O, "Leaves a topic."},
    {"_watch", watch, METH_O, "Watches who is on a topic."},
    {"_unwatch", unwatch, METH_O, "Ends a watch."},
    {"_topics", topics, METH_NOARGS, "A list of what it is subscribed to."},
    {nullptr, nullptr, 0, nullptr}};

// -------------------------------------------------------------------------------------------------------------- properties

template <PyObject* Connection::*Member>
PyObject* get_member(PyObject* self, void* /*unused*/) {
  PyObject* const value = as_connection(self)->*Member;
  return Py_NewRef(value != nullptr ? value : Py_None);
}

PyObject* get_id(PyObject* self, void* /*unused*/) {
  return PyLong_FromUnsignedLongLong(as_connection(self)->id);
}

PyObject* get_remote_address(PyObject* self, void* /*unused*/) {
  Connection* const c = as_connection(self);
  return c->peer != nullptr ? Py_BuildValue("(OI)", c->peer, c->peer_port) : Py_NewRef(Py_None);
}

PyObject* get_latency(PyObject* self, void* /*unused*/) {
  return PyFloat_FromDouble(as_connection(self)->rtt_us / 1e6);
}

PyObject* get_request(PyObject* self, void* /*unused*/) {
  Connection* const c = as_connection(self);
  if (c->request == nullptr && c->parts.head) {
    try {
      c->request = c->parts.head->to_python().release().ptr();
    } catch (py::error_already_set& error) {
      error.restore();
      return nullptr;
    } catch (const std::exception&) {
      return PyErr_NoMemory();
    }
  }
  return Py_NewRef(c->request != nullptr ? c->request : Py_None);
}

PyObject* get_user(PyObject* self, void* /*unused*/) {
  Connection* const c = as_connection(self);
  return Py_NewRef(c->parts.head && c->parts.head->user != nullptr ? c->parts.head->user : Py_None);
}

PyObject* get_state(PyObject* self, void* /*unused*/) {
  Connection* const c = as_connection(self);
  const uint32_t state = c->close_info != Py_None ? WSB_STATE_CLOSED
                         : c->closing || c->gone  ? WSB_STATE_CLOSING
                                                  : WSB_STATE_OPEN;
  return PyUnicode_FromString(wsb_state_name(state));
}

PyGetSetDef base_properties[] = {
    {"id", get_id, nullptr, "A number that no other connection of this server ever has.", nullptr},
    {"path", get_member<&Connection::path>, nullptr, "Path of the request, as sent, without the query.", nullptr},
    {"query", get_member<&Connection::query>, nullptr, "What followed the '?', \"\" if nothing did.", nullptr},
    {"subprotocol", get_member<&Connection::subprotocol>, nullptr, "The subprotocol that was chosen, or None.",
     nullptr},
    {"remote_address", get_remote_address, nullptr,
     "(address, port) of the client; behind a trusted proxy the client's address and the proxy's port.", nullptr},
    {"request", get_request, nullptr, "The request of the handshake: path and headers.", nullptr},
    {"user", get_user, nullptr, "What the handshake's handler set as Handshake.user, or None.", nullptr},
    {"latency", get_latency, nullptr, "Last measured round trip in seconds; 0.0 before the first pong.", nullptr},
    {"close_info", get_member<&Connection::close_info>, nullptr,
     "How the connection ended (CloseInfo), None while it has not.", nullptr},
    {"_state", get_state, nullptr, "\"open\", \"closing\" or \"closed\".", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef base_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Connection, weak_references), READONLY, nullptr},
    {"_held", T_BOOL, offsetof(Connection, held), 0, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

// -------------------------------------------------------------------------------------------------------------------- send

// 0 sent, 1 full, -1 a Python error is set.
int try_send(Connection* c, PyObject* message) {
  Engine* const engine = engine_of(c);
  if (engine == nullptr) return -1;
  Payload payload;
  if (!read_payload(message, payload)) return -1;
  switch (const int result = engine->send(c, std::move(payload))) {
    case WSB_OK:
      return 0;
    case WSB_E_FULL:
      return 1;
    case WSB_E_CLOSED:
      set_closed_error(c);
      return -1;
    default:
      set_error(result);
      return -1;
  }
}

PyObject* plain_send(PyObject* self, PyObject* message) {
  switch (try_send(as_connection(self), message)) {
    case 0:
      Py_RETURN_NONE;
    case 1:
      return set_error(WSB_E_FULL, "");
    default:
      return nullptr;
  }
}

PyObject* async_try_send(PyObject* self, PyObject* message) {
  const int result = try_send(as_connection(self), message);
  return result < 0 ? nullptr : PyBool_FromLong(result == 0);
}

// What has to wait, or is no single message, is left to a coroutine.
PyObject* async_send(PyObject* self, PyObject* message) {
  Connection* const c = as_connection(self);
  if (is_payload(message) && c->held == 0) {
    const int result = try_send(c, message);
    if (result == 0) return done_awaitable();
    if (result < 0 && !PyErr_ExceptionMatches(PyExc_ConnectionError)) return nullptr;
    PyErr_Clear();  // the coroutine finds out how the connection ended
  }
  static PyObject* const name = PyUnicode_InternFromString("_send_slowly");
  return PyObject_CallMethodObjArgs(self, name, message, nullptr);
}

PyMethodDef plain_methods[] = {{"send", plain_send, METH_O,
                                "send($self, message, /)\n--\n\nQueues one message: str as text, bytes or another "
                                "buffer as binary. From any thread.\n\n"
                                "Raises FullError when the send queue is full (nothing was queued; on_drain will be "
                                "called), ConnectionClosed when it is\n"
                                "closing or closed, TooBigError for what never fits."},
                               {nullptr, nullptr, 0, nullptr}};

PyObject* async_recv(PyObject* self, PyObject* /*unused*/) {
  return receive_awaitable(as_connection(self), false);
}
PyObject* async_next(PyObject* self) {
  return receive_awaitable(as_connection(self), true);
}
PyObject* async_iter(PyObject* self) {
  return Py_NewRef(self);
}

PyMethodDef async_methods[] = {
    {"send", async_send, METH_O,
     "send($self, message, /)\n--\n\nSends one message: str as text; bytes, bytearray or memoryview as binary. To be "
     "awaited.\n\n"
     "It waits while the send queue is full. An iterable or async iterable of pieces, all of one kind, is joined into "
     "one message.\n"
     "Raises ConnectionClosed when the connection is closed."},
    {"recv", async_recv, METH_NOARGS,
     "recv($self, /)\n--\n\nThe next message, str or bytes. To be awaited; a cancelled recv() loses no message.\n\n"
     "Raises ConnectionClosed when the connection is closed and all messages were received, ConcurrencyError while "
     "another\n"
     "recv() waits."},
    {"_try_send", async_try_send, METH_O, "True: queued. False: the queue is full."},
    {nullptr, nullptr, 0, nullptr}};

PyTypeObject* make_type(py::module_& module, PyType_Spec& spec, PyTypeObject* base) {
  const Ref bases(base != nullptr ? PyTuple_Pack(1, base) : nullptr);
  PyObject* const type = PyType_FromSpecWithBases(&spec, bases.get());
  if (type == nullptr) throw py::error_already_set();
  module.add_object(std::strrchr(spec.name, '.') + 1, type);
  return reinterpret_cast<PyTypeObject*>(type);
}

}  // namespace

void add_connection_types(py::module_& module) {
  static PyType_Slot base_slots[] = {
      {Py_tp_doc, const_cast<char*>("One connection, as far as both faces have it in common.")},
      {Py_tp_new, reinterpret_cast<void*>(refuse_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(clear)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_methods, base_methods},
      {Py_tp_getset, base_properties},
      {Py_tp_members, base_members},
      {0, nullptr}};
  constexpr unsigned flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC;
  static PyType_Spec base_spec{"wsbeat._wsbeat.BaseConnection", sizeof(Connection), 0, flags, base_slots};
  connection_type = make_type(module, base_spec, nullptr);

  static PyType_Slot plain_slots[] = {{Py_tp_doc, const_cast<char*>("A connection of the callback face.")},
                                      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                                      {Py_tp_methods, plain_methods},
                                      {0, nullptr}};
  static PyType_Spec plain_spec{"wsbeat._wsbeat.PlainConnection", sizeof(Connection), 0, flags, plain_slots};
  plain_connection_type = make_type(module, plain_spec, connection_type);

  static PyType_Slot async_slots[] = {{Py_tp_doc, const_cast<char*>("A connection of the asyncio face.")},
                                      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                                      {Py_tp_methods, async_methods},
                                      {Py_am_aiter, reinterpret_cast<void*>(async_iter)},
                                      {Py_am_anext, reinterpret_cast<void*>(async_next)},
                                      {0, nullptr}};
  static PyType_Spec async_spec{"wsbeat._wsbeat.AsyncConnection", sizeof(Connection), 0, flags, async_slots};
  async_connection_type = make_type(module, async_spec, connection_type);
}

Connection* make_connection(PyObject* type, Engine& engine, PyObject* engine_object, const wsb_open_event& event) {
  auto* const python_type = reinterpret_cast<PyTypeObject*>(type);
  PyObject* const object = python_type->tp_alloc(python_type, 0);
  if (object == nullptr) throw py::error_already_set();
  Connection* const c = as_connection(object);
  new (&c->parts) ConnectionParts;
  c->engine = &engine;
  c->engine_object = Py_NewRef(engine_object);
  c->id = event.conn;
  c->peer_port = event.peer_port;
  c->close_info = Py_NewRef(Py_None);
  const auto text = [](const char* bytes) {
    return PyUnicode_DecodeUTF8(bytes, static_cast<Py_ssize_t>(std::strlen(bytes)), "replace");
  };
  c->path = text(event.path);
  c->query = text(event.query);
  c->subprotocol = *event.subprotocol != '\0' ? text(event.subprotocol) : Py_NewRef(Py_None);
  c->peer = text(event.peer);
  if (c->path == nullptr || c->query == nullptr || c->subprotocol == nullptr || c->peer == nullptr) {
    Py_DECREF(object);
    throw py::error_already_set();
  }
  return c;
}

// ---------------------------------------------------------------------------------------------------------------- payloads

bool is_payload(PyObject* message) noexcept {
  return PyUnicode_Check(message) || PyBytes_Check(message) || PyObject_CheckBuffer(message) != 0;
}

bool read_payload(PyObject* message, Payload& out) {
  if (PyUnicode_Check(message)) {
    Py_ssize_t length = 0;
    out.data = PyUnicode_AsUTF8AndSize(message, &length);
    if (out.data == nullptr) return false;
    out.owner = Ref::share(message);
    out.length = static_cast<size_t>(length);
    out.kind = WSB_TEXT;
    return true;
  }
  if (!PyBytes_Check(message) && PyObject_CheckBuffer(message) == 0) {
    PyErr_Format(PyExc_TypeError, "a message is str, bytes or another buffer, not %s", Py_TYPE(message)->tp_name);
    return false;
  }
  // Other buffers may change before they are sent.
  out.owner = PyBytes_Check(message) ? Ref::share(message) : Ref(PyBytes_FromObject(message));
  if (!out.owner) return false;
  out.data = PyBytes_AS_STRING(out.owner.get());
  out.length = static_cast<size_t>(PyBytes_GET_SIZE(out.owner.get()));
  out.kind = WSB_BINARY;
  return true;
}

PyObject* set_closed_error(Connection* c) {
  PyObject* const factory = c->engine != nullptr ? c->engine->handler(Handler::closed) : nullptr;
  if (factory == nullptr) return set_error(WSB_E_CLOSED, "");
  const Ref exception(PyObject_CallOneArg(factory, as_object(c)));
  if (exception) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.get())), exception.get());
  return nullptr;
}

}  // namespace binding
