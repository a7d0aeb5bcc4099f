// Numbers of one worker, written by it and readable from any thread; and their sum as Prometheus text.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "core/counter.h"
#include "core/time.h"
#include "wsbeat/wsbeat.h"

namespace wsb::server {

inline constexpr std::array<uint32_t, 12> kRttBucketsUs = {100,    250,    500,     1000,    2500,      5000,
                                                           10'000, 50'000, 250'000, 500'000, 1'000'000, 5'000'000};

struct WorkerMetrics {
  core::Counter64 connections, opened, closed, closed_clean, http_requests, accepted, messages_in, messages_out,
      bytes_in, bytes_out, pings_sent, pongs_received, queue_bytes, queue_refused, messages_dropped, writes, loop_turns,
      rtt_sum_us;
  std::array<core::Counter64, 16> closed_by_cause;
  std::array<core::Counter64, 16> refused_by_cause;
  std::array<core::Counter64, kRttBucketsUs.size() + 1> rtt_buckets;
  // The largest lateness, in this window of five seconds and in the one before.
  core::Counter64 lag_now_us, lag_before_us, lag_window;

  void note_rtt(uint32_t rtt_us) noexcept;
  void note_lag(core::TimeUs now, core::TimeUs late_us) noexcept;
  uint64_t lag_us(core::TimeUs now) const noexcept;
};

using CloseCounts = std::map<std::pair<uint32_t, uint32_t>, uint64_t>;  // (cause, code) -> ends

struct MetricsSum {
  wsb_metrics totals{};
  std::array<uint64_t, 16> refused_by_cause{};
  std::array<uint64_t, kRttBucketsUs.size() + 1> rtt_buckets{};
  uint64_t rtt_sum_us = 0;
  CloseCounts closes;

  void add(const WorkerMetrics& worker, core::TimeUs now);
};

std::string prometheus_text(const MetricsSum& sum);

}  // namespace wsb::server
