// How events reach the application: by callbacks on the worker, or through a queue. One contract, two ways.
#pragma once

#include <cstdint>
#include <string>

#include "core/connection.h"

namespace wsb::server {

struct Session;
struct Replay;

// Everything but log() is called on the session's worker thread. May throw std::bad_alloc before anything was delivered, but
// once opened() has returned closed() always succeeds.
class Delivery {
 public:
  virtual ~Delivery() = default;
  virtual void opened(Session& session) = 0;
  virtual void message(Session& session, bool text, const uint8_t* data, size_t n) = 0;
  virtual void fragment(Session& session, const core::EventData& piece) = 0;
  virtual void pong(Session& session, const uint8_t* data, size_t n, bool heartbeat, uint32_t rtt_us) = 0;
  virtual void drained(Session& session) = 0;
  virtual void resumed(Session& session, const Replay& replay) = 0;
  virtual void closed(Session& session, const core::CloseInfo& info) noexcept = 0;
  virtual void refused(uint32_t status, uint32_t refusal, const std::string& peer) = 0;
  virtual void log(uint32_t level, uint64_t conn, const std::string& text) = 0;  // any thread
  // Between reading and writing, and at the end of a loop turn: what was held back is handed over.
  virtual void hand_over_held(uint32_t worker) noexcept = 0;
  // All workers have ended; the last event.
  virtual void stopped() noexcept = 0;
};

}  // namespace wsb::server
