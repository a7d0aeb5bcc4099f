// Awaitables of the asyncio face: one that is done at once (send), and one that gives the next message (recv and async for).
// They look like coroutines, so that asyncio.create_task, gather and wait_for take them.
#include "connection.h"
#include "engine.h"
#include "errors.h"

namespace binding {

namespace {

struct Receive {
  PyObject_HEAD Connection* connection;  // owned; NULL once done
  PyObject* waiting;                     // the iterator of the future that is awaited, or NULL
  bool iterating;                        // async for: a normal closure ends it quietly
};

PyTypeObject* done_type = nullptr;
PyTypeObject* receive_type = nullptr;
PyObject* done_object = nullptr;
PyObject* concurrency_error = nullptr;

Receive* as_receive(PyObject* object) noexcept {
  return reinterpret_cast<Receive*>(object);
}

PyObject* return_self(PyObject* self) {
  return Py_NewRef(self);
}

// Ends an iterator with a value, as a generator's return does.
PyObject* stop_iteration(PyObject* owned) {
  if (owned == nullptr) return nullptr;
  const Ref value(owned);
  if (value.get() == Py_None) {
    PyErr_SetNone(PyExc_StopIteration);
  } else {
    PyErr_SetObject(PyExc_StopIteration, value.get());  // never a tuple or an exception: a message
  }
  return nullptr;
}

// ---------------------------------------------------------------------------------------------------------------- done

PyObject* done_next(PyObject* /*self*/) {
  PyErr_SetNone(PyExc_StopIteration);
  return nullptr;
}

PyObject* done_send(PyObject* self, PyObject* /*value*/) {
  return done_next(self);
}

PyObject* throw_it(PyObject* arguments) {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  if (!PyArg_UnpackTuple(arguments, "throw", 1, 3, &type, &value, &traceback)) return nullptr;
  if (PyExceptionInstance_Check(type)) {
    PyErr_SetObject(PyExceptionInstance_Class(type), type);
  } else if (PyExceptionClass_Check(type)) {
    PyErr_SetObject(type, value);
  } else {
    PyErr_SetString(PyExc_TypeError, "throw() takes an exception");
  }
  return nullptr;
}

PyObject* done_throw(PyObject* /*self*/, PyObject* arguments) {
  return throw_it(arguments);
}
PyObject* done_close(PyObject* /*self*/, PyObject* /*unused*/) {
  Py_RETURN_NONE;
}

PyMethodDef done_methods[] = {{"send", done_send, METH_O, nullptr},
                              {"throw", done_throw, METH_VARARGS, nullptr},
                              {"close", done_close, METH_NOARGS, nullptr},
                              {nullptr, nullptr, 0, nullptr}};

// ------------------------------------------------------------------------------------------------------------- receive

// It is over, one way or the other.
void leave(Receive* r) {
  Connection* const c = std::exchange(r->connection, nullptr);
  Py_CLEAR(r->waiting);
  if (c == nullptr) return;
  if (c->receiver == r) {
    c->receiver = nullptr;
    Py_CLEAR(c->waiter);
  }
  Py_DECREF(as_object(c));
}

void set_end(Connection* c, bool iterating) {
  set_closed_error(c);
  if (!iterating) return;
  static PyObject* const name = PyUnicode_InternFromString("_ends_iteration");
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  const Ref quiet(value != nullptr ? PyObject_GetAttr(value, name) : nullptr);
  if (quiet && quiet.get() == Py_True) {
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    PyErr_SetNone(PyExc_StopAsyncIteration);
    return;
  }
  PyErr_Clear();
  PyErr_Restore(type, value, traceback);
}

// A message (owned), or nullptr: with `waits` the future's iterator has been put into r->waiting, else an error is set.
PyObject* try_receive(Receive* r, bool& waits) {
  waits = false;
  Connection* const c = r->connection;
  if (c == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse an already awaited recv()");
    return nullptr;
  }
  if (c->receiver != nullptr && c->receiver != r) {
    PyErr_SetString(concurrency_error, "another recv() is waiting for a message of this connection");
    return nullptr;
  }
  if (c->parts.inbox.size() != 0) {
    PyObject* const message = c->parts.inbox.pop();
    if (c->paused && c->engine != nullptr) c->engine->resume_if_low(c);
    return message;
  }
  if (c->close_info != Py_None || c->engine == nullptr) {
    set_end(c, r->iterating);
    return nullptr;
  }
  Ref future(c->engine->create_future());
  if (!future) return nullptr;
  const auto* const async = Py_TYPE(future.get())->tp_as_async;
  r->waiting = async != nullptr && async->am_await != nullptr ? async->am_await(future.get()) : nullptr;
  if (r->waiting == nullptr) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "the loop's futures cannot be awaited");
    return nullptr;
  }
  c->receiver = r;
  PyObject* const before = std::exchange(c->waiter, future.release());
  Py_XDECREF(before);
  waits = true;
  return nullptr;
}

// One step: `*out` is what is yielded (owned), or the message when the result is PYGEN_RETURN.
enum class Step : uint8_t { kYielded, kReturned, kFailed };

Step advance(Receive* r, PyObject** out) {
  for (;;) {
    if (r->waiting == nullptr) {
      bool waits = false;
      *out = try_receive(r, waits);
      if (*out != nullptr || !waits) {
        if (*out == nullptr && r->connection != nullptr && r->connection->receiver != nullptr &&
            r->connection->receiver != r) {
          Py_DECREF(as_object(std::exchange(r->connection, nullptr)));  // another one's turn: nothing of it is touched
          return Step::kFailed;
        }
        leave(r);
        return *out != nullptr ? Step::kReturned : Step::kFailed;
      }
    }
    *out = Py_TYPE(r->waiting)->tp_iternext(r->waiting);
    if (*out != nullptr) return Step::kYielded;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_StopIteration)) {
      leave(r);
      return Step::kFailed;
    }
    PyErr_Clear();
    Py_CLEAR(r->waiting);  // woken: see what there is
  }
}

PyObject* receive_next(PyObject* self) {
  PyObject* out = nullptr;
  switch (advance(as_receive(self), &out)) {
    case Step::kYielded:
      return out;
    case Step::kReturned:
      return stop_iteration(out);
    case Step::kFailed:
      break;
  }
  return nullptr;
}

#if PY_VERSION_HEX >= 0x030A0000
PySendResult receive_am_send(PyObject* self, PyObject* /*value*/, PyObject** out) {
  switch (advance(as_receive(self), out)) {
    case Step::kYielded:
      return PYGEN_NEXT;
    case Step::kReturned:
      return PYGEN_RETURN;
    case Step::kFailed:
      break;
  }
  *out = nullptr;
  return PYGEN_ERROR;
}

PySendResult done_am_send(PyObject* /*self*/, PyObject* /*value*/, PyObject** out) {
  *out = Py_NewRef(Py_None);
  return PYGEN_RETURN;
}
#endif

PyObject* receive_send(PyObject* self, PyObject* /*value*/) {
  return receive_next(self);
}

// A cancelled recv() takes nothing: a message that came meanwhile waits for the next one.
PyObject* receive_throw(PyObject* self, PyObject* arguments) {
  leave(as_receive(self));
  return throw_it(arguments);
}

PyObject* receive_close(PyObject* self, PyObject* /*unused*/) {
  leave(as_receive(self));
  Py_RETURN_NONE;
}

int receive_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<PyObject*>(as_receive(self)->connection));
  Py_VISIT(as_receive(self)->waiting);
  return 0;
}

int receive_clear(PyObject* self) {
  leave(as_receive(self));
  return 0;
}

void receive_dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  leave(as_receive(self));
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef receive_methods[] = {{"send", receive_send, METH_O, nullptr},
                                 {"throw", receive_throw, METH_VARARGS, nullptr},
                                 {"close", receive_close, METH_NOARGS, nullptr},
                                 {nullptr, nullptr, 0, nullptr}};

PyTypeObject* make_type(PyType_Spec& spec) {
  PyObject* const type = PyType_FromSpec(&spec);
  if (type == nullptr) throw py::error_already_set();
  reinterpret_cast<PyTypeObject*>(type)->tp_new = nullptr;
  return reinterpret_cast<PyTypeObject*>(type);
}

}  // namespace

void add_awaitables(py::module_& module) {
  static PyType_Slot done_slots[] = {
    {Py_tp_iter, reinterpret_cast<void*>(return_self)},
    {Py_tp_iternext, reinterpret_cast<void*>(done_next)},
    {Py_am_await, reinterpret_cast<void*>(return_self)},
#if PY_VERSION_HEX >= 0x030A0000
    {Py_am_send, reinterpret_cast<void*>(done_am_send)},
#endif
    {Py_tp_methods, done_methods},
    {0, nullptr}
  };
  static PyType_Spec done_spec{"wsbeat._wsbeat.Sent", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT, done_slots};
  done_type = make_type(done_spec);
  done_object = done_type->tp_alloc(done_type, 0);
  if (done_object == nullptr) throw py::error_already_set();
  module.attr("sent") = py::handle(done_object);

  static PyType_Slot receive_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(receive_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(receive_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(receive_clear)},
    {Py_tp_iter, reinterpret_cast<void*>(return_self)},
    {Py_tp_iternext, reinterpret_cast<void*>(receive_next)},
    {Py_am_await, reinterpret_cast<void*>(return_self)},
#if PY_VERSION_HEX >= 0x030A0000
    {Py_am_send, reinterpret_cast<void*>(receive_am_send)},
#endif
    {Py_tp_methods, receive_methods},
    {0, nullptr}
  };
  static PyType_Spec receive_spec{"wsbeat._wsbeat.Receive", sizeof(Receive), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                                  receive_slots};
  receive_type = make_type(receive_spec);

  const std::string name = py::cast<std::string>(module.attr("__package__")) + ".ConcurrencyError";
  concurrency_error = PyErr_NewExceptionWithDoc(
      name.c_str(), "Two coroutines called recv() of one connection at a time.", PyExc_RuntimeError, nullptr);
  if (concurrency_error == nullptr) throw py::error_already_set();
  module.add_object("ConcurrencyError", concurrency_error);
}

PyObject* done_awaitable() noexcept {
  return Py_NewRef(done_object);
}

PyObject* receive_awaitable(Connection* connection, bool iterating) noexcept {
  PyObject* const object = receive_type->tp_alloc(receive_type, 0);
  if (object == nullptr) return nullptr;
  Receive* const r = as_receive(object);
  r->connection = as_connection(Py_NewRef(as_object(connection)));
  r->iterating = iterating;
  return object;
}

}  // namespace binding
