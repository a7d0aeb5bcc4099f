// When to ping one connection, and whether its silence means death. Time is an argument; no frames, no sockets.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/counter.h"
#include "core/time.h"
#include "core/transport.h"

namespace wsb::core {

struct HeartbeatSettings {
  uint32_t interval_ms = 0;  // 0: off
  uint32_t timeout_ms = 0;   // below the interval
  bool pong_only = false;    // liveness: only the matching pong counts, not any byte
};

class Heartbeat {
 public:
  enum class Verdict : uint8_t { kNothing, kSendPing, kDead };
  static constexpr size_t kPayloadBytes = 8;

  // Begins, or begins anew with other settings. The first ping is due `phase` (0..1, in 1/65536) of an interval from now.
  void start(TimeUs now, const HeartbeatSettings& settings, uint16_t phase) noexcept;
  bool enabled() const noexcept { return settings_.interval_ms != 0; }
  const HeartbeatSettings& settings() const noexcept { return settings_; }

  // Any bytes came from the peer.
  void heard() noexcept { heard_since_ping_ = true; }
  // A pong came. True if it answers the last ping of ours: `rtt_us` is then set (at least 1).
  bool pong(const uint8_t* payload, size_t n, TimeUs now, uint32_t& rtt_us) noexcept;
  // The last ping left our queue; its answer is due `timeout` from now. `stalled_us`: see check().
  void ping_left(TimeUs now, TimeUs stalled_us) noexcept;
  // The ping asked for by check() did not get into our queue: the next is due with the next beat.
  void ping_not_queued() noexcept { ping_queued_ = false; }
  // Nothing can be heard while we do not read: no deadline runs. Resuming grants a full timeout.
  void suspend() noexcept;
  void resume(TimeUs now) noexcept;

  // What to do now. `stalled_us` is the worker's running total of time during which this process stood still: deadlines move by what was added since the
  // ping left. `unread` tells what of the peer's bytes was not delivered (called only before a death): the verdict waits for what lies in the kernel, and a
  // part of something larger is a sign of life by itself.
  // kSendPing: the caller queues a ping with payload() and reports ping_left when it has gone.
  template <typename LookForUnread>
  Verdict check(TimeUs now, TimeUs stalled_us, LookForUnread&& unread) noexcept {
    if (!enabled()) return Verdict::kNothing;
    if (is_overdue(now, stalled_us)) {
      const Unread found = unread();
      if (found == Unread::kPart && !settings_.pong_only) {
        heard();
        (void)is_overdue(now, stalled_us);  // answered now
      } else {
        if (found == Unread::kNothing || (settings_.pong_only && grace_used_)) return Verdict::kDead;
        grace_used_ = true;
        deadline_ = now + kGraceUs;
        publish();
      }
    }
    return ping_falls_due(now) ? Verdict::kSendPing : Verdict::kNothing;
  }
  const uint8_t* payload() const noexcept { return payload_; }

  // When check() should be called next; kNever when off.
  TimeUs next_due() const noexcept;
  bool waiting() const noexcept { return deadline_ != kNever && !answered(); }

  // For information, readable from any thread.
  struct Figures {
    Counter64 pings_sent, pongs_received;
    Counter32 rtt_last_us, rtt_smoothed_us, rtt_min_us;
    Counter32 interval_ms, timeout_ms;
    Counter8 waiting;
    Counter64 due_at;  // while waiting the answer's deadline, else the next ping; 0: off, or no deadline runs
  };
  const Figures& figures() const noexcept { return figures_; }

 private:
  static constexpr TimeUs kGraceUs = 20'000;  // time for bytes in the kernel to be read before a verdict
  bool answered() const noexcept { return settings_.pong_only ? pong_seen_ : heard_since_ping_; }
  bool is_overdue(TimeUs now, TimeUs stalled_us) noexcept;
  bool ping_falls_due(TimeUs now) noexcept;
  void publish() noexcept;

  HeartbeatSettings settings_;
  TimeUs next_ping_ = kNever;
  TimeUs left_at_ = 0;
  TimeUs deadline_ = kNever;
  TimeUs stalled_at_ping_ = 0;
  uint8_t payload_[kPayloadBytes] = {};
  bool ping_out_ = false;     // the last ping has left our queue
  bool ping_queued_ = false;  // it waits in our queue
  bool heard_since_ping_ = false;
  bool pong_seen_ = false;
  bool suspended_ = false;
  bool grace_used_ = false;
  Figures figures_;
};

}  // namespace wsb::core
