// The application beat of one connection: when a small message that scripts can see is due. Only for clients that asked for it, because
// browsers hide pings from scripts. Time is an argument; no sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/time.h"

namespace wsb::core {

// How a client asks: it offers this subprotocol, or sends this query parameter.
inline constexpr std::string_view kAppBeatSubprotocol = "wsbeat.beat.v1";
inline constexpr std::string_view kAppBeatParameter = "wsbeat-beat";
inline constexpr std::string_view kAppBeatParameterValue = "1";

// The text of a beat: U+0016 (synchronous idle), then its interval in milliseconds, so that the client knows when the next one is due.
class AppBeatText {
 public:
  explicit AppBeatText(uint32_t interval_ms) noexcept;
  const char* data() const noexcept { return text_; }
  size_t size() const noexcept { return size_; }

 private:
  char text_[12] = {};
  size_t size_ = 0;
};

class AppBeat {
 public:
  // The first beat after the one that greets is due `phase` (0..1, in 1/65536) of an interval from now.
  AppBeat(TimeUs now, uint32_t interval_ms, uint16_t phase) noexcept;
  uint32_t interval_ms() const noexcept { return interval_ms_; }

  TimeUs next_due() const noexcept { return next_; }
  // Whether a beat is due now; those that were slept through are left out.
  bool falls_due(TimeUs now) noexcept;

  // The last beat ends at this position of the stream of control bytes.
  void queued(uint64_t end, size_t frame_bytes) noexcept;
  // How much of it still waits when everything up to `sent` has left.
  size_t waiting_bytes(uint64_t sent) const noexcept;

 private:
  TimeUs next_;
  uint64_t end_ = 0;
  uint32_t interval_ms_;
  uint32_t frame_bytes_ = 0;
};

}  // namespace wsb::core
