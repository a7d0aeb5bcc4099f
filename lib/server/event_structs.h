// The public event structs, filled from a session; both deliveries use them.
#pragma once

#include "server/session.h"
#include "wsbeat/wsbeat.h"

namespace wsb::server {

inline uint32_t kind_of(bool text) noexcept {
  return text ? WSB_TEXT : WSB_BINARY;
}
inline void* user_of(const Session& session) noexcept {
  return session.user.load(std::memory_order_relaxed);
}

inline wsb_open_event open_event(const Session& session) noexcept {
  return {sizeof(wsb_open_event),
          session.id,
          user_of(session),
          session.text(WSB_STRING_PATH).data(),
          session.text(WSB_STRING_QUERY).data(),
          session.text(WSB_STRING_SUBPROTOCOL).data(),
          session.text(WSB_STRING_PEER).data(),
          session.peer_port,
          0};
}

inline wsb_message_event message_event(const Session& session, bool text, const uint8_t* data, size_t n) noexcept {
  return {sizeof(wsb_message_event), session.id, user_of(session), data, n, kind_of(text), 0};
}

inline wsb_pong_event pong_event(const Session& session, const uint8_t* data, size_t n, bool heartbeat,
                                 uint32_t rtt_us) noexcept {
  return {sizeof(wsb_pong_event), session.id, user_of(session), data, n, heartbeat ? 1U : 0U, rtt_us};
}

inline wsb_drain_event drain_event(const Session& session) noexcept {
  return {sizeof(wsb_drain_event), session.id, user_of(session), session.conn.queued_bytes()};
}

inline wsb_resumed_event resumed_event(const Session& session, const Replay& replay) noexcept {
  return {sizeof(wsb_resumed_event),
          session.id,
          user_of(session),
          replay.pattern.c_str(),
          replay.pattern.size(),
          replay.sequence,
          replay.sent,
          replay.missed ? 1U : 0U,
          0};
}

inline wsb_close_event close_event(const Session& session, const core::CloseInfo& info) noexcept {
  return {sizeof(wsb_close_event),
          session.id,
          user_of(session),
          info.code,
          info.code_sent,
          info.reason.c_str(),
          info.reason.size(),
          info.clean ? 1U : 0U,
          info.initiator,
          info.cause,
          0};
}

}  // namespace wsb::server
