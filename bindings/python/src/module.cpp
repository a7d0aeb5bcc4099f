// The extension module wsbeat._wsbeat: what the Python files of the package build both faces on.
#include "engine.h"
#include "errors.h"

namespace binding {

namespace {

int traverse_engine(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  auto* const instance = reinterpret_cast<py::detail::instance*>(self);
  if (!instance->get_value_and_holder().holder_constructed()) return 0;
  return py::cast<Engine&>(py::handle(self)).traverse(visit, arg);
}

int clear_engine(PyObject* self) {
  auto* const instance = reinterpret_cast<py::detail::instance*>(self);
  if (instance->get_value_and_holder().holder_constructed()) py::cast<Engine&>(py::handle(self)).clear();
  return 0;
}

void collect(PyHeapTypeObject* type) {
  type->ht_type.tp_flags |= Py_TPFLAGS_HAVE_GC;
  type->ht_type.tp_traverse = traverse_engine;
  type->ht_type.tp_clear = clear_engine;
}

void add_engine(py::module_& module) {
  using namespace py::literals;
  py::class_<Engine>(module, "Engine", py::custom_type_setup(collect), "One server of the library, without a face.")
      .def(py::init<const py::dict&, py::object>(), "settings"_a, "connection_class"_a)
      .def("set_handlers", &Engine::set_handlers, "handlers"_a)
      .def("attach", &Engine::attach, "loop"_a, "max_queue"_a)
      .def("join_nats", &Engine::join_nats, "library"_a, "options"_a)
      .def("start", &Engine::start)
      .def("stop", &Engine::stop, "code"_a, "reason"_a, "deadline_ms"_a, "spread_ms"_a)
      .def("request_stop", &Engine::request_stop, "code"_a, "reason"_a, "deadline_ms"_a, "spread_ms"_a)
      .def("reload_tls", &Engine::reload_tls, "cert_file"_a, "key_file"_a)
      .def("port", &Engine::port)
      .def("event_fd", &Engine::event_fd)
      .def("metrics", &Engine::metrics)
      .def("metrics_text", &Engine::metrics_text)
      .def("connections", &Engine::connections)
      .def("dispatch", &Engine::dispatch)
      .def("serve", &Engine::serve)
      .def("flush", &Engine::flush)
      .def("publish", &Engine::publish, "topic"_a, "message"_a, "retain"_a, "exclude"_a, "local"_a, "key"_a, "future"_a)
      .def("members", &Engine::members, "topic"_a)
      .def("stored_fd", &Engine::stored_fd)
      .def("deliver_stored", &Engine::deliver_stored)
      .def("on_event_thread", &Engine::on_event_thread);
}

// The connections that the message was queued for.
size_t broadcast(const py::iterable& connections, const py::object& message) {
  Payload payload;
  if (!read_payload(message.ptr(), payload)) throw py::error_already_set();
  std::vector<Ref> kept;
  for (const py::handle connection : connections) {
    if (PyObject_TypeCheck(connection.ptr(), connection_type) == 0)
      throw py::type_error("broadcast() takes connections of wsbeat");
    kept.push_back(Ref::share(connection.ptr()));
  }
  return Engine::broadcast(kept, payload);
}

}  // namespace

}  // namespace binding

PYBIND11_MODULE(_wsbeat, module) {
  using namespace binding;
  module.doc() = "The C++ side of wsbeat. Not an interface: use the package.";
  if (!py::hasattr(module, "__package__") || module.attr("__package__").is_none())
    module.attr("__package__") = "wsbeat";
  add_errors(module);
  add_connection_types(module);
  add_awaitables(module);
  Handshake::add_to(module);
  add_engine(module);
  module.def("broadcast", &broadcast, py::arg("connections"), py::arg("message"));
  module.def("topic_covers", &topic_covers, py::arg("pattern"), py::arg("other"),
             "Whether `pattern` matches every topic that `other`, a topic or a pattern, matches.");
  module.def("version", [] { return wsb_version_string(); });
  module.attr("OFF") = WSB_OFF;
  py::module_::import("atexit").attr("register")(py::cpp_function([] { Engine::stop_all(); }));
}
