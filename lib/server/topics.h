// What all workers share of the topics: how many subscriptions there are, the retained messages, the numbers.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>

#include "core/buffer.h"
#include "core/retained.h"
#include "server/config.h"

namespace wsb::server {

// One message to the subscribers of one topic.
struct Publication {
  std::string_view topic;
  core::Buffer* message;  // framed
  uint64_t exclude = 0;   // a connection; 0: none
};

struct PublishCounts {
  uint64_t reached = 0;
  uint64_t refused = 0;
  int backplane = WSB_OK;
};

struct DurableCounts {
  void stored_or_not(bool is_stored) noexcept {
    (is_stored ? stored : refused).fetch_add(1, std::memory_order_relaxed);
  }

  std::atomic<uint64_t> stored{0};
  std::atomic<uint64_t> refused{0};
  std::atomic<uint64_t> replays{0};
  std::atomic<uint64_t> replayed{0};
  std::atomic<uint64_t> missed{0};
};

class Topics {
 public:
  explicit Topics(const ServerConfig& config) noexcept
      : max_subscriptions_(config.max_subscriptions),
        retained_(config.max_retained_messages, config.max_retained_bytes) {}

  // False: there are as many as there may be.
  bool enter() noexcept {
    uint64_t count = subscriptions_.load(std::memory_order_relaxed);
    do {
      if (count >= max_subscriptions_) return false;
    } while (!subscriptions_.compare_exchange_weak(count, count + 1, std::memory_order_relaxed));
    return true;
  }
  void leave(uint64_t count) noexcept { subscriptions_.fetch_sub(count, std::memory_order_relaxed); }

  void count(const PublishCounts& counts) noexcept {
    published_.fetch_add(1, std::memory_order_relaxed);
    count_delivered(counts);
  }
  void count_delivered(const PublishCounts& counts) noexcept {
    reached_.fetch_add(counts.reached, std::memory_order_relaxed);
    refused_.fetch_add(counts.refused, std::memory_order_relaxed);
  }

  void add_metrics(wsb_metrics& totals) {
    totals.subscriptions = subscriptions_.load(std::memory_order_relaxed);
    totals.published = published_.load(std::memory_order_relaxed);
    totals.publish_reached = reached_.load(std::memory_order_relaxed);
    totals.publish_refused = refused_.load(std::memory_order_relaxed);
    totals.durable_stored = durable_.stored.load(std::memory_order_relaxed);
    totals.durable_refused = durable_.refused.load(std::memory_order_relaxed);
    totals.replays = durable_.replays.load(std::memory_order_relaxed);
    totals.replayed = durable_.replayed.load(std::memory_order_relaxed);
    totals.replays_missed = durable_.missed.load(std::memory_order_relaxed);
    const std::lock_guard<std::mutex> lock(mutex_);
    totals.retained_messages = retained_.size();
    totals.retained_bytes = retained_.bytes();
  }

  // Held over keeping a message and handing it out, and over subscribing and getting what is kept: so a new subscriber gets each retained
  // message once, and never an older one after a newer. Taken before a worker's gate.
  std::mutex& mutex() noexcept { return mutex_; }
  core::RetainedMessages& retained() noexcept { return retained_; }
  DurableCounts& durable() noexcept { return durable_; }

 private:
  const uint64_t max_subscriptions_;
  std::atomic<uint64_t> subscriptions_{0};
  std::atomic<uint64_t> published_{0};
  std::atomic<uint64_t> reached_{0};
  std::atomic<uint64_t> refused_{0};
  DurableCounts durable_;
  std::mutex mutex_;
  core::RetainedMessages retained_;  // under the mutex
};

}  // namespace wsb::server
