// Starting and stopping.
#include "server/server.h"

#include <pthread.h>
#include <signal.h>

#include <ctime>
#include <utility>

#include "server/callback_delivery.h"
#include "server/event_queue.h"

namespace wsb::server {

namespace {

// Signals of a thread blocked for a scope. Threads started in it inherit the mask.
class BlockedSignals {
 public:
  explicit BlockedSignals(const sigset_t& set) noexcept { ::pthread_sigmask(SIG_BLOCK, &set, &before_); }
  ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

sigset_t all_signals() noexcept {
  sigset_t set;
  ::sigfillset(&set);
  return set;
}

// OpenSSL writes without MSG_NOSIGNAL: on the caller's thread a SIGPIPE of ours is blocked, and taken back.
class NoSigpipe {
 public:
  NoSigpipe() noexcept {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    was_pending_ = ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec now{};
    if (!was_pending_) (void)::sigtimedwait(&pipe_, nullptr, &now);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

}  // namespace

Server::Server(ServerConfig config, const wsb_callbacks& callbacks)
    : context_(std::move(config), callbacks), presence_(context_, workers_) {
  context_.presence = &presence_;
  if (context_.config.queue_delivery) {
    auto queue = std::make_unique<EventQueue>(context_);
    queue_ = queue.get();
    context_.delivery = std::move(queue);
  } else {
    context_.delivery = std::make_unique<CallbackDelivery>(callbacks);
  }
  for (uint32_t i = 0; i < context_.config.workers; ++i) workers_.push_back(std::make_unique<Worker>(context_, i));
}

// Nothing in it allocates: its order has no reason to copy.
Server::~Server() {  // NOLINT(bugprone-exception-escape)
  abort_and_wait();
  context_.backplane.close();  // before the workers that it delivers to
}

bool Server::is_on_worker_thread() const noexcept {
  Worker* worker = Worker::current();
  return worker != nullptr && &worker->context() == &context_;
}

// ------------------------------------------------------------------------------------------------------------------- start

// Opens the listening sockets and all workers; none serves before all are open. Throws, with everything undone, if one cannot.
void Server::set_up(bool caller_is_worker) {
  if (is_on_worker_thread()) throw ApiError(WSB_E_IN_CALLBACK, "a server cannot be started on its own worker thread");
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::kCreated) throw ApiError(WSB_E_STATE, "the server was started before");
    state_ = State::kStarting;
    arrived_ = 0;
    go_ = false;
    failure_ = nullptr;
  }
  try {
    loop_config_.tls = context_.config.tls;
    if (loop_config_.tls.enabled()) {
      loop_config_.credentials =
          std::make_shared<net::Credentials>(loop_config_.tls.cert_file, loop_config_.tls.key_file);
      loop_config_.ticket_keys = net::make_ticket_keys();
      net::check_tls(loop_config_.tls, loop_config_.ticket_keys);
    }
    listeners_ = std::make_unique<net::Listeners>(context_.config.listen, workers_.size());
    {
      const BlockedSignals blocked(all_signals());
      for (size_t i = caller_is_worker ? 1 : 0; i < workers_.size(); ++i)
        threads_.emplace_back([this, i] { worker_main(i); });
    }
    if (caller_is_worker) (void)open_worker(0);
  } catch (...) {
    // A thread that was not started counts as one that failed.
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure_ == nullptr) failure_ = std::current_exception();
    arrived_ = workers_.size() - threads_.size() + arrived_;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return arrived_ >= workers_.size(); });
  const std::exception_ptr failure = failure_;
  if (failure == nullptr) {
    port_.store(listeners_->port(), std::memory_order_relaxed);
    socket_file_ = listeners_->socket_file();
    running_ = workers_.size();
    state_ = State::kRunning;
  }
  go_ = true;
  lock.unlock();
  changed_.notify_all();
  if (failure == nullptr) return;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  for (const auto& worker : workers_) worker->close();
  if (listeners_) net::remove_socket_file(listeners_->socket_file());
  listeners_.reset();
  lock.lock();
  state_ = State::kCreated;
  lock.unlock();
  changed_.notify_all();
  std::rethrow_exception(failure);
}

bool Server::open_worker(size_t index) noexcept {
  std::exception_ptr failure;
  try {
    workers_[index]->open(*listeners_, loop_config_);
  } catch (...) {
    failure = std::current_exception();
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failure != nullptr && failure_ == nullptr) failure_ = failure;
  ++arrived_;
  changed_.notify_all();
  return failure == nullptr;
}

void Server::worker_main(size_t index) noexcept {
  const bool opened = open_worker(index);
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return go_; });
    if (failure_ != nullptr) {
      lock.unlock();
      if (opened) workers_[index]->close();  // a loop ends on the thread that made it
      return;
    }
  }
  workers_[index]->run();
  worker_ended();
}

// The last one ends what belongs to all.
void Server::worker_ended() noexcept {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (running_ > 1) {
      --running_;
      return;
    }
  }
  net::remove_socket_file(socket_file_);
  context_.backplane.close();
  context_.delivery->stopped();
  const std::lock_guard<std::mutex> lock(mutex_);
  running_ = 0;
  changed_.notify_all();
}

void Server::start() {
  set_up(false);
  context_.log(WSB_LOG_INFO, 0, "started");
}

void Server::run() {
  const NoSigpipe no_sigpipe;
  set_up(true);
  context_.log(WSB_LOG_INFO, 0, "started");
  workers_[0]->run();
  worker_ended();
  wait_for_end();
}

// -------------------------------------------------------------------------------------------------------------------- stop

void Server::begin_stop(const StopOrder& order) {
  bool first = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    switch (state_) {
      case State::kCreated:
      case State::kStarting:
        throw ApiError(WSB_E_STATE, "the server was not started");
      case State::kStopped:
        return;
      case State::kRunning:
      case State::kStopping:
        break;
    }
    first = state_ == State::kRunning;
    state_ = State::kStopping;
  }
  if (first) context_.log(WSB_LOG_INFO, 0, "stopping");
  for (const auto& worker : workers_) worker->stop(order);
}

void Server::request_stop(const StopOrder& order) {
  begin_stop(order);
}

Worker::StopCounts Server::stop(const StopOrder& order, bool hurries) {
  if (is_on_worker_thread())
    throw ApiError(WSB_E_IN_CALLBACK, "wsb_server_stop would wait for itself: use wsb_server_request_stop");
  bool under_way = false;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return state_ != State::kStarting; });
    under_way = state_ == State::kStopping;
  }
  if (hurries || !under_way) begin_stop(order);
  wait_for_end();
  Worker::StopCounts sum;
  for (const auto& worker : workers_) {
    sum.clean += worker->stop_counts().clean;
    sum.aborted += worker->stop_counts().aborted;
  }
  return sum;
}

void Server::wait_for_end() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return running_ == 0; });
  }
  const std::lock_guard<std::mutex> joining(join_mutex_);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  const std::lock_guard<std::mutex> lock(mutex_);
  state_ = State::kStopped;
}

void Server::abort_and_wait() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::kRunning && state_ != State::kStopping) return;
  }
  StopOrder order;
  order.at_once = true;
  begin_stop(order);
  wait_for_end();
}

// --------------------------------------------------------------------------------------------------------------- all workers

void Server::reload_tls(const std::string& cert_file, const std::string& key_file) {
  const net::TlsConfig& tls = context_.config.tls;
  if (!tls.enabled()) throw ApiError(WSB_E_STATE, "the server has no TLS");
  const auto credentials = std::make_shared<const net::Credentials>(cert_file.empty() ? tls.cert_file : cert_file,
                                                                    key_file.empty() ? tls.key_file : key_file);
  bool running = false;
  for (const auto& worker : workers_) running = worker->use_credentials(credentials) || running;
  if (!running) throw ApiError(WSB_E_STATE, "the server is not running");
  if (is_on_worker_thread()) return;  // this worker takes them when the callback has returned
  for (const auto& worker : workers_) worker->wait_for_credentials();
}

Worker* Server::worker_of(uint64_t id) noexcept {
  const uint32_t index = core::Registry::worker_of(id);
  return index < workers_.size() ? workers_[index].get() : nullptr;
}

std::vector<uint64_t> Server::connections() {
  std::vector<uint64_t> out;
  for (const auto& worker : workers_) worker->list_connections(out);
  return out;
}

MetricsSum Server::metrics() {
  MetricsSum sum;
  for (const auto& worker : workers_) worker->add_metrics(sum);
  context_.topics.add_metrics(sum.totals);
  presence_.add_metrics(sum.totals);
  context_.backplane.add_metrics(sum.totals);
  return sum;
}

}  // namespace wsb::server
