// For the outbox_*_test programs: writes an Outbox out, as much at a time as the test says.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "client_frames.h"
#include "core/outbox.h"
#include "server_frames.h"

namespace wsb::core::testing {

class OutboxReader {
 public:
  explicit OutboxReader(Outbox& outbox) : outbox_(outbox) {}

  // Takes at most `most` bytes in one write of at most `max_spans` pieces; returns how many.
  size_t take(size_t most, size_t max_spans = 16) {
    Span spans[16];
    const size_t count = outbox_.gather(spans, max_spans);
    size_t taken = 0;
    for (size_t i = 0; i < count; ++i) {
      const size_t n = std::min(spans[i].size, most - taken);
      wire.append(view_of(spans[i].data, n));
      taken += n;
    }
    if (taken != 0) outbox_.consume(taken);
    return taken;
  }
  void take_all(size_t each = SIZE_MAX, size_t max_spans = 16) {
    while (take(each, max_spans) != 0) {
    }
  }
  // Whole frames that have left since the last call.
  ServerFrames frames() { return take_server_frames(wire); }
  // The same after everything has left.
  ServerFrames rest() {
    take_all();
    return frames();
  }

  std::string wire;

 private:
  Outbox& outbox_;
};

inline bool push(Outbox& outbox, std::string_view data, Opcode opcode = Opcode::kText) {
  return outbox.push_frame(opcode, false, data.data(), data.size());
}
inline bool push_control(Outbox& outbox, Opcode opcode, std::string_view data) {
  return outbox.push_control(opcode, data.data(), data.size());
}
inline BufferRef shared(std::string_view data, Opcode opcode = Opcode::kBinary) {
  return BufferRef(Buffer::create_message(opcode, data.data(), data.size()));
}

}  // namespace wsb::core::testing
