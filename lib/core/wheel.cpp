// The wheel's lists and its map of occupied slots.
#include "core/wheel.h"

#include <algorithm>

namespace wsb::core {

Wheel::Wheel(TimeUs now) noexcept : current_(now / kTickUs) {
  for (WheelNode& head : slots_) head.next = head.previous = &head;
  ready_.next = ready_.previous = &ready_;
}

void Wheel::link(WheelNode& head, WheelNode& node) noexcept {
  node.previous = head.previous;
  node.next = &head;
  head.previous->next = &node;
  head.previous = &node;
  ++size_;
}

void Wheel::unlink(WheelNode& node) noexcept {
  node.previous->next = node.next;
  node.next->previous = node.previous;
  node.next = node.previous = nullptr;
  --size_;
}

// A slot that was left empty wakes nobody.
void Wheel::leave(WheelNode& node) noexcept {
  unlink(node);
  const size_t slot = node.tick % kSlots;
  if (slots_[slot].next == &slots_[slot]) unmark(slot);
}

void Wheel::schedule(WheelNode& node, TimeUs due) noexcept {
  if (node.scheduled()) leave(node);
  if (due == kNever) return;
  node.tick = std::max(due / kTickUs + (due % kTickUs != 0 ? 1 : 0), current_ + 1);
  const size_t slot = node.tick % kSlots;
  link(slots_[slot], node);
  mark(slot);
}

void Wheel::cancel(WheelNode& node) noexcept {
  if (node.scheduled()) leave(node);
}

void Wheel::collect(uint64_t last) noexcept {
  if (last <= current_) return;
  const uint64_t steps = std::min<uint64_t>(last - current_, kSlots);  // a longer pause visits each slot once
  for (uint64_t tick = current_ + 1; tick <= current_ + steps; ++tick) {
    const size_t slot = tick % kSlots;
    if ((occupied_[slot / 64] >> (slot % 64) & 1) == 0) continue;
    WheelNode& head = slots_[slot];
    for (WheelNode* node = head.next; node != &head;) {
      WheelNode* next = node->next;
      if (node->tick <= last) {
        unlink(*node);
        link(ready_, *node);
      }
      node = next;
    }
    if (head.next == &head) unmark(slot);
  }
  current_ = last;
}

TimeUs Wheel::next_due() const noexcept {
  if (size_ == 0) return kNever;
  const uint64_t first = current_ + 1;
  size_t checked = 0;
  while (checked < kSlots) {
    const size_t slot = (first + checked) % kSlots;
    const uint64_t word = occupied_[slot / 64] >> (slot % 64);
    if (word == 0) {
      checked += 64 - slot % 64;
      continue;
    }
    checked += static_cast<size_t>(__builtin_ctzll(word));
    return (first + std::min(checked, kSlots - 1)) * kTickUs;
  }
  return (current_ + kSlots) * kTickUs;
}

}  // namespace wsb::core
