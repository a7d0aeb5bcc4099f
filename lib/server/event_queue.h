// Events as nodes in a queue, for programs with their own event loop: one wake for many, payloads owned by the application.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "server/context.h"
#include "server/session.h"

namespace wsb::server {

// One event and, behind it, the bytes that it points to.
struct EventNode {
  EventNode* next;
  wsb_event event;
  uint64_t accounted_bytes;  // of the connection's account
  bool accounted;
  bool counted;  // a CLOSE: its connection counts as open until this is taken
  union {
    wsb_open_event open;
    wsb_message_event message;
    wsb_pong_event pong;
    wsb_drain_event drain;
    wsb_close_event close;
    wsb_refused_event refused;
    wsb_log_event log;
    wsb_resumed_event resumed;
  } as;

  char* bytes() noexcept { return reinterpret_cast<char*>(this + 1); }
  static EventNode* create(uint32_t type, uint64_t conn, size_t extra_bytes);  // throws std::bad_alloc
  static void destroy(EventNode* node) noexcept;
};

class EventList {
 public:
  EventList() noexcept = default;
  EventList(const EventList&) = delete;
  EventList& operator=(const EventList&) = delete;
  ~EventList();
  void push(EventNode* node) noexcept;
  void take_all(EventList& from) noexcept;
  EventNode* pop() noexcept;
  size_t size() const noexcept { return size_; }

 private:
  EventNode* first_ = nullptr;
  EventNode* last_ = nullptr;
  size_t size_ = 0;
};

class EventQueue final : public Delivery {
 public:
  // Throws ApiError.
  explicit EventQueue(Context& context);
  ~EventQueue() override;
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  int descriptor() const noexcept { return event_fd_; }
  // At most `most` events (0: all); throws std::bad_alloc and then nothing is lost.
  std::vector<EventNode*> take(size_t most);

  void opened(Session& session) override;
  void message(Session& session, bool text, const uint8_t* data, size_t n) override;
  void fragment(Session& session, const core::EventData& piece) override;
  void pong(Session& session, const uint8_t* data, size_t n, bool heartbeat, uint32_t rtt_us) override;
  void drained(Session& session) override;
  void resumed(Session& session, const Replay& replay) override;
  void closed(Session& session, const core::CloseInfo& info) noexcept override;
  void refused(uint32_t status, uint32_t refusal, const std::string& peer) override;
  void log(uint32_t level, uint64_t conn, const std::string& text) override;
  void hand_over_held(uint32_t worker) noexcept override;
  void stopped() noexcept override;

 private:
  void hold(EventNode* node) noexcept;
  void account(Session& session, EventNode& node, size_t bytes) noexcept;
  EventNode* create_notice(uint32_t type, size_t extra_bytes);
  void on_taken(EventNode& node) noexcept;
  void hand_over(EventList& events) noexcept;

  Context& context_;
  const ServerConfig& config_;
  int event_fd_;
  EventNode* stopped_event_;        // made beforehand: the end can always be told
  std::vector<EventList> held_;     // per worker, until its turn ends
  std::atomic<size_t> notices_{0};  // REFUSED and LOG events that wait
  std::mutex mutex_;
  EventList waiting_;
};

}  // namespace wsb::server
