// How many connections there may be, in all and from one address. Not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace wsb::core {

class ConnectionLimits {
 public:
  enum class Verdict : uint8_t { kOk, kTotal, kAddress };

  ConnectionLimits(uint32_t most, uint32_t most_per_address) noexcept
      : most_(most), most_per_address_(most_per_address) {}

  // Counts one more connection of `address` if the limits (0: none per address) allow.
  Verdict enter(const std::string& address) {
    if (total_ >= most_) return Verdict::kTotal;
    if (most_per_address_ != 0) {
      uint32_t& count = per_address_[address];
      if (count >= most_per_address_) return Verdict::kAddress;
      ++count;
    }
    ++total_;
    return Verdict::kOk;
  }

  void leave(std::string_view address) noexcept {
    --total_;
    if (most_per_address_ == 0) return;
    const auto found = per_address_.find(address);
    if (found != per_address_.end() && --found->second == 0) per_address_.erase(found);
  }

  bool counts_addresses() const noexcept { return most_per_address_ != 0; }
  uint32_t total() const noexcept { return total_; }
  size_t addresses() const noexcept { return per_address_.size(); }

 private:
  uint32_t most_;
  uint32_t most_per_address_;
  uint32_t total_ = 0;
  std::map<std::string, uint32_t, std::less<>> per_address_;
};

}  // namespace wsb::core
