// A hashed timer wheel: n waiting nodes cost nothing per tick, due ones O(1) each. Never early, at most one tick late.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/time.h"

namespace wsb::core {

// Embedded in what waits; on at most one wheel.
struct WheelNode {
  WheelNode* previous = nullptr;
  WheelNode* next = nullptr;
  uint64_t tick = 0;  // due tick; meaningful while scheduled
  bool scheduled() const noexcept { return next != nullptr; }
};

class Wheel {
 public:
  static constexpr TimeUs kTickUs = 10'000;
  static constexpr size_t kSlots = 4096;  // one turn is 41 s

  explicit Wheel(TimeUs now) noexcept;
  Wheel(const Wheel&) = delete;
  Wheel& operator=(const Wheel&) = delete;

  // Moves the node if it is scheduled already. kNever cancels.
  void schedule(WheelNode& node, TimeUs due) noexcept;
  void cancel(WheelNode& node) noexcept;
  // Takes every node that is due off the wheel and hands it to `due(node)`, which may schedule and cancel at will.
  template <typename Due>
  void advance(TimeUs now, Due&& due) {
    const uint64_t last = now / kTickUs;
    collect(last);
    while (ready_.next != &ready_) {
      WheelNode& node = *ready_.next;
      unlink(node);
      due(node);
    }
  }
  // When advance() should run next: never later than the first due node; kNever if none waits.
  TimeUs next_due() const noexcept;
  size_t size() const noexcept { return size_; }

 private:
  void collect(uint64_t last) noexcept;
  void unlink(WheelNode& node) noexcept;
  void leave(WheelNode& node) noexcept;
  void link(WheelNode& head, WheelNode& node) noexcept;
  void mark(size_t slot) noexcept { occupied_[slot / 64] |= uint64_t{1} << (slot % 64); }
  void unmark(size_t slot) noexcept { occupied_[slot / 64] &= ~(uint64_t{1} << (slot % 64)); }

  std::array<WheelNode, kSlots> slots_;
  std::array<uint64_t, kSlots / 64> occupied_{};
  WheelNode ready_;
  uint64_t current_;  // the tick up to which all due nodes were collected
  size_t size_ = 0;
};

}  // namespace wsb::core
