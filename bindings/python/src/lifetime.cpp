// The end of the process, and forks: which servers live, and which of them are this process's own.
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "engine.h"

namespace binding {

namespace {

constexpr uint32_t kExitDeadlineMs = 500;  // for Close frames of peers, when the interpreter exits
constexpr int kLeaveDeadlineMs = 2000;     // for threads inside serve()

std::atomic<uint32_t> fork_count{0};
std::atomic<bool> is_exiting{false};

// With the interpreter's lock.
std::vector<Engine*>& engines() {
  static auto* const all = new std::vector<Engine*>;  // never freed: objects may outlive the module
  return *all;
}

}  // namespace

uint32_t Engine::forks() noexcept {
  static const int registered = ::pthread_atfork(nullptr, nullptr, [] { fork_count.fetch_add(1); });
  (void)registered;
  return fork_count.load();
}

bool Engine::in_forked_child() const noexcept {
  return generation_ != fork_count.load(std::memory_order_relaxed);
}

bool Engine::exiting() noexcept {
  return is_exiting.load();
}

void Engine::enlist() {
  engines().push_back(this);
}

void Engine::unlist() noexcept {
  auto& all = engines();
  all.erase(std::remove(all.begin(), all.end(), this), all.end());
}

// At exit: everyone gets a Close, the workers end, and threads inside serve() leave, before the interpreter goes down.
void Engine::stop_all() {
  is_exiting.store(true);
  finalizer.store(PyThread_get_thread_ident());
  std::vector<wsb_server*> servers;
  for (Engine* engine : engines()) {
    if (engine->in_forked_child() || engine->server_ == nullptr) continue;
    engine->flush();
    servers.push_back(engine->server_);
  }
  wsb_stop_options options;
  wsb_stop_options_init(&options);
  options.deadline_ms = kExitDeadlineMs;
  unlocked([&] {
    for (wsb_server* server : servers) (void)wsb_server_request_stop(server, &options);
    for (wsb_server* server : servers) (void)wsb_server_stop(server, &options, nullptr);
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kLeaveDeadlineMs);
  const auto inside = [](const Engine* engine) { return !engine->in_forked_child() && engine->dispatchers_ != 0; };
  while (std::any_of(engines().begin(), engines().end(), inside) && std::chrono::steady_clock::now() < deadline) {
    unlocked([] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); });
  }
}

}  // namespace binding
