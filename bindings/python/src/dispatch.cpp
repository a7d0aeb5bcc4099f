// From the library's event queue into Python: one batch for each time that the interpreter's lock is taken.
#include <poll.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "engine.h"
#include "errors.h"

namespace binding {

namespace {

constexpr size_t kMaxBatch = 1024;      // events, so that a loop's other work gets its turn
constexpr int kLookForSignalsMs = 500;  // a signal may come just before the wait begins

// A new wsbeat.CloseInfo.
PyObject* close_info(const wsb_close_event& event) {
  static PyObject* type = nullptr;
  if (type == nullptr) type = package_type("wsbeat._errors", "CloseInfo");
  if (type == nullptr) return nullptr;
  return PyObject_CallFunction(type, "Is#IOss", event.code, event.reason, static_cast<Py_ssize_t>(event.reason_length),
                               event.code_sent, event.clean != 0 ? Py_True : Py_False,
                               wsb_initiator_name(event.initiator), wsb_cause_name(event.cause));
}

}  // namespace

// Without the interpreter's lock.
bool Engine::fetch() {
  if (wsb_server_next_events(server_, kMaxBatch, &batch_) != WSB_OK || batch_ == nullptr) return false;
  batch_at_ = 0;
  return true;
}

void Engine::drop_batch() noexcept {
  wsb_batch_release(batch_);
  batch_ = nullptr;
}

bool Engine::dispatch() {
  check_usable();
  if (dispatching_) raise(WSB_E_STATE, "events are being delivered already");
  if (stopped_) return false;
  dispatcher_ = PyThread_get_thread_ident();
  if (batch_ == nullptr && !unlocked([&] { return fetch(); })) return true;
  const bool fine = process();
  flush();
  if (!fine) throw py::error_already_set();
  unlocked([&] { drop_batch(); });
  return !stopped_;
}

void Engine::serve() {
  check_usable();
  if (dispatching_ || dispatchers_ != 0) raise(WSB_E_STATE, "the server runs already");
  dispatcher_ = PyThread_get_thread_ident();
  struct Scope {
    explicit Scope(int& counter) : count(counter) { ++count; }
    ~Scope() { --count; }
    int& count;
  } const scope(dispatchers_);
  pollfd waiting[] = {{wsb_server_event_fd(server_), POLLIN, 0}, {stored_fd_, POLLIN, 0}};
  while (!stopped_) {
    const bool found = batch_ != nullptr || unlocked([&] {
                         if (fetch()) return true;
                         (void)::poll(waiting, 2, kLookForSignalsMs);
                         return fetch();
                       });
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if ((waiting[1].revents & POLLIN) != 0) deliver_stored();
    if (!found) continue;
    const bool fine = process();
    flush();
    if (!fine) throw py::error_already_set();
    unlocked([&] { drop_batch(); });
  }
}

bool Engine::process() {
  dispatching_ = true;
  const size_t count = wsb_batch_count(batch_);
  bool fine = true;
  while (fine && batch_at_ < count) fine = handle(*wsb_batch_event(batch_, batch_at_++));
  dispatching_ = false;
  return fine;
}

Connection* Engine::find(uint64_t id) const noexcept {
  const auto found = connections_.find(id);
  return found != connections_.end() ? found->second : nullptr;
}

// False: a Python error that is not an application's mistake (KeyboardInterrupt) must go on.
bool Engine::handle(const wsb_event& event) {
  try {
    if (event.type == WSB_EVENT_OPEN) {
      opened(*event.open);
      return PyErr_Occurred() == nullptr;
    }
    if (event.type == WSB_EVENT_REFUSED) refused(*event.refused);
    if (event.type == WSB_EVENT_LOG) log(*event.log);
    if (event.type == WSB_EVENT_STOPPED) stopped();
    if (event.conn == 0) return PyErr_Occurred() == nullptr;
    const Ref kept = Ref::share(as_object(find(event.conn)));
    Connection* const c = as_connection(kept.get());
    if (c == nullptr) return true;  // its object could not be made
    if (event.type == WSB_EVENT_MESSAGE) message(c, *event.message);
    if (event.type == WSB_EVENT_PONG) pong(c, *event.pong);
    if (event.type == WSB_EVENT_DRAIN) drained(c);
    if (event.type == WSB_EVENT_RESUMED) resumed(c, *event.resumed);
    if (event.type == WSB_EVENT_CLOSE) closed(c, *event.close);
  } catch (py::error_already_set& error) {
    error.restore();
    report(nullptr, Handler::error);
  }
  return PyErr_Occurred() == nullptr;
}

// ------------------------------------------------------------------------------------------------------------------ events

void Engine::opened(const wsb_open_event& event) {
  auto* const head = static_cast<RequestHead*>(event.conn_user);
  if (head != nullptr) release_head(head);
  std::unique_ptr<RequestHead> owned(head);
  Ref object;
  try {
    object = Ref(as_object(make_connection(connection_class_.get(), *this, self(), event)));
    as_connection(object.get())->parts.head = std::move(owned);
    connections_.emplace(event.conn, as_connection(object.get()));
  } catch (const std::exception&) {
    unlocked([&] { (void)wsb_abort(server_, event.conn); });
    throw;
  }
  Connection* const c = as_connection(object.release());
  call(c, Handler::open, {as_object(c)});
}

void Engine::message(Connection* c, const wsb_message_event& event) {
  const auto length = static_cast<Py_ssize_t>(event.length);
  const auto* const data = reinterpret_cast<const char*>(event.data);
  Ref message(event.kind == WSB_TEXT ? PyUnicode_DecodeUTF8(data, length, nullptr)
                                     : PyBytes_FromStringAndSize(data, length));
  if (!message) return report(c, Handler::message);
  if (PyObject* const callable = handler(Handler::message)) {
    PyObject* const arguments[] = {nullptr, as_object(c), message.get()};
    const Ref result(PyObject_Vectorcall(callable, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
    if (!result) report(c, Handler::message);
    return;
  }
  if (!create_future_ || c->closing) return;  // nobody listens (any more)
  if (!c->parts.inbox.push(message.release())) {
    PyErr_NoMemory();
    return report(c, Handler::message);
  }
  if (c->waiter != nullptr) return wake_receiver(c);
  if (!c->paused && c->parts.inbox.size() >= max_queue_) {
    c->paused = true;
    unlocked([&] { (void)wsb_conn_pause(server_, c->id); });
  }
}

void Engine::resume_if_low(Connection* c) noexcept {
  if (c->parts.inbox.size() > max_queue_ / 2 || server_ == nullptr || in_forked_child()) return;
  c->paused = false;
  unlocked([&] { (void)wsb_conn_resume(server_, c->id); });
}

void Engine::wake_receiver(Connection* c) {
  static PyObject* const set_result = PyUnicode_InternFromString("set_result");
  static PyObject* const done = PyUnicode_InternFromString("done");
  const Ref waiter(std::exchange(c->waiter, nullptr));
  const Ref is_done(PyObject_CallMethodNoArgs(waiter.get(), done));
  if (is_done && is_done.get() != Py_False) return;  // cancelled
  const Ref result(is_done ? PyObject_CallMethodOneArg(waiter.get(), set_result, Py_None) : nullptr);
  if (!result) report(c, Handler::message);
}

void Engine::pong(Connection* c, const wsb_pong_event& event) {
  if (event.rtt_us != 0) c->rtt_us = event.rtt_us;
  if (handler(Handler::pong) == nullptr || (create_future_ && event.heartbeat != 0)) return;
  const Ref data(
      PyBytes_FromStringAndSize(reinterpret_cast<const char*>(event.data), static_cast<Py_ssize_t>(event.length)));
  const Ref rtt(PyFloat_FromDouble(event.rtt_us / 1e6));
  if (!data || !rtt) return report(c, Handler::pong);
  call(c, Handler::pong, {as_object(c), rtt.get(), data.get(), event.heartbeat != 0 ? Py_True : Py_False});
}

void Engine::drained(Connection* c) {
  if (!retry_refused(c) || !c->told_full) return;
  c->told_full = false;
  call(c, Handler::drain, {as_object(c)});
}

void Engine::closed(Connection* c, const wsb_close_event& event) {
  connections_.erase(event.conn);
  const Ref owned(as_object(c));
  c->gone = true;
  c->parts.refused.reset();
  Ref info(close_info(event));
  if (!info) return report(c, Handler::close);
  const Ref before(std::exchange(c->close_info, Py_NewRef(info.get())));
  call(c, Handler::close, {as_object(c), info.get()});
  if (c->waiter != nullptr) wake_receiver(c);
}

// Everything else has been told by now, the ends of publications too.
void Engine::stopped() {
  stopped_ = true;
  deliver_stored();
}

void Engine::refused(const wsb_refused_event& event) {
  const Ref arguments(Py_BuildValue("(Iss)", event.status, wsb_refusal_name(event.refusal), event.peer));
  if (!arguments || handler(Handler::refused) == nullptr) return;
  const Ref result(PyObject_CallObject(handler(Handler::refused), arguments.get()));
  if (!result) report(nullptr, Handler::refused);
}

void Engine::log(const wsb_log_event& event) {
  const Ref arguments(Py_BuildValue("(IKs)", event.level, static_cast<unsigned long long>(event.conn), event.text));
  if (!arguments || handler(Handler::log) == nullptr) return;
  const Ref result(PyObject_CallObject(handler(Handler::log), arguments.get()));
  if (!result) report(nullptr, Handler::log);
}

// -------------------------------------------------------------------------------------------------------------------- calls

void Engine::call(Connection* about, Handler which, std::initializer_list<PyObject*> arguments) {
  PyObject* const callable = handler(which);
  if (callable == nullptr) return;
  const Ref result(PyObject_Vectorcall(callable, arguments.begin(), arguments.size(), nullptr));
  if (!result) report(about, which);
}

// An application's exception goes to its `error` handler: error(connection or None, where, exception). Others stay set.
void Engine::report(Connection* about, Handler which) {
  static const char* const names[] = {
#define BINDING_XX(name) #name,
      BINDING_HANDLERS(BINDING_XX)
#undef BINDING_XX
  };
  if (PyErr_Occurred() == nullptr || PyErr_ExceptionMatches(PyExc_Exception) == 0) return;
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(value, traceback);
  const Ref owned_type(type), owned_value(value), owned_traceback(traceback);
  PyObject* const callable = handler(Handler::error);
  if (callable == nullptr) return;
  const Ref where(PyUnicode_FromString(names[static_cast<size_t>(which)]));
  const Ref result(where ? PyObject_CallFunctionObjArgs(callable, about != nullptr ? as_object(about) : Py_None,
                                                        where.get(), value, nullptr)
                         : nullptr);
  if (!result && PyErr_ExceptionMatches(PyExc_Exception) != 0) PyErr_WriteUnraisable(callable);
}

}  // namespace binding
