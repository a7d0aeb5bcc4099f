// A number that one thread writes and any thread may read.
#pragma once

#include <atomic>
#include <cstdint>

namespace wsb::core {

template <typename T>
class Counter {
 public:
  Counter() noexcept = default;
  explicit Counter(T value) noexcept : value_(value) {}
  // Writer only: plain loads and stores, no locked instruction.
  void add(T n) noexcept { value_.store(static_cast<T>(get() + n), std::memory_order_relaxed); }
  void sub(T n) noexcept { value_.store(static_cast<T>(get() - n), std::memory_order_relaxed); }
  void set(T n) noexcept { value_.store(n, std::memory_order_relaxed); }
  T get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<T> value_{};
};

using Counter64 = Counter<uint64_t>;
using Counter32 = Counter<uint32_t>;
using Counter8 = Counter<uint8_t>;

}  // namespace wsb::core
