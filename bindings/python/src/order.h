// How a connection's calls reach the library.
#pragma once

#include <optional>
#include <utility>

#include "connection.h"
#include "engine.h"

namespace binding {

// Calls `work(server, id)` without the interpreter's lock, after what was sent before it. Its result, or nothing with a Python error.
template <typename Work>
std::optional<int> ordered(PyObject* self, Work&& work) {
  Connection* const c = as_connection(self);
  Engine* const engine = engine_of(c);
  if (engine == nullptr) return std::nullopt;
  engine->flush();
  if (c->gone) {
    set_closed_error(c);
    return std::nullopt;
  }
  wsb_server* const server = engine->server();
  const int result = unlocked([&] { return work(server, c->id); });
  if (result >= 0) return result;
  set_call_error(c, result);
  return std::nullopt;
}

// As ordered(), for a method that gives None.
template <typename Work>
PyObject* order(PyObject* self, Work&& work) {
  if (!ordered(self, std::forward<Work>(work))) return nullptr;
  Py_RETURN_NONE;
}

}  // namespace binding
