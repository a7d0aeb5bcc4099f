// Messages of durable topics on their way through a server, and replays for single subscriptions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/frame.h"
#include "wsbeat/wsbeat.h"

namespace wsb::server {

struct Session;

// To the backplane's store or from it.
struct DurableMessage {
  std::string_view topic;
  const void* data = nullptr;
  size_t size = 0;
  core::Opcode opcode = core::Opcode::kBinary;
  bool retain = false;
  uint64_t sequence = 0;  // from the store
  uint64_t exclude = 0;   // a connection of this server; 0: none
};

// A publication to be stored.
struct StoreWish {
  DurableMessage message;
  std::string_view key;
  void (*on_stored)(const wsb_stored_event* event, void* context) = nullptr;
  void* context = nullptr;
};

// What wsb_subscribe_with asks for beyond the subscription.
struct ResumeWish {
  bool resume = false;  // a replay first; else only the present sequence
  uint64_t after = 0;
};

// A replay that the backplane is to begin, once no lock is held.
struct ReplayOrder {
  std::string pattern;
  uint64_t after = 0;
  uint64_t ticket = 0;      // 0: there is nothing to begin
  uint64_t instead_of = 0;  // a ticket that nobody wants any more; 0: none
};

// One that was begun and not yet told of. Under the worker's gate.
struct Replay {
  Session* session = nullptr;
  std::string pattern;
  bool tell = false;  // on_resumed is owed
  bool over = false;  // the backplane has ended it; on_resumed is on its way to the worker
  bool missed = false;
  uint64_t sent = 0;
  uint64_t sequence = 0;
};

// Tickets of one subscription; 0: none.
struct ReplayTickets {
  uint64_t under_way = 0;
  uint64_t told_next = 0;  // over: its on_resumed is on its way to the worker, whatever falls behind meanwhile
};
using ReplaysByPattern = std::map<std::string, ReplayTickets, std::less<>>;

// The subscription that a replay is for.
struct ReplayTarget {
  uint64_t conn = 0;
  std::string pattern;
};

}  // namespace wsb::server
