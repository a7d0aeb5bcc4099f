// Connection ids: worker, slot and generation in 64 bits; an id is never given twice. Not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace wsb::core {

class Registry {
 public:
  static constexpr unsigned kSlotBits = 24;
  static constexpr unsigned kWorkerBits = 8;
  static constexpr uint32_t kMaxSlots = 1U << kSlotBits;

  // `max_slots` and `first_generation` are lower and higher in tests only, to see what happens when they are used up.
  explicit Registry(uint32_t worker, uint32_t max_slots = kMaxSlots, uint32_t first_generation = 1) noexcept
      : worker_(worker), max_slots_(max_slots), first_generation_(first_generation) {}

  // A new id for `entry`, 0 if all slots are taken. Throws std::bad_alloc.
  uint64_t add(void* entry) {
    uint32_t slot = 0;
    if (!free_.empty()) {
      slot = free_.back();
      free_.pop_back();
    } else {
      if (slots_.size() >= max_slots_) return 0;
      slot = static_cast<uint32_t>(slots_.size());
      slots_.push_back({nullptr, first_generation_});
      free_.reserve(slots_.capacity());  // so that remove() never allocates
    }
    Slot& taken = slots_[slot];
    taken.entry = entry;
    ++size_;
    return uint64_t{taken.generation} << (kWorkerBits + kSlotBits) | uint64_t{worker_} << kSlotBits | slot;
  }

  void* find(uint64_t id) const noexcept {
    const uint32_t slot = static_cast<uint32_t>(id) & (kMaxSlots - 1);
    if (worker_of(id) != worker_ || slot >= slots_.size() || slots_[slot].generation != generation_of(id))
      return nullptr;
    return slots_[slot].entry;
  }

  void remove(uint64_t id) noexcept {
    if (find(id) == nullptr) return;
    const uint32_t slot = static_cast<uint32_t>(id) & (kMaxSlots - 1);
    slots_[slot].entry = nullptr;
    --size_;
    // A slot whose generations are used up is retired.
    if (++slots_[slot].generation != 0) free_.push_back(slot);
  }

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (size_t slot = 0; slot < slots_.size(); ++slot) {
      if (slots_[slot].entry == nullptr) continue;
      visit(uint64_t{slots_[slot].generation} << (kWorkerBits + kSlotBits) | uint64_t{worker_} << kSlotBits | slot,
            slots_[slot].entry);
    }
  }

  size_t size() const noexcept { return size_; }
  static uint32_t worker_of(uint64_t id) noexcept {
    return static_cast<uint32_t>(id >> kSlotBits) & ((1U << kWorkerBits) - 1);
  }

 private:
  struct Slot {
    void* entry = nullptr;
    uint32_t generation = 0;
  };
  static uint32_t generation_of(uint64_t id) noexcept { return static_cast<uint32_t>(id >> (kWorkerBits + kSlotBits)); }

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  size_t size_ = 0;
  uint32_t worker_;
  uint32_t max_slots_;
  uint32_t first_generation_;
};

}  // namespace wsb::core
