// What happens to a message: echo, broadcast or sink; and how a full send queue pushes back on the reader.
#pragma once

#include <wsbeat/wsbeat.h>

#include <string_view>

#include "app.h"
#include "peer.h"

namespace tool {

// Sends, or keeps the message and stops reading until the queue has drained: nothing is lost or reordered, and since a paused
// connection delivers nothing, one kept message is all there can be.
void send_or_hold(App &app, Peer &peer, uint32_t kind, const void *data, size_t length);

// An answer to a command.
void reply(App &app, Peer &peer, std::string_view text);

// To every authenticated connection, the sender included. Who is slow is treated by --slow-consumer; "refuse" skips it.
void broadcast(App &app, const wsb_message_event &event);

// Sends COUNT times the same message, as fast as the queue drains. False if a flood is still going on. Takes the reference.
bool start_flood(App &app, Peer &peer, wsb_message *message, uint64_t count);

// on_drain: first what was held, then the flood, then reading goes on.
void drain(App &app, Peer &peer);

}  // namespace tool
