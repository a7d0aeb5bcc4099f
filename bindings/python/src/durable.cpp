// Durable topics and presence: what the library asks and tells on threads of its backplane.
#include <unistd.h>

#include <cstdint>

#include "engine.h"
#include "errors.h"

namespace binding {

namespace {

PyObject* text(const char* bytes, size_t length) noexcept {
  return PyUnicode_DecodeUTF8(bytes, static_cast<Py_ssize_t>(length), nullptr);
}

// (a new wsbeat.Durable,)
PyObject* durable_arguments(const wsb_durable_event& event) {
  static PyObject* type = nullptr;
  if (type == nullptr) type = package_type("wsbeat._topics", "Durable");
  if (type == nullptr) return nullptr;
  const Ref topic(text(event.topic, event.topic_length));
  const auto* const bytes = static_cast<const char*>(event.data);
  const Ref data(event.kind == WSB_TEXT ? text(bytes, event.length)
                                        : PyBytes_FromStringAndSize(bytes, static_cast<Py_ssize_t>(event.length)));
  const Ref subscription(event.subscription != nullptr ? text(event.subscription, event.subscription_length)
                                                       : Py_NewRef(Py_None));
  if (!topic || !data || !subscription) return nullptr;
  const Ref message(PyObject_CallFunction(type, "OOKO", topic.get(), data.get(),
                                          static_cast<unsigned long long>(event.sequence), subscription.get()));
  return message ? PyTuple_Pack(1, message.get()) : nullptr;
}

PyObject* presence_arguments(const wsb_presence_event& event) {
  const Ref topic(text(event.topic, event.topic_length));
  const Ref member(text(event.member, event.member_length));
  if (!topic || !member) return nullptr;
  return PyTuple_Pack(3, topic.get(), member.get(), event.present != 0 ? Py_True : Py_False);
}

wsb_message* message_of(PyObject* made) {
  Payload payload;
  if (made == Py_None || !read_payload(made, payload)) return nullptr;
  wsb_message* const message = wsb_message_create(payload.kind, payload.data, payload.length);
  if (message == nullptr) set_error(WSB_E_INVALID);
  return message;
}

}  // namespace

PyObject* package_type(const char* module, const char* name) {
  const Ref imported(PyImport_ImportModule(module));
  return imported ? PyObject_GetAttrString(imported.get(), name) : nullptr;
}

// --------------------------------------------------------------------------------------------------------------- formatting

template <typename Arguments>
wsb_message* Engine::format(Handler which, Arguments&& arguments) noexcept {
  if (is_finalizing()) return nullptr;
  const Locked scope;
  const Ref callable = Ref::share(handler(which));
  if (!callable) return nullptr;
  const KeptAlive kept(self());
  const Formatting formatting;
  const Ref given(arguments());
  const Ref made(given ? PyObject_CallObject(callable.get(), given.get()) : nullptr);
  wsb_message* const message = made ? message_of(made.get()) : nullptr;
  if (PyErr_Occurred() != nullptr) report(nullptr, which);
  if (PyErr_Occurred() != nullptr) PyErr_WriteUnraisable(callable.get());
  return message;
}

wsb_message* Engine::on_durable(const wsb_durable_event* event, void* user) noexcept {
  auto* const engine = static_cast<Engine*>(user);
  if (!engine->asks_durable_.load()) return nullptr;
  return engine->format(Handler::durable, [&] { return durable_arguments(*event); });
}

wsb_message* Engine::on_presence(const wsb_presence_event* event, void* user) noexcept {
  auto* const engine = static_cast<Engine*>(user);
  if (!engine->asks_presence_.load()) return nullptr;
  return engine->format(Handler::presence, [&] { return presence_arguments(*event); });
}

void Engine::resumed(Connection* c, const wsb_resumed_event& event) {
  static PyObject* type = nullptr;
  if (handler(Handler::resumed) == nullptr) return;
  if (type == nullptr) type = package_type("wsbeat._topics", "Resumed");
  const Ref topic(type != nullptr ? text(event.topic, event.topic_length) : nullptr);
  const Ref how(topic ? PyObject_CallFunction(type, "KKO", static_cast<unsigned long long>(event.sequence),
                                              static_cast<unsigned long long>(event.replayed),
                                              event.missed != 0 ? Py_True : Py_False)
                      : nullptr);
  if (!how) return report(c, Handler::resumed);
  call(c, Handler::resumed, {as_object(c), topic.get(), how.get()});
}

// ------------------------------------------------------------------------------------------------------ publications stored

// On a thread of the backplane, which does not wait for the interpreter.
void Engine::on_stored(const wsb_stored_event* event, void* context) noexcept {
  auto* const pending = static_cast<Pending*>(context);
  pending->result = event->result;
  pending->duplicate = event->duplicate != 0;
  pending->sequence = event->sequence;
  Engine& engine = *pending->engine;
  const std::lock_guard<std::mutex> lock(engine.stored_mutex_);
  const bool first = engine.stored_ == nullptr;
  pending->next = std::exchange(engine.stored_, pending);
  const uint64_t one = 1;
  if (first) (void)!::write(engine.stored_fd_, &one, sizeof one);
}

void Engine::deliver_stored() {
  if (stored_fd_ < 0 || in_forked_child()) return;
  Pending* newest = nullptr;
  {
    const std::lock_guard<std::mutex> lock(stored_mutex_);
    uint64_t count = 0;
    (void)!::read(stored_fd_, &count, sizeof count);
    newest = std::exchange(stored_, nullptr);
  }
  Pending* oldest = nullptr;
  while (newest != nullptr) {
    Pending* const pending = std::exchange(newest, newest->next);
    pending->next = std::exchange(oldest, pending);
  }
  const py::error_scope kept;  // it may be the end of the engine
  while (oldest != nullptr) {
    Pending* const pending = std::exchange(oldest, oldest->next);
    if (pending->future) {
      settle(std::unique_ptr<Pending>(pending));
    } else {
      pending->told = true;  // publish() goes on with it
    }
  }
}

// The future that `factory` makes for a publication that is to be stored.
py::object Engine::expect(Pending* pending, const py::object& factory) {
  Ref future(PyObject_CallNoArgs(factory.ptr()));
  pending->future = Ref::share(future ? future.get() : Py_None);
  if (pending->told) settle(std::unique_ptr<Pending>(pending));
  if (!future) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(future.release());
}

void Engine::settle(std::unique_ptr<Pending> pending) noexcept {
  if (pending->future.get() == Py_None) return;
  const Ref done(PyObject_CallMethod(pending->future.get(), "_settle", "iKO", pending->result,
                                     static_cast<unsigned long long>(pending->sequence),
                                     pending->duplicate ? Py_True : Py_False));
  if (!done) PyErr_WriteUnraisable(pending->future.get());
}

}  // namespace binding
