// Implementation of the measuring tools; Linux only (schedstat).
#include "stats.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace load {

void die(const std::string &what) {
  std::fprintf(stderr, "load: %s%s%s\n", what.c_str(), errno != 0 ? ": " : "", errno != 0 ? std::strerror(errno) : "");
  std::exit(1);
}

uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000U + static_cast<uint64_t>(t.tv_nsec);
}

namespace {

// From schedstat, which counts nanoseconds; /proc/PID/stat counts ticks of 10 ms. Threads that have ended are in neither.
uint64_t cpu_ns(long pid) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  DIR *folder = opendir(tasks.c_str());
  if (folder == nullptr) die(tasks);
  uint64_t total = 0;
  while (const dirent *entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    FILE *file = std::fopen((tasks + "/" + entry->d_name + "/schedstat").c_str(), "r");
    unsigned long long run = 0;
    if (file == nullptr) continue;
    if (std::fscanf(file, "%llu", &run) == 1) total += run;
    std::fclose(file);
  }
  closedir(folder);
  return total;
}

}  // namespace

double cpu_seconds(const std::vector<long> &pids) {
  uint64_t total = 0;
  for (const long pid : pids) total += cpu_ns(pid);
  return static_cast<double>(total) / 1e9;
}

void Histogram::record(uint64_t ns) {
  constexpr uint64_t kSubBuckets = 1U << kSubBits;
  const unsigned octave = ns < kSubBuckets ? 0 : static_cast<unsigned>(63 - __builtin_clzll(ns)) - kSubBits + 1;
  const uint64_t sub = octave != 0 ? (ns >> (octave - 1)) - kSubBuckets : ns;
  ++buckets_[octave * kSubBuckets + sub];
}

void Histogram::clear() {
  std::fill(buckets_.begin(), buckets_.end(), 0);
}

double Histogram::percentile_us(double share) const {
  uint64_t total = 0;
  for (const uint64_t count : buckets_) total += count;
  uint64_t sum = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    sum += buckets_[i];
    if (total == 0 || static_cast<double>(sum) < share * static_cast<double>(total)) continue;
    const size_t octave = i >> kSubBits;
    const uint64_t sub = i & ((1U << kSubBits) - 1);
    const uint64_t edge = octave != 0 ? ((1U << kSubBits) + sub + 1) << (octave - 1) : sub + 1;
    return static_cast<double>(edge) / 1000.0;
  }
  return 0;
}

void Window::begin() {
  messages = 0;
  latency.clear();
  cpu_before_ = cpu_seconds(server_pids_);
  began_ = now_ns();
}

void Window::print(const char *workload, const std::string &more) const {
  const double seconds = static_cast<double>(now_ns() - began_) / 1e9;
  std::string text = more;
  if (!server_pids_.empty()) {
    char cpu[64];
    std::snprintf(cpu, sizeof cpu, ",\"server_cpu_seconds\":%.4f", cpu_seconds(server_pids_) - cpu_before_);
    text += cpu;
  }
  std::printf("{\"workload\":\"%s\",\"messages\":%llu,\"seconds\":%.3f,\"per_second\":%.0f", workload,
              static_cast<unsigned long long>(messages), seconds, static_cast<double>(messages) / seconds);
  std::printf(",\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f%s}\n", latency.percentile_us(0.5),
              latency.percentile_us(0.9), latency.percentile_us(0.99), latency.percentile_us(0.999), text.c_str());
  std::fflush(stdout);
}

}  // namespace load
