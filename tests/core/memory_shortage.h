// For unit tests: a process that gets no more memory from the system for a while.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace wsb::core::testing {

// Sanitizers reserve address space themselves, so their builds cannot play this.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kCanPlayShortage = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
inline constexpr bool kCanPlayShortage = false;
#else
inline constexpr bool kCanPlayShortage = true;
#endif
#else
inline constexpr bool kCanPlayShortage = true;
#endif

// While it lives, the address space of the process grows by at most `spare_bytes`.
class MemoryShortage {
 public:
  explicit MemoryShortage(size_t spare_bytes) {
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    getrlimit(RLIMIT_AS, &before_);
    rlimit now = before_;
    now.rlim_cur = pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) + spare_bytes;
    works_ = pages != 0 && setrlimit(RLIMIT_AS, &now) == 0;
  }
  ~MemoryShortage() { setrlimit(RLIMIT_AS, &before_); }
  MemoryShortage(const MemoryShortage&) = delete;
  MemoryShortage& operator=(const MemoryShortage&) = delete;

  bool works() const { return works_; }

 private:
  rlimit before_ = {};
  bool works_ = false;
};

}  // namespace wsb::core::testing
