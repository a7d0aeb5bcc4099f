// One event struct on the stack for each call.
#include "server/callback_delivery.h"

#include "server/event_structs.h"
#include "server/worker.h"

namespace wsb::server {

namespace {

template <typename Event>
void call(void (*callback)(const Event*, void*), const Event& event, void* user) {
  const Worker::CallbackScope scope;
  callback(&event, user);
}

}  // namespace

void CallbackDelivery::opened(Session& session) {
  if (callbacks_.on_open != nullptr) call(callbacks_.on_open, open_event(session), callbacks_.user);
}

void CallbackDelivery::message(Session& session, bool text, const uint8_t* data, size_t n) {
  if (callbacks_.on_message != nullptr)
    call(callbacks_.on_message, message_event(session, text, data, n), callbacks_.user);
}

void CallbackDelivery::fragment(Session& session, const core::EventData& piece) {
  if (callbacks_.on_fragment == nullptr) return;
  const wsb_fragment_event event{sizeof event,        session.id,          session.user.load(std::memory_order_relaxed),
                                 piece.data,          piece.length,        piece.offset,
                                 kind_of(piece.text), piece.last ? 1U : 0U};
  call(callbacks_.on_fragment, event, callbacks_.user);
}

void CallbackDelivery::pong(Session& session, const uint8_t* data, size_t n, bool heartbeat, uint32_t rtt_us) {
  if (callbacks_.on_pong != nullptr)
    call(callbacks_.on_pong, pong_event(session, data, n, heartbeat, rtt_us), callbacks_.user);
}

void CallbackDelivery::drained(Session& session) {
  if (callbacks_.on_drain != nullptr) call(callbacks_.on_drain, drain_event(session), callbacks_.user);
}

void CallbackDelivery::resumed(Session& session, const Replay& replay) {
  if (callbacks_.on_resumed != nullptr) call(callbacks_.on_resumed, resumed_event(session, replay), callbacks_.user);
}

void CallbackDelivery::closed(Session& session, const core::CloseInfo& info) noexcept {
  if (callbacks_.on_close != nullptr) call(callbacks_.on_close, close_event(session, info), callbacks_.user);
}

void CallbackDelivery::refused(uint32_t status, uint32_t refusal, const std::string& peer) {
  if (callbacks_.on_refused == nullptr) return;
  call(callbacks_.on_refused, wsb_refused_event{sizeof(wsb_refused_event), status, refusal, peer.c_str()},
       callbacks_.user);
}

void CallbackDelivery::log(uint32_t level, uint64_t conn, const std::string& text) {
  if (callbacks_.on_log == nullptr) return;
  call(callbacks_.on_log, wsb_log_event{sizeof(wsb_log_event), level, 0, conn, text.c_str()}, callbacks_.user);
}

}  // namespace wsb::server
