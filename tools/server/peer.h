// What this program keeps for one connection: its user pointer, made in on_open and freed in on_close.
#pragma once

#include <wsbeat/wsbeat.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "late_answers.h"

namespace tool {

// What a connection is here for.
enum class Role : uint8_t {
  kApplication,  // its messages are echoed, broadcast or swallowed
  kWatcher,      // the dashboard's own: not listed, not counted, not told of in events
  kOperator      // a watcher that may close connections
};

// Of a connection that speaks wsbeat.topics.v1.
struct TopicState {
  explicit TopicState(wsb_server *server, wsb_conn conn) : answers(std::make_shared<LateAnswers>(server, conn)) {}

  const std::shared_ptr<LateAnswers> answers;
  std::unordered_map<std::string, std::string> resuming;  // subscription -> id that is acknowledged when it has resumed
};

// Owned by the connection's worker thread, except where PauseTimers is named.
struct Peer {
  Peer(wsb_conn id, Role its_role, bool is_authenticated, std::unique_ptr<TopicState> topic_state)
      : conn(id), role(its_role), authenticated(is_authenticated), topics(std::move(topic_state)) {}
  ~Peer() {
    wsb_message_release(held);
    wsb_message_release(flood);
  }
  Peer(const Peer &) = delete;
  Peer &operator=(const Peer &) = delete;

  const wsb_conn conn;
  const Role role;
  bool authenticated;
  const std::unique_ptr<TopicState> topics;  // NULL: it does not speak wsbeat.topics.v1
  bool timed = false;  // was ever paused by /pause; from then on PauseTimers' lock guards the next three
  bool paused_by_backpressure = false;
  bool paused_by_timer = false;
  std::chrono::steady_clock::time_point resume_at;
  wsb_message *held = nullptr;   // refused by a full queue; reading is paused until it is queued
  wsb_message *flood = nullptr;  // sent flood_left times more
  uint64_t flood_left = 0;
  uint64_t pings = 0;  // of /ping, for unique payloads
};

}  // namespace tool
