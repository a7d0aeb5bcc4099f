// Making, holding and handing over event nodes.
#include "server/event_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "core/frame.h"
#include "net/errors.h"
#include "server/event_structs.h"
#include "server/worker.h"

namespace wsb::server {

namespace {
constexpr size_t kMostNotices = 4096;
constexpr size_t kReasonBytes = core::kMaxCloseReason + 1;  // of a CLOSE; the peer's address lies behind them
}  // namespace

EventNode* EventNode::create(uint32_t type, uint64_t conn, size_t extra_bytes) {
  void* memory = std::malloc(sizeof(EventNode) + extra_bytes);
  if (memory == nullptr) throw std::bad_alloc();
  auto* node = new (memory) EventNode{};
  node->event.size = sizeof node->event;
  node->event.type = type;
  node->event.conn = conn;
  return node;
}

void EventNode::destroy(EventNode* node) noexcept {
  std::free(node);
}

EventList::~EventList() {
  while (EventNode* node = pop()) EventNode::destroy(node);
}

void EventList::push(EventNode* node) noexcept {
  node->next = nullptr;
  (last_ != nullptr ? last_->next : first_) = node;
  last_ = node;
  ++size_;
}

void EventList::take_all(EventList& from) noexcept {
  if (from.first_ == nullptr) return;
  (last_ != nullptr ? last_->next : first_) = from.first_;
  last_ = from.last_;
  size_ += from.size_;
  from.first_ = from.last_ = nullptr;
  from.size_ = 0;
}

EventNode* EventList::pop() noexcept {
  EventNode* node = first_;
  if (node == nullptr) return nullptr;
  first_ = node->next;
  if (first_ == nullptr) last_ = nullptr;
  --size_;
  return node;
}

EventQueue::EventQueue(Context& context)
    : context_(context),
      config_(context.config),
      event_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      stopped_event_(nullptr),
      held_(context.config.workers) {
  if (event_fd_ < 0) throw ApiError(WSB_E_SYSTEM, net::with_errno("eventfd", errno));
  try {
    stopped_event_ = EventNode::create(WSB_EVENT_STOPPED, 0, 0);
  } catch (...) {
    ::close(event_fd_);
    throw;
  }
}

EventQueue::~EventQueue() {
  if (stopped_event_ != nullptr) EventNode::destroy(stopped_event_);
  ::close(event_fd_);
}

std::vector<EventNode*> EventQueue::take(size_t most) {
  std::vector<EventNode*> out;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t count = most == 0 ? waiting_.size() : std::min(most, waiting_.size());
    out.reserve(count);
    while (out.size() < count) out.push_back(waiting_.pop());
    if (count != 0 && waiting_.size() == 0) {
      uint64_t wakes = 0;
      (void)!::read(event_fd_, &wakes, sizeof wakes);
    }
  }
  for (EventNode* node : out) on_taken(*node);
  return out;
}

// An ended connection counts until the application may know it: so what waits stays bounded by max_connections, however many come and go meanwhile.
void EventQueue::on_taken(EventNode& node) noexcept {
  if (node.event.type == WSB_EVENT_REFUSED || node.event.type == WSB_EVENT_LOG) notices_.fetch_sub(1);
  if (!node.counted) return;
  const std::lock_guard<std::mutex> lock(context_.limits_mutex);
  context_.limits.leave(node.bytes() + kReasonBytes);
}

// No connection's queue bounds these, and nothing is lost without them: null beyond the bound.
EventNode* EventQueue::create_notice(uint32_t type, size_t extra_bytes) {
  if (notices_.load() >= kMostNotices) return nullptr;
  EventNode* node = EventNode::create(type, 0, extra_bytes);
  notices_.fetch_add(1);
  return node;
}

// The descriptor is readable exactly while events wait.
void EventQueue::hand_over(EventList& events) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool was_empty = waiting_.size() == 0;
  waiting_.take_all(events);
  if (!was_empty) return;
  const uint64_t one = 1;
  (void)!::write(event_fd_, &one, sizeof one);
}

void EventQueue::hand_over_held(uint32_t worker) noexcept {
  if (held_[worker].size() != 0) hand_over(held_[worker]);
}

void EventQueue::stopped() noexcept {
  EventList last;
  last.push(std::exchange(stopped_event_, nullptr));
  hand_over(last);
}

// Worker threads hold events until their turn ends; other threads (log only) hand them over at once.
void EventQueue::hold(EventNode* node) noexcept {
  if (Worker* worker = Worker::current(); worker != nullptr && worker->context().delivery.get() == this) {
    held_[worker->index()].push(node);
    return;
  }
  EventList one;
  one.push(node);
  hand_over(one);
}

// What waits for the application is bounded: beyond the limit the connection is not read until batches are released.
void EventQueue::account(Session& session, EventNode& node, size_t bytes) noexcept {
  node.accounted = true;
  node.accounted_bytes = bytes;
  QueueAccount& account = session.queue;
  account.events.fetch_add(1);
  account.bytes.fetch_add(bytes);
  if (account.blocked.load() || !account.is_full(config_)) return;
  account.blocked.store(true);
  // A release that came before the flag stood has asked for nothing.
  if (account.is_low(config_)) {
    account.blocked.store(false);
  } else {
    session.conn.set_queue_blocked(true);
  }
}

void EventQueue::opened(Session& session) {
  const size_t texts = session.text_at[4];
  EventNode* node = EventNode::create(WSB_EVENT_OPEN, session.id, texts);
  try {
    const std::string_view peer = session.text(WSB_STRING_PEER);
    EventNode* const close = EventNode::create(WSB_EVENT_CLOSE, session.id, kReasonBytes + peer.size() + 1);
    std::memcpy(close->bytes() + kReasonBytes, peer.data(), peer.size() + 1);  // with its NUL
    session.queue.close_event = close;
  } catch (...) {
    EventNode::destroy(node);
    throw;
  }
  node->as.open = open_event(session);
  std::memcpy(node->bytes(), session.texts.get(), texts);
  node->as.open.path = node->bytes() + session.text_at[0];
  node->as.open.query = node->bytes() + session.text_at[1];
  node->as.open.subprotocol = node->bytes() + session.text_at[2];
  node->as.open.peer = node->bytes() + session.text_at[3];
  node->event.open = &node->as.open;
  hold(node);
}

void EventQueue::message(Session& session, bool text, const uint8_t* data, size_t n) {
  EventNode* node = EventNode::create(WSB_EVENT_MESSAGE, session.id, n);
  if (n != 0) std::memcpy(node->bytes(), data, n);
  node->as.message = message_event(session, text, reinterpret_cast<const uint8_t*>(node->bytes()), n);
  node->event.message = &node->as.message;
  account(session, *node, n);
  hold(node);
}

void EventQueue::fragment(Session& /*session*/, const core::EventData& /*piece*/) {}  // refused by wsb_server_create

void EventQueue::pong(Session& session, const uint8_t* data, size_t n, bool heartbeat, uint32_t rtt_us) {
  EventNode* node = EventNode::create(WSB_EVENT_PONG, session.id, n);
  if (n != 0) std::memcpy(node->bytes(), data, n);
  node->as.pong = pong_event(session, reinterpret_cast<const uint8_t*>(node->bytes()), n, heartbeat, rtt_us);
  node->event.pong = &node->as.pong;
  account(session, *node, n);
  hold(node);
}

void EventQueue::drained(Session& session) {
  EventNode* node = EventNode::create(WSB_EVENT_DRAIN, session.id, 0);
  node->as.drain = drain_event(session);
  node->event.drain = &node->as.drain;
  hold(node);
}

void EventQueue::resumed(Session& session, const Replay& replay) {
  const size_t bytes = replay.pattern.size() + 1;
  EventNode* node = EventNode::create(WSB_EVENT_RESUMED, session.id, bytes);
  std::memcpy(node->bytes(), replay.pattern.c_str(), bytes);
  node->as.resumed = resumed_event(session, replay);
  node->as.resumed.topic = node->bytes();
  node->event.resumed = &node->as.resumed;
  hold(node);
}

void EventQueue::closed(Session& session, const core::CloseInfo& info) noexcept {
  EventNode* node = std::exchange(session.queue.close_event, nullptr);
  node->as.close = close_event(session, info);
  const size_t n = std::min(info.reason.size(), core::kMaxCloseReason);
  std::memcpy(node->bytes(), info.reason.data(), n);
  node->bytes()[n] = '\0';
  node->as.close.reason = node->bytes();
  node->as.close.reason_length = n;
  node->event.close = &node->as.close;
  node->counted = std::exchange(session.counted_in_limits, false);
  hold(node);
}

void EventQueue::refused(uint32_t status, uint32_t refusal, const std::string& peer) {
  EventNode* node = create_notice(WSB_EVENT_REFUSED, peer.size() + 1);
  if (node == nullptr) return;
  std::memcpy(node->bytes(), peer.c_str(), peer.size() + 1);
  node->as.refused = {sizeof(wsb_refused_event), status, refusal, node->bytes()};
  node->event.refused = &node->as.refused;
  hold(node);
}

void EventQueue::log(uint32_t level, uint64_t conn, const std::string& text) {
  EventNode* node = create_notice(WSB_EVENT_LOG, text.size() + 1);
  if (node == nullptr) return;
  std::memcpy(node->bytes(), text.c_str(), text.size() + 1);
  node->as.log = {sizeof(wsb_log_event), level, 0, conn, node->bytes()};
  node->event.log = &node->as.log;
  hold(node);
}

}  // namespace wsb::server
