// --topics: connections that speak wsbeat.topics.v1 subscribe and publish.
#pragma once

#include <wsbeat/wsbeat.h>

#include "app.h"
#include "peer.h"

namespace tool {

// Carries out one message of a peer that speaks the subprotocol.
void take_topic_message(App &app, Peer &peer, const wsb_message_event &event);

// on_resumed: the subscription is acknowledged.
void take_resumed(Peer &peer, const wsb_resumed_event &event);

// on_durable and on_presence.
wsb_message *message_of(const wsb_durable_event &event);
wsb_message *message_of(const wsb_presence_event &event);

// on_subscribe: 0 if --may-subscribe allows the topic or pattern.
int judge_subscription(const Options &options, const wsb_subscribe_event &event);

}  // namespace tool
