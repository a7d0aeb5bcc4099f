// Library errors as Python exceptions: one class for each entry of WSB_ERROR_MAP.
#pragma once

#include "python.h"

namespace binding {

// Makes the classes and puts them into the module.
void add_errors(py::module_& module);

// Sets the Python error for a library error, with the library's detail or `detail`. Returns nullptr.
PyObject* set_error(int code, const char* detail = nullptr);

// Throws for a negative result, gives others back.
int check(int result);
[[noreturn]] void raise(int code, const char* detail);

}  // namespace binding
