// What every file here stands on: Python's headers, owned references, and leaving the interpreter's lock for a while.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <pybind11/pybind11.h>

#include <structmember.h>
#include <unistd.h>
#include <atomic>
#include <utility>

#include "wsbeat/wsbeat.h"

namespace binding {

namespace py = pybind11;

#if PY_VERSION_HEX < 0x030A0000
inline PyObject* new_reference(PyObject* object) noexcept {
  Py_INCREF(object);
  return object;
}
#define Py_NewRef(object) ::binding::new_reference(object)
#endif

// True once the interpreter goes down: whoever asks for its lock then never gets it.
inline bool is_finalizing() noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

// The thread that ran the exit handlers, and takes the interpreter down; 0 before.
inline std::atomic<unsigned long> finalizer{0};

// Calls `take`, which takes the interpreter's lock. A thread that is too late waits here for the process to end: CPython before 3.14 would end it
// by unwinding, through frames that cannot be unwound. It does so too if the end begins while the thread waits for the lock.
template <typename Take>
auto take_lock(Take&& take) noexcept {
  while (is_finalizing() && PyThread_get_thread_ident() != finalizer.load()) ::pause();
  try {
    return take();
  } catch (...) {  // nothing else throws
    for (;;) ::pause();
  }
}

// The interpreter's lock is released in this scope.
class Unlocked {
 public:
  Unlocked() noexcept : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    take_lock([&] { PyEval_RestoreThread(state_); });
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

// The interpreter's lock is held in this scope, on any thread, also one within an Unlocked.
class Locked {
 public:
  Locked() noexcept : state_(take_lock(PyGILState_Ensure)) {}
  ~Locked() { PyGILState_Release(state_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  PyGILState_STATE state_;
};

// Runs `work` without the interpreter's lock and gives its result.
template <typename Work>
auto unlocked(Work&& work) {
  const Unlocked scope;
  return work();
}

// One owned reference, or none.
class Ref {
 public:
  Ref() noexcept = default;
  explicit Ref(PyObject* owned) noexcept : object_(owned) {}
  static Ref share(PyObject* borrowed) noexcept {
    Py_XINCREF(borrowed);
    return Ref(borrowed);
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref&& other) noexcept {
    PyObject* const before = std::exchange(object_, std::exchange(other.object_, nullptr));
    Py_XDECREF(before);
    return *this;
  }
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;
  ~Ref() { Py_XDECREF(object_); }
  PyObject* get() const noexcept { return object_; }
  PyObject* release() noexcept { return std::exchange(object_, nullptr); }
  explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

// Keeps the engine while a thread of the library is in one of its handlers. Dropping its last reference there would end the server on a thread
// that the server waits for: the main thread does it.
class KeptAlive {
 public:
  explicit KeptAlive(PyObject* engine) noexcept : engine_(Ref::share(engine)) {}
  ~KeptAlive() {
    if (engine_ && Py_REFCNT(engine_.get()) == 1) (void)Py_AddPendingCall(drop, engine_.release());
  }
  KeptAlive(const KeptAlive&) = delete;
  KeptAlive& operator=(const KeptAlive&) = delete;

 private:
  static int drop(void* engine) {
    Py_DECREF(static_cast<PyObject*>(engine));
    return 0;
  }
  Ref engine_;
};

}  // namespace binding
