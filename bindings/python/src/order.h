// How a connection's calls reach the library.
#pragma once

#include "connection.h"
#include "engine.h"

namespace binding {

// Calls `work(server, id)` without the interpreter's lock, after what was sent before it.
template <typename Work>
PyObject* order(PyObject* self, Work&& work) {
  Connection* const c = as_connection(self);
  Engine* const engine = engine_of(c);
  if (engine == nullptr) return nullptr;
  engine->flush();
  if (c->gone) return set_closed_error(c);
  wsb_server* const server = engine->server();
  return finish(c, unlocked([&] { return work(server, c->id); }));
}

}  // namespace binding
