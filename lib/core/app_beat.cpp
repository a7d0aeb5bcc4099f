// The application beat's rules.
#include "core/app_beat.h"

#include <algorithm>
#include <charconv>

namespace wsb::core {

AppBeatText::AppBeatText(uint32_t interval_ms) noexcept {
  constexpr char kSynchronousIdle = 0x16;
  text_[0] = kSynchronousIdle;
  size_ = static_cast<size_t>(std::to_chars(text_ + 1, text_ + sizeof text_, interval_ms).ptr - text_);
}

AppBeat::AppBeat(TimeUs now, uint32_t interval_ms, uint16_t phase) noexcept
    : next_(now + from_ms(interval_ms) * (phase + 1U) / 65536), interval_ms_(interval_ms) {}

bool AppBeat::falls_due(TimeUs now) noexcept {
  if (now < next_) return false;
  const TimeUs interval = from_ms(interval_ms_);
  next_ += interval * ((now - next_) / interval + 1);
  return true;
}

void AppBeat::queued(uint64_t end, size_t frame_bytes) noexcept {
  end_ = end;
  frame_bytes_ = static_cast<uint32_t>(frame_bytes);
}

size_t AppBeat::waiting_bytes(uint64_t sent) const noexcept {
  return sent >= end_ ? 0 : static_cast<size_t>(std::min<uint64_t>(end_ - sent, frame_bytes_));
}

}  // namespace wsb::core
