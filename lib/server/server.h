// A server: its workers' threads, its states, and the routing of calls to the worker that a connection's id names. In server.cpp (starting and
// stopping), server_topics.cpp, server_durable.cpp.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "net/listener.h"
#include "server/context.h"
#include "server/presence.h"
#include "server/worker.h"

namespace wsb::server {

class EventQueue;

class Server {
 public:
  // Throws ApiError.
  Server(ServerConfig config, const wsb_callbacks& callbacks);
  // Not on a worker thread; aborts everything first.
  ~Server();  // NOLINT(bugprone-exception-escape): see there
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Each throws ApiError or net::NetError.
  void start();
  void run();  // worker 0 on this thread, until stopped
  void request_stop(const StopOrder& order);
  // While a stop is under way, `hurries` tells whether this order may shorten it.
  Worker::StopCounts stop(const StopOrder& order, bool hurries);
  void reload_tls(const std::string& cert_file, const std::string& key_file);

  uint16_t port() const noexcept { return port_.load(std::memory_order_relaxed); }
  // The worker that an id names, null if there is none.
  Worker* worker_of(uint64_t id) noexcept;
  std::vector<uint64_t> connections();
  // Each a wsb_error. The names are well-formed.
  int subscribe(uint64_t id, std::string_view pattern);
  int unsubscribe(uint64_t id, std::string_view pattern);
  int publish(const Publication& publication, uint32_t flags, PublishCounts& counts);
  // 1: as wsb_subscribe_with.
  int subscribe_with(uint64_t id, std::string_view pattern, const ResumeWish& wish);
  // 1, 0, or WSB_E_STATE once the backplane is closing.
  int is_durable(std::string_view pattern) noexcept;
  // Of a durable topic.
  int store(const StoreWish& wish, PublishCounts& counts);
  // Throws ApiError.
  void set_backplane(const wsb_backplane& backplane);
  int open_backplane(const wsb_backplane_host& host);
  // From the backplane.
  void deliver(const Publication& publication, uint32_t flags);
  void deliver_durable(const DurableMessage& message);
  int replayed(uint64_t ticket, const DurableMessage& message);
  void resumed(uint64_t ticket, uint64_t sequence, bool missed);
  void count_received() noexcept { context_.backplane.count_received(); }
  void log(uint32_t level, std::string_view text) const noexcept { context_.log(level, 0, text); }
  Presence& presence() noexcept { return presence_; }
  MetricsSum metrics();
  EventQueue* event_queue() noexcept { return queue_; }
  const ServerConfig& config() const noexcept { return context_.config; }
  bool is_on_worker_thread() const noexcept;

 private:
  enum class State { kCreated, kStarting, kRunning, kStopping, kStopped };

  void set_up(bool caller_is_worker);
  bool open_worker(size_t index) noexcept;
  void worker_main(size_t index) noexcept;
  void worker_ended() noexcept;
  void begin_stop(const StopOrder& order);
  void wait_for_end();
  void abort_and_wait();
  int subscribe_as(uint64_t id, std::string_view pattern, const ResumeWish* wish, ReplayOrder* order);
  int subscribe_here(Worker& worker, uint64_t id, std::string_view pattern, core::TopicTrie::Change& change,
                     const ResumeWish* wish, ReplayOrder* order);
  void send_retained(Worker& worker, uint64_t id, std::string_view pattern, const core::RetainedMessages::Kept& kept);
  int begin_replay(Worker& worker, const ReplayOrder& order);
  core::BufferRef frame(const DurableMessage& message, uint64_t conn, std::string_view subscription) const;
  void bring(const DurableMessage& message, std::vector<ReplayOrder>& orders);
  void keep_durable(const DurableMessage& message);
  Worker* worker_of_ticket(uint64_t ticket) noexcept;
  int publish_here(const Publication& publication, bool retain, PublishCounts& counts);

  Context context_;
  Presence presence_;
  EventQueue* queue_ = nullptr;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<uint16_t> port_{0};

  // Used by set_up() and the workers that it starts, one after the other.
  std::unique_ptr<net::Listeners> listeners_;
  net::LoopConfig loop_config_;
  net::SocketFile socket_file_;
  std::vector<std::thread> threads_;
  std::mutex join_mutex_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  State state_ = State::kCreated;
  size_t arrived_ = 0;  // workers that are open or have failed
  bool go_ = false;     // all have arrived
  std::exception_ptr failure_;
  size_t running_ = 0;  // workers that have not ended
};

}  // namespace wsb::server
