// Connections within the process, and the clock around what is done with all of them.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace floor_of {

constexpr int kPairs = 64;
constexpr int kMessageBytes = 64;

// TCP connections over loopback.
struct Pairs {
  Pairs();
  ~Pairs();
  void drain() const;  // waits until all that was sent on each, one message, has come
  int near[kPairs], far[kPairs];
};

// Prints the median time of one operation: `work` does kPairs of them, `after` is not measured.
template <typename Work, typename After>
void print_each(const char *what, const Work &work, const After &after) {
  constexpr int kRounds = 2000, kWarmup = 200;
  std::vector<double> times;
  for (int i = 0; i < kRounds + kWarmup; ++i) {
    const auto began = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::micro> passed = std::chrono::steady_clock::now() - began;
    after();
    if (i >= kWarmup) times.push_back(passed.count() / kPairs);
  }
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  std::printf("%-58s %6.2f\n", what, times[kRounds / 2]);
}

}  // namespace floor_of
