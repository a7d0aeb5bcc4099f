// Events as calls on the worker's thread.
#pragma once

#include "server/context.h"

namespace wsb::server {

class CallbackDelivery final : public Delivery {
 public:
  explicit CallbackDelivery(const wsb_callbacks& callbacks) noexcept : callbacks_(callbacks) {}

  void opened(Session& session) override;
  void message(Session& session, bool text, const uint8_t* data, size_t n) override;
  void fragment(Session& session, const core::EventData& piece) override;
  void pong(Session& session, const uint8_t* data, size_t n, bool heartbeat, uint32_t rtt_us) override;
  void drained(Session& session) override;
  void resumed(Session& session, const Replay& replay) override;
  void closed(Session& session, const core::CloseInfo& info) noexcept override;
  void refused(uint32_t status, uint32_t refusal, const std::string& peer) override;
  void log(uint32_t level, uint64_t conn, const std::string& text) override;
  void hand_over_held(uint32_t /*worker*/) noexcept override {}
  void stopped() noexcept override {}

 private:
  const wsb_callbacks callbacks_;
};

}  // namespace wsb::server
