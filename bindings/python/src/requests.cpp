// Handshakes and plain HTTP, on the workers' threads. Only a handler in Python needs the interpreter's lock.
#include "engine.h"
#include "errors.h"

namespace binding {

namespace {

constexpr char kStopping[] = "the server is about to exit\n";
constexpr char kFailed[] = "the server failed to answer\n";

void answer(wsb_request* request, uint32_t status, const char* body, size_t length) noexcept {
  (void)wsb_request_respond(request, status, nullptr, body, length);
}

}  // namespace

void Engine::keep_head(RequestHead* head) noexcept {
  const std::lock_guard<std::mutex> lock(heads_mutex_);
  head->next = heads_;
  if (heads_ != nullptr) heads_->previous = head;
  heads_ = head;
}

void Engine::release_head(RequestHead* head) noexcept {
  const std::lock_guard<std::mutex> lock(heads_mutex_);
  (head->previous != nullptr ? head->previous->next : heads_) = head->next;
  if (head->next != nullptr) head->next->previous = head->previous;
  head->previous = head->next = nullptr;
}

void Engine::on_handshake(const wsb_handshake_event* event, void* user) noexcept {
  auto* const engine = static_cast<Engine*>(user);
  auto* const head = RequestHead::take(event->request);
  if (engine->asks_handshake_.load() && !engine->ask_python(event->request, head, Handler::handshake)) {
    delete head;
    return;
  }
  if (head == nullptr) return;
  engine->keep_head(head);
  (void)wsb_request_set_user(event->request, head);
}

void Engine::on_http(const wsb_http_event* event, void* user) noexcept {
  auto* const engine = static_cast<Engine*>(user);
  if (engine->asks_http_.load() && !engine->ask_python(event->request, nullptr, Handler::http)) return;
  static constexpr char kUpgrade[] = "this is a WebSocket server\n";
  answer(event->request, 426, kUpgrade, sizeof kUpgrade - 1);
}

// True: it was not answered.
bool Engine::ask_python(wsb_request* request, RequestHead* head, Handler which) noexcept {
  if (exiting() || is_finalizing()) {
    answer(request, 503, kStopping, sizeof kStopping - 1);
    return false;
  }
  const Locked scope;
  bool unanswered = false;
  try {
    const Ref callable = Ref::share(handler(which));
    if (!callable) {
      answer(request, 503, kStopping, sizeof kStopping - 1);
    } else {
      const KeptAlive kept(self());
      const py::object handshake = py::cast(Handshake(request, which == Handler::handshake));
      auto& view = handshake.cast<Handshake&>();
      const Ref result(PyObject_CallOneArg(callable.get(), handshake.ptr()));
      view.end();
      if (!result) {
        report(nullptr, which);
        if (PyErr_Occurred() != nullptr) PyErr_WriteUnraisable(callable.get());
        answer(request, 500, kFailed, sizeof kFailed - 1);
      } else {
        unanswered = !view.answered();
        if (unanswered && head != nullptr && !view.user().is_none()) head->user = view.user().release().ptr();
      }
    }
  } catch (const std::exception&) {
    answer(request, 500, kFailed, sizeof kFailed - 1);
    unanswered = false;
  }
  return unanswered;
}

}  // namespace binding
