// Sending with backpressure.
#include "modes.h"

namespace tool {
namespace {

// A send failed for good: this connection cannot be served as promised, so it ends instead of losing a message silently.
void give_up(App &app, Peer &peer, int error) {
  if (error == WSB_E_CLOSED) return;
  static const char too_big[] = "answer larger than the send queue";
  static const char failed[] = "answer could not be queued";
  if (error == WSB_E_TOO_BIG) {
    wsb_close(app.server, peer.conn, WSB_CLOSE_MESSAGE_TOO_BIG, too_big, sizeof too_big - 1);
  } else {
    wsb_close(app.server, peer.conn, WSB_CLOSE_INTERNAL_ERROR, failed, sizeof failed - 1);
  }
}

void hold(App &app, Peer &peer, uint32_t kind, const void *data, size_t length) {
  peer.held = wsb_message_create(kind, data, length);
  if (peer.held == nullptr) {
    give_up(app, peer, WSB_E_NOMEM);
  } else {
    app.timers.pause_for_backpressure(app.server, peer);
  }
}

void end_flood(Peer &peer) {
  wsb_message_release(peer.flood);
  peer.flood = nullptr;
  peer.flood_left = 0;
}

void continue_flood(App &app, Peer &peer) {
  while (peer.flood_left > 0) {
    const int result = wsb_send_message(app.server, peer.conn, peer.flood);
    if (result == WSB_E_FULL) return;
    if (result != WSB_OK) {
      give_up(app, peer, result);
      break;
    }
    --peer.flood_left;
  }
  end_flood(peer);
}

}  // namespace

void send_or_hold(App &app, Peer &peer, uint32_t kind, const void *data, size_t length) {
  const int result = wsb_send(app.server, peer.conn, kind, data, length);
  if (result == WSB_OK) return;
  if (result == WSB_E_FULL) {
    hold(app, peer, kind, data, length);
  } else {
    give_up(app, peer, result);
  }
}

void reply(App &app, Peer &peer, std::string_view text) {
  send_or_hold(app, peer, WSB_TEXT, text.data(), text.size());
}

void broadcast(App &app, const wsb_message_event &event) {
  const Registry::Snapshot receivers = app.registry.snapshot();
  wsb_message *message = wsb_message_create(event.kind, event.data, event.length);
  if (message == nullptr) return;
  for (const wsb_conn conn : *receivers) wsb_send_message(app.server, conn, message);
  wsb_message_release(message);
}

bool start_flood(App &app, Peer &peer, wsb_message *message, uint64_t count) {
  if (peer.flood != nullptr) {
    wsb_message_release(message);
    return false;
  }
  peer.flood = message;
  peer.flood_left = count;
  continue_flood(app, peer);
  return true;
}

void drain(App &app, Peer &peer) {
  if (peer.held != nullptr) {
    const int result = wsb_send_message(app.server, peer.conn, peer.held);
    if (result == WSB_E_FULL) return;
    wsb_message_release(peer.held);
    peer.held = nullptr;
    if (result != WSB_OK) {
      give_up(app, peer, result);
      return;
    }
  }
  if (peer.topics != nullptr && !peer.topics->answers->drain()) return;
  if (peer.flood != nullptr) continue_flood(app, peer);
  if (peer.paused_by_backpressure) app.timers.end_backpressure(app.server, peer);
}

}  // namespace tool
