// The Python object of one connection. The base has what both faces share; Connection adds callbacks' send, AsyncConnection awaitables.
#pragma once

#include <deque>
#include <memory>

#include "handshake.h"
#include "python.h"

namespace binding {

class Engine;

// A whole message on its way out. `owner` keeps the bytes alive.
struct Payload {
  Ref owner;
  const char* data = nullptr;
  size_t length = 0;
  uint32_t kind = WSB_BINARY;
};

// Messages that came and were not received yet: a ring that grows to what max_queue allows, and is freed when it is empty for good.
class Inbox {
 public:
  Inbox() noexcept = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  ~Inbox() { clear(); }
  size_t size() const noexcept { return count_; }
  bool push(PyObject* owned) noexcept;  // false: no memory, and the reference is dropped
  PyObject* pop() noexcept;             // owned; not when empty
  void clear() noexcept;
  int traverse(visitproc visit, void* arg) const;

 private:
  PyObject** items_ = nullptr;
  uint32_t capacity_ = 0;  // a power of two
  uint32_t first_ = 0;
  uint32_t count_ = 0;
};

// What is not plain data, so that it can be built in the memory that Python allocates.
struct ConnectionParts {
  Inbox inbox;
  std::unique_ptr<std::deque<Payload>> refused;  // found the queue full after send() had taken them
  std::unique_ptr<RequestHead> head;
};

struct Connection {
  PyObject_HEAD PyObject* engine_object;  // keeps `engine`
  Engine* engine;
  uint64_t id;
  PyObject* path;
  PyObject* query;
  PyObject* subprotocol;  // None if none was chosen
  PyObject* peer;
  PyObject* request;     // made when it is first asked for
  PyObject* close_info;  // None until the end
  PyObject* waiter;      // the future of a recv() that found nothing, or NULL
  const void* receiver;  // the recv() under way
  PyObject* weak_references;
  ConnectionParts parts;
  uint32_t peer_port;
  uint32_t rtt_us;
  bool gone;       // the library no longer knows it
  bool closing;    // close() or abort() was called here
  bool paused;     // because the inbox is full
  bool told_full;  // a send was refused: on_drain is owed
  char held;       // asyncio: sends wait in a queue, and later ones behind them
};

extern PyTypeObject* connection_type;        // BaseConnection
extern PyTypeObject* plain_connection_type;  // Connection
extern PyTypeObject* async_connection_type;  // AsyncConnection

void add_connection_types(py::module_& module);

// A new object of `type`, a subclass of BaseConnection. Throws.
Connection* make_connection(PyObject* type, Engine& engine, PyObject* engine_object, const wsb_open_event& event);

inline Connection* as_connection(PyObject* object) noexcept {
  return reinterpret_cast<Connection*>(object);
}
inline PyObject* as_object(Connection* connection) noexcept {
  return reinterpret_cast<PyObject*>(connection);
}

// Takes str, bytes or another buffer apart. False with a Python error: TypeError for what is no message.
bool read_payload(PyObject* message, Payload& out);
bool is_payload(PyObject* message) noexcept;

// The engine if calls make sense, else nullptr with a Python error.
Engine* engine_of(Connection* connection);

// The Python error of a negative result, or one that a handler left on the way.
void set_call_error(Connection* connection, int result);

// The calls about topics, for the method table. In topics.cpp.
PyObject* subscribe(PyObject* self, PyObject* arguments);
PyObject* unsubscribe(PyObject* self, PyObject* topic);
PyObject* topics(PyObject* self, PyObject* unused);
PyObject* join(PyObject* self, PyObject* arguments);
PyObject* leave(PyObject* self, PyObject* topic);
PyObject* watch(PyObject* self, PyObject* topic);
PyObject* unwatch(PyObject* self, PyObject* topic);

// Sets ConnectionClosed (or what the engine's `closed` handler makes of it). Returns nullptr.
PyObject* set_closed_error(Connection* connection);

// Sets the awaitables' types up, and makes them.
void add_awaitables(py::module_& module);
PyObject* done_awaitable() noexcept;  // new reference; awaiting it gives None at once
PyObject* receive_awaitable(Connection* connection, bool iterating) noexcept;

}  // namespace binding
