// Clocks, latencies and the server's CPU time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace load {

[[noreturn]] void die(const std::string &what);  // with errno's text, if it is set

uint64_t now_ns();

// User and system time of all threads of these processes, in seconds.
double cpu_seconds(const std::vector<long> &pids);

// Latencies in logarithmic buckets of 1/16 octave, from 1 ns: at most 6 % off.
class Histogram {
 public:
  Histogram() : buckets_(64U << kSubBits) {}
  void record(uint64_t ns);
  void clear();
  // Upper edge of the bucket in which this share of all latencies is reached.
  double percentile_us(double share) const;

 private:
  static constexpr unsigned kSubBits = 4;
  std::vector<uint64_t> buckets_;
};

// What is measured: from begin() to print().
class Window {
 public:
  explicit Window(const std::vector<long> &server_pids) : server_pids_(server_pids) {}
  void begin();
  // One JSON object. `more`: further members, each with a comma before it.
  void print(const char *workload, const std::string &more = "") const;

  uint64_t messages = 0;
  Histogram latency;

 private:
  const std::vector<long> &server_pids_;
  uint64_t began_ = 0;
  double cpu_before_ = 0;
};

}  // namespace load
