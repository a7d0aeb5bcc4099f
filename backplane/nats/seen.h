// Which messages of which servers have come: overlapping subscriptions bring one message several times.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace wsb::nats {

class Seen {
 public:
  static constexpr uint64_t kWindow =
      1024;  // so much may numbers be out of order, when their sender has changed its NATS server
  static constexpr size_t kMaxOrigins = 4096;

  // True the first time. A number that is older than the window counts as seen.
  bool first_time(uint64_t origin, uint64_t number) {
    Origin& its = origins_[origin];
    its.used = ++uses_;
    if (origins_.size() > kMaxOrigins) forget_oldest();
    if (number > its.highest) {
      if (number - its.highest >= kWindow) its.window.reset();
      for (uint64_t gap = its.highest + 1; gap < number && number - gap < kWindow; ++gap)
        its.window[gap % kWindow] = false;
      its.highest = number;
      its.window[number % kWindow] = true;
      return true;
    }
    if (its.highest - number >= kWindow || its.window[number % kWindow]) return false;
    its.window[number % kWindow] = true;
    return true;
  }

 private:
  struct Origin {
    uint64_t highest = 0;
    uint64_t used = 0;
    std::bitset<kWindow> window;
  };

  void forget_oldest() {
    auto oldest = origins_.begin();
    for (auto at = origins_.begin(); at != origins_.end(); ++at) {
      if (at->second.used < oldest->second.used) oldest = at;
    }
    origins_.erase(oldest);
  }

  std::unordered_map<uint64_t, Origin> origins_;
  uint64_t uses_ = 0;
};

}  // namespace wsb::nats
