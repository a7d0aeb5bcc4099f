// What is kept of a connection's request, and the view of a request that a handler may answer.
#pragma once

#include <memory>
#include <string>

#include "python.h"

namespace binding {

// The head of a request in one block, taken without the interpreter's lock.
class RequestHead {
 public:
  static RequestHead* take(const wsb_request* request);  // nullptr: no memory
  ~RequestHead() { Py_XDECREF(user); }
  py::object to_python() const;  // a new wsbeat.Request; throws

  RequestHead* previous = nullptr;  // of those that no connection owns yet, see Engine
  RequestHead* next = nullptr;
  PyObject* user = nullptr;  // Handshake.user; touched with the interpreter's lock only

 private:
  std::string text_;  // method, path, query, then names and values, each with a NUL
};

// A request while its handler runs: wsbeat.Handshake in Python.
class Handshake {
 public:
  Handshake(wsb_request* request, bool upgrade) : request_(request), upgrade_(upgrade) {}
  void end() noexcept { request_ = nullptr; }
  bool answered() const noexcept { return answered_; }
  py::object user() const { return user_; }

  static void add_to(py::module_& module);

 private:
  wsb_request* live() const;
  void respond(uint32_t status, const py::object& body, const py::object& content_type);

  wsb_request* request_;
  bool upgrade_;
  bool answered_ = false;
  py::object user_ = py::none();
};

}  // namespace binding
