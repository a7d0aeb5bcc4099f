// The exception classes, made from the header's own list.
#include "errors.h"

#include <array>
#include <cctype>
#include <string>

namespace binding {

namespace {

struct ErrorClass {
  const char* name;
  int code;
  const char* text;
  PyObject* type;  // for the process: as long as the module
};

std::array<ErrorClass, static_cast<size_t>(-WSB_E_LAST_) - 1> classes = {{
#define WSB_XX(name, value, text) {#name, value, text, nullptr},
    WSB_ERROR_MAP(WSB_XX)
#undef WSB_XX
}};

PyObject* base_class = nullptr;

// TOO_BIG becomes TooBigError. SYSTEM would hide a name of Python's own.
std::string class_name(const ErrorClass& error) {
  if (error.code == WSB_E_SYSTEM) return "OperatingSystemError";
  std::string name;
  bool begins = true;
  for (const char* c = error.name; *c != '\0'; ++c) {
    if (*c == '_') {
      begins = true;
    } else {
      name += begins ? *c : static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
      begins = false;
    }
  }
  return name + "Error";
}

// Python's own kind of the same trouble, so that `except ValueError` and its like work.
PyObject* also(int code) noexcept {
  switch (code) {
    case WSB_E_INVALID:
    case WSB_E_CONFIG:
    case WSB_E_TOO_BIG:
      return PyExc_ValueError;
    case WSB_E_NOMEM:
      return PyExc_MemoryError;
    case WSB_E_CLOSED:
      return PyExc_ConnectionError;
    case WSB_E_FULL:
      return PyExc_BufferError;
    case WSB_E_ADDRESS:
    case WSB_E_TLS:
    case WSB_E_SYSTEM:
      return PyExc_OSError;
    default:
      return PyExc_RuntimeError;
  }
}

}  // namespace

void add_errors(py::module_& module) {
  const std::string scope = py::cast<std::string>(module.attr("__package__")) + ".";
  base_class = PyErr_NewExceptionWithDoc((scope + "WsbeatError").c_str(),
                                         "Every error of the library; `error_code` is its number in wsbeat.h.",
                                         PyExc_Exception, nullptr);
  if (base_class == nullptr) throw py::error_already_set();
  module.add_object("WsbeatError", base_class);
  py::dict by_code;
  for (ErrorClass& error : classes) {
    const Ref bases(PyTuple_Pack(2, base_class, also(error.code)));
    py::dict members;
    members["error_code"] = error.code;
    error.type = PyErr_NewExceptionWithDoc((scope + class_name(error)).c_str(), error.text, bases.get(), members.ptr());
    if (error.type == nullptr) throw py::error_already_set();
    module.add_object(class_name(error).c_str(), error.type);
    by_code[py::int_(error.code)] = py::handle(error.type);
  }
  module.attr("error_classes") = by_code;
}

PyObject* set_error(int code, const char* detail) {
  for (const ErrorClass& error : classes) {
    if (error.code != code) continue;
    if (detail == nullptr) detail = wsb_last_error();
    PyErr_SetString(error.type, *detail != '\0' ? detail : error.text);
    return nullptr;
  }
  PyErr_Format(base_class, "unknown error %d", code);
  return nullptr;
}

int check(int result) {
  if (result < 0) raise(result, nullptr);
  return result;
}

void raise(int code, const char* detail) {
  set_error(code, detail);
  throw py::error_already_set();
}

}  // namespace binding
