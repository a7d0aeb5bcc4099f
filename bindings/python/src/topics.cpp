// Topics: subscriptions and presence of connections, publications of servers, and who judges what is asked for.
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "engine.h"
#include "errors.h"
#include "order.h"

namespace binding {

namespace {

struct Text {
  const char* data = nullptr;
  size_t length = 0;
};

// UTF-8 that lives as long as the object. False with a Python error.
bool read_text(PyObject* object, const char* what, Text& out) {
  if (!PyUnicode_Check(object)) {
    PyErr_Format(PyExc_TypeError, "a %s is a str, not %s", what, Py_TYPE(object)->tp_name);
    return false;
  }
  Py_ssize_t length = 0;
  out.data = PyUnicode_AsUTF8AndSize(object, &length);
  out.length = static_cast<size_t>(length);
  return out.data != nullptr;
}

Text text_of(const py::object& object, const char* what) {
  Text text;
  if (!read_text(object.ptr(), what, text)) throw py::error_already_set();
  return text;
}

// Names that the library tells one by one.
class Names {
 public:
  static int add(const char* name, size_t length, void* user) noexcept {
    try {
      static_cast<Names*>(user)->names_.emplace_back(name, length);
    } catch (const std::bad_alloc&) {
      return 1;
    }
    return 0;
  }
  void told(int64_t visits) noexcept { complete_ = visits == static_cast<int64_t>(names_.size()); }
  PyObject* list() const {  // nullptr with a Python error
    if (!complete_) return PyErr_NoMemory();
    Ref list(PyList_New(static_cast<Py_ssize_t>(names_.size())));
    for (size_t i = 0; list && i < names_.size(); ++i) {
      PyObject* const name = PyUnicode_DecodeUTF8(names_[i].data(), static_cast<Py_ssize_t>(names_[i].size()), nullptr);
      if (name == nullptr) return nullptr;
      PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), name);
    }
    return list.release();
  }

 private:
  std::vector<std::string> names_;
  bool complete_ = false;
};

using TopicCall = int (*)(wsb_server* server, wsb_conn conn, const char* topic, size_t topic_length);

template <TopicCall Call>
PyObject* call_with_topic(PyObject* self, PyObject* topic) {
  Text name;
  if (!read_text(topic, "topic", name)) return nullptr;
  return order(self, [&](wsb_server* server, uint64_t id) { return Call(server, id, name.data, name.length); });
}

}  // namespace

// ------------------------------------------------------------------------------------------------------- of one connection

PyObject* subscribe(PyObject* self, PyObject* arguments) {
  PyObject* topic = nullptr;
  PyObject* after = nullptr;
  Text name;
  if (!PyArg_ParseTuple(arguments, "OO:_subscribe", &topic, &after) || !read_text(topic, "topic", name)) return nullptr;
  wsb_subscribe_options options;
  wsb_subscribe_options_init(&options);
  if (after != Py_None) {
    if (PyLong_Check(after) == 0) {
      PyErr_Format(PyExc_TypeError, "after is a sequence number or None, not %s", Py_TYPE(after)->tp_name);
      return nullptr;
    }
    options.after = PyLong_AsUnsignedLongLong(after);
    if (PyErr_Occurred() != nullptr) {
      PyErr_Clear();
      return set_error(WSB_E_INVALID, "after is out of range");
    }
    options.flags = WSB_SUBSCRIBE_RESUME;
  }
  const std::optional<int> result = ordered(self, [&](wsb_server* server, uint64_t id) {
    return wsb_subscribe_with(server, id, name.data, name.length, &options);
  });
  return result ? PyBool_FromLong(*result) : nullptr;
}

PyObject* unsubscribe(PyObject* self, PyObject* topic) {
  return call_with_topic<wsb_unsubscribe>(self, topic);
}

PyObject* topics(PyObject* self, PyObject* /*unused*/) {
  Names names;
  const std::optional<int> done = ordered(self, [&](wsb_server* server, uint64_t id) {
    const int64_t visits = wsb_conn_topics(server, id, Names::add, &names);
    names.told(visits);
    return visits < 0 ? static_cast<int>(visits) : WSB_OK;
  });
  return done ? names.list() : nullptr;
}

PyObject* join(PyObject* self, PyObject* arguments) {
  PyObject* topic = nullptr;
  PyObject* member = nullptr;
  Text name;
  Text as;
  if (!PyArg_ParseTuple(arguments, "OO:_join", &topic, &member) || !read_text(topic, "topic", name) ||
      !read_text(member, "member", as)) {
    return nullptr;
  }
  return order(self, [&](wsb_server* server, uint64_t id) {
    return wsb_join(server, id, name.data, name.length, as.data, as.length);
  });
}

PyObject* leave(PyObject* self, PyObject* topic) {
  return call_with_topic<wsb_leave>(self, topic);
}

PyObject* watch(PyObject* self, PyObject* topic) {
  return call_with_topic<wsb_watch>(self, topic);
}

PyObject* unwatch(PyObject* self, PyObject* topic) {
  return call_with_topic<wsb_unwatch>(self, topic);
}

// On the thread that asked, which has let the interpreter's lock go. What the handler raises, subscribe() raises.
int Engine::on_subscribe(const wsb_subscribe_event* event, void* user) noexcept {
  auto* const engine = static_cast<Engine*>(user);
  if (!engine->asks_subscribe_.load()) return 0;
  const Locked scope;
  const Ref callable = Ref::share(engine->handler(Handler::subscribe));
  const Ref connection = Ref::share(as_object(engine->find(event->conn)));
  if (!callable || !connection) return 0;  // without a connection the library will say so
  const Ref topic(PyUnicode_DecodeUTF8(event->topic, static_cast<Py_ssize_t>(event->topic_length), nullptr));
  const Ref verdict(topic ? PyObject_CallFunctionObjArgs(callable.get(), connection.get(), topic.get(), nullptr)
                          : nullptr);
  if (verdict && PyBool_Check(verdict.get()) == 0) {  // a forgotten return or await allows nothing
    PyErr_Format(PyExc_TypeError, "on_subscribe must return True or False, not %s", Py_TYPE(verdict.get())->tp_name);
    return 1;
  }
  return verdict && verdict.get() == Py_True ? 0 : 1;
}

// ----------------------------------------------------------------------------------------------------------- of one server

py::tuple Engine::publish(const py::object& topic, const py::object& message, bool retain, const py::object& exclude,
                          bool local, const py::object& key, const py::object& future) {
  check_usable();
  const Text name = text_of(topic, "topic");
  Payload payload;
  if (!read_payload(message.ptr(), payload)) throw py::error_already_set();
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  if (!exclude.is_none()) {
    if (PyObject_TypeCheck(exclude.ptr(), connection_type) == 0)
      throw py::type_error("exclude must be a connection or None");
    const Connection* const c = as_connection(exclude.ptr());
    if (c->engine != nullptr && c->engine != this) raise(WSB_E_INVALID, "exclude is a connection of another server");
    options.exclude = c->id;
  }
  options.flags = (retain ? uint32_t{WSB_PUBLISH_RETAIN} : 0) | (local ? uint32_t{WSB_PUBLISH_LOCAL} : 0);
  if (!key.is_none()) {
    const Text text = text_of(key, "key");
    options.key = text.data;
    options.key_length = text.length;
  }
  std::unique_ptr<Pending> pending;
  if (stored_fd_ >= 0) {
    pending = std::make_unique<Pending>();
    pending->engine = this;
    options.on_stored = on_stored;
    options.context = pending.get();
  }
  wsb_publish_result result;
  wsb_publish_result_init(&result);
  flush();
  check(unlocked([&] {
    return wsb_publish(server_, name.data, name.length, payload.kind, payload.data, payload.length, &options, &result);
  }));
  py::object stored = py::none();
  if (pending && result.durable != 0 && result.backplane == WSB_OK) stored = expect(pending.release(), future);
  return py::make_tuple(result.reached, result.refused, result.backplane, stored);
}

py::list Engine::members(const py::object& topic) const {
  check_usable();
  const Text name = text_of(topic, "topic");
  Names names;
  const int64_t visits = unlocked([&] { return wsb_members(server_, name.data, name.length, Names::add, &names); });
  if (visits < 0) raise(static_cast<int>(visits), nullptr);
  names.told(visits);
  PyObject* const list = names.list();
  if (list == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::list>(list);
}

bool topic_covers(const py::object& pattern, const py::object& other) {
  const Text wide = text_of(pattern, "topic");
  const Text narrow = text_of(other, "topic");
  return check(wsb_topic_covers(wide.data, wide.length, narrow.data, narrow.length)) != 0;
}

}  // namespace binding
