// Topics: subscriptions of connections, publications of servers, and who judges what is asked for.
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
bool read_topic(PyObject* topic, Text& out) {
  if (!PyUnicode_Check(topic)) {
    PyErr_Format(PyExc_TypeError, "a topic is a str, not %s", Py_TYPE(topic)->tp_name);
    return false;
  }
  Py_ssize_t length = 0;
  out.data = PyUnicode_AsUTF8AndSize(topic, &length);
  out.length = static_cast<size_t>(length);
  return out.data != nullptr;
}

Text topic_of(const py::object& topic) {
  Text text;
  if (!read_topic(topic.ptr(), text)) throw py::error_already_set();
  return text;
}

}  // namespace

// ------------------------------------------------------------------------------------------------------- of one connection

PyObject* subscribe(PyObject* self, PyObject* topic) {
  Text name;
  if (!read_topic(topic, name)) return nullptr;
  return order(self,
               [&](wsb_server* server, uint64_t id) { return wsb_subscribe(server, id, name.data, name.length); });
}

PyObject* unsubscribe(PyObject* self, PyObject* topic) {
  Text name;
  if (!read_topic(topic, name)) return nullptr;
  return order(self,
               [&](wsb_server* server, uint64_t id) { return wsb_unsubscribe(server, id, name.data, name.length); });
}

PyObject* topics(PyObject* self, PyObject* /*unused*/) {
  std::vector<std::string> names;
  const auto add = [](const char* topic, size_t length, void* user) {
    try {
      static_cast<std::vector<std::string>*>(user)->emplace_back(topic, length);
    } catch (const std::bad_alloc&) {
      return 1;
    }
    return 0;
  };
  bool complete = false;
  const Ref done(order(self, [&](wsb_server* server, uint64_t id) {
    const int64_t visited = wsb_conn_topics(server, id, add, &names);
    complete = visited == static_cast<int64_t>(names.size());
    return visited < 0 ? static_cast<int>(visited) : WSB_OK;
  }));
  if (!done) return nullptr;
  if (!complete) return PyErr_NoMemory();
  Ref list(PyList_New(static_cast<Py_ssize_t>(names.size())));
  for (size_t i = 0; list && i < names.size(); ++i) {
    PyObject* const name = PyUnicode_DecodeUTF8(names[i].data(), static_cast<Py_ssize_t>(names[i].size()), nullptr);
    if (name == nullptr) return nullptr;
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), name);
  }
  return list.release();
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
                          bool local) {
  check_usable();
  const Text name = topic_of(topic);
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
  wsb_publish_result result;
  wsb_publish_result_init(&result);
  flush();
  check(unlocked([&] {
    return wsb_publish(server_, name.data, name.length, payload.kind, payload.data, payload.length, &options, &result);
  }));
  return py::make_tuple(result.reached, result.refused, result.backplane);
}

bool topic_covers(const py::object& pattern, const py::object& other) {
  const Text wide = topic_of(pattern);
  const Text narrow = topic_of(other);
  return check(wsb_topic_covers(wide.data, wide.length, narrow.data, narrow.length)) != 0;
}

}  // namespace binding
