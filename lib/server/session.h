// One accepted socket with its connection, as its worker keeps it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/connection.h"
#include "core/topic_trie.h"
#include "core/transport.h"
#include "core/wheel.h"
#include "server/config.h"
#include "server/durable.h"

namespace wsb::server {

class Worker;
struct Session;
struct EventNode;

// What is needed until the request has been answered.
struct Head {
  std::string buffer;  // a head that came in pieces
  core::PeerAddress peer;
  bool awaits_proxy_header = false;
};

struct SessionTimer : core::WheelNode {
  Session* session = nullptr;
};

// Queue delivery's account of one connection: what waits for the application.
struct QueueAccount {
  // Low enough to go on reading, or high enough to stop.
  bool is_low(const ServerConfig& config) const noexcept {
    return events.load() <= config.max_event_queue_messages / 2 && bytes.load() <= config.max_event_queue_bytes / 2;
  }
  bool is_full(const ServerConfig& config) const noexcept {
    return events.load() >= config.max_event_queue_messages || bytes.load() >= config.max_event_queue_bytes;
  }

  std::atomic<uint64_t> bytes{0};
  std::atomic<uint32_t> events{0};
  std::atomic<bool> blocked{false};  // reading has stopped until the application catches up
  EventNode* close_event = nullptr;  // made when the connection opens, so that its end can always be told
};

// Belongs to its worker's thread; what other threads may touch, they touch under the worker's gate.
struct Session final : core::ConnectionEvents {
  Session(Worker& its_worker, core::Transport& its_transport, core::PeerAddress peer, bool over_tls, core::TimeUs now);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Fixed when the connection opens. `which` is WSB_STRING_*.
  void set_texts(std::string_view path, std::string_view query, std::string_view subprotocol, std::string_view peer);
  std::string_view text(uint32_t which) const noexcept;
  // WSB_STATE_*, as the application may know it.
  uint32_t public_state() const noexcept;
  bool is_open() const noexcept { return public_state() == WSB_STATE_OPEN; }

  void on_message(core::Connection& connection, bool text, const uint8_t* data, size_t n) override;
  void on_fragment(core::Connection& connection, const core::EventData& piece) override;
  void on_pong(core::Connection& connection, const uint8_t* data, size_t n, bool heartbeat, uint32_t rtt_us) override;
  void on_drain(core::Connection& connection) override;
  void on_closed(core::Connection& connection, const core::CloseInfo& info) override;
  void on_dropped(core::Connection& connection, size_t messages) override;
  core::Unread unread(core::Connection& connection) override;

  Worker& worker;
  core::Transport* transport;
  core::Connection conn;
  SessionTimer timer;
  core::TimeUs timer_at = core::kNever;
  uint64_t id = 0;  // once open
  std::atomic<void*> user{nullptr};
  std::unique_ptr<Head> head;
  std::unique_ptr<char[]> texts;                    // the four of them, each NUL-terminated
  std::array<uint32_t, 5> text_at{};                // where each begins, and the end
  std::unique_ptr<core::TopicMember> topics;        // under the gate
  std::unique_ptr<ReplaysByPattern> replays;        // under the gate
  uint32_t presence = 0;                            // under the gate: joins and watches
  std::unique_ptr<core::CloseInfo> late_close;      // reported inside a callback; told when that has returned
  std::atomic<uint64_t> inflight_bytes{0};          // sent by other threads, not yet in the outbox
  std::atomic<uint64_t> inflight_control_bytes{0};  // pings of other threads, likewise
  uint64_t mailbox_seen = 0;                        // under the gate: the mailbox in which first_inflight counts
  size_t first_inflight = 0;                        // no message of this connection lies before it
  uint64_t drain_asked_in = 0;                      // under the gate: the mailbox in which on_drain was asked for
  uint64_t full_in_own_call = 0;                    // the send_many of its worker that found its queue full
  uint64_t full_in_other_call = 0;                  // under the gate: likewise, of other threads
  QueueAccount queue;
  size_t counted_queue_bytes = 0;  // in the worker's sum
  uint32_t index = 0;              // in the worker's list
  uint32_t dirty_index = 0;
  uint16_t peer_port;
  bool tls;
  bool dirty = false;
  bool write_blocked = false;  // the socket is full: on_writable follows
  bool queue_limit_lifted = false;
  bool counted_in_limits = false;
  std::atomic<bool> remote_closing{false};  // another thread has ordered a close or abort
  bool remote_aborting = false;             // under the gate
};

}  // namespace wsb::server
