// The way to other servers: a backplane of the application, which patterns it is to bring, and its numbers.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/buffer.h"
#include "wsbeat/wsbeat.h"

namespace wsb::server {

class Backplane {
 public:
  Backplane() = default;
  ~Backplane() { close(); }
  Backplane(const Backplane&) = delete;
  Backplane& operator=(const Backplane&) = delete;

  // Before the server starts. False: there is one.
  bool set(const wsb_backplane& calls) noexcept;
  // A wsb_error. Does nothing the second time, or without one.
  int open(const wsb_backplane_host& host);
  // No call is under way any more when it returns, and none is made.
  void close() noexcept;

  bool present() const noexcept { return present_.load(std::memory_order_relaxed); }

  // A worker has its first subscriber of a pattern, or has lost the last. Not under a lock of the server.
  void want(std::string_view pattern);
  void want_no_more(std::string_view pattern) noexcept;

  // A wsb_error; WSB_OK without a backplane.
  int publish(std::string_view topic, const core::Buffer& message, bool retain) noexcept;
  // Durable topics. `keeps`: 1, 0, or WSB_E_STATE once it is closing. The others are a wsb_error, STATE while it is not open.
  int keeps(std::string_view pattern) noexcept;
  int store(const wsb_backplane_message& message, void (*done)(void*, int, uint64_t, int), void* context) noexcept;
  // Not under a lock of the server.
  int replay(std::string_view pattern, uint64_t after, uint64_t ticket) noexcept;
  void forget(uint64_t ticket) noexcept;
  // Presence, if set() was given that.
  bool has_presence() const noexcept { return calls_.join != nullptr; }
  int join(std::string_view topic, std::string_view member, uint64_t number) noexcept;
  int leave(std::string_view topic, uint64_t number) noexcept;
  int watch(std::string_view topic, uint64_t number) noexcept;
  int unwatch(uint64_t number) noexcept;
  void count_received() noexcept { received_.fetch_add(1, std::memory_order_relaxed); }

  void add_metrics(wsb_metrics& totals) noexcept;

 private:
  template <typename Call>
  int tell(Call&& call) noexcept;

  std::atomic<bool> present_{false};
  std::atomic<bool> durable_{false};  // it has, or had, durable topics
  wsb_backplane calls_{};
  wsb_backplane_host host_{};
  std::atomic<uint64_t> published_{0};
  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> received_{0};

  std::shared_mutex closing_;  // held alone by close(), shared by every other call; who finds it closing goes without
  std::mutex mutex_;           // of what follows, and of calls about patterns
  std::atomic<bool> opened_{false};
  std::unordered_map<std::string, int64_t>
      wanted_;  // by how many workers; changes of two threads may come in any order
};

}  // namespace wsb::server
