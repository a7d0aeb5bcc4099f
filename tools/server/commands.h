// Orders in text messages (--commands), and /auth.
#pragma once

#include <wsbeat/wsbeat.h>

#include "app.h"
#include "peer.h"

namespace tool {

// Carries out the text message if it is an order, or judges it if the peer is not authenticated yet. False: it is an ordinary message.
// May end the connection.
bool take_order(App &app, Peer &peer, const wsb_message_event &event);

}  // namespace tool
