// From Python out. What the thread of the events sends is collected, and leaves together: one release of the interpreter's lock, one
// wake of the worker. Other threads' messages go at once.
#include "engine.h"
#include "errors.h"

namespace binding {

namespace {

constexpr size_t kMaxCollectedBytes = 64 * 1024;
constexpr size_t kMaxCollected = 512;

}  // namespace

// Only where a flush is sure to follow soon.
bool Engine::defers() const noexcept {
  return PyThread_get_thread_ident() == dispatcher_ && (dispatching_ || call_soon_);
}

int Engine::send(Connection* c, Payload&& payload) {
  if (c->gone || c->closing) return WSB_E_CLOSED;
  if (payload.length > max_queue_bytes_) return WSB_E_TOO_BIG;
  if (c->parts.refused && !c->parts.refused->empty()) {
    c->told_full = true;
    return WSB_E_FULL;
  }
  if (!defers() || payload.length >= kMaxCollectedBytes) {
    flush();
    if (c->parts.refused && !c->parts.refused->empty()) {
      c->told_full = true;
      return WSB_E_FULL;
    }
    return send_now(c, payload);
  }
  outgoing_bytes_ += payload.length;
  outgoing_.push_back({as_connection(Py_NewRef(as_object(c))), std::move(payload)});
  if (outgoing_.size() >= kMaxCollected || outgoing_bytes_ >= kMaxCollectedBytes) {
    flush();
  } else if (!dispatching_ && !flush_scheduled_) {
    schedule_flush();
  }
  return WSB_OK;
}

int Engine::send_now(Connection* c, const Payload& payload) noexcept {
  const int result = unlocked([&] { return wsb_send(server_, c->id, payload.kind, payload.data, payload.length); });
  if (result == WSB_E_FULL) c->told_full = true;
  if (result == WSB_E_CLOSED) c->gone = true;
  return result;
}

void Engine::schedule_flush() {
  const Ref handle(PyObject_CallOneArg(call_soon_.get(), flush_callback_.get()));
  if (!handle) {  // a closed loop: then at once
    PyErr_Clear();
    flush();
    return;
  }
  flush_scheduled_ = true;
}

// What any thread does next comes after what was sent before, even if another thread is just sending that.
void Engine::flush() {
  flush_scheduled_ = false;
  if (server_ == nullptr || in_forked_child() || (outgoing_.empty() && turn_ == next_turn_)) return;
  std::vector<Outgoing> messages;
  messages.swap(outgoing_);
  outgoing_bytes_ = 0;
  const uint64_t turn = next_turn_++;
  wait_for_turn(turn);
  send_collected(messages);
  end_turn();
  for (const Outgoing& message : messages) Py_DECREF(as_object(message.connection));  // may run code of Python, now
}

void Engine::wait_for_turn(uint64_t turn) noexcept {
  if (turn_ == turn || is_finalizing()) return;  // in the end, who has the turn may never come back
  unlocked([&] {
    std::unique_lock<std::mutex> lock(turn_mutex_);
    turn_changed_.wait(lock, [&] { return turn_ == turn; });
  });
}

void Engine::end_turn() noexcept {
  {
    const std::lock_guard<std::mutex> lock(turn_mutex_);
    ++turn_;
  }
  turn_changed_.notify_all();
}

void Engine::send_collected(std::vector<Outgoing>& messages) noexcept {
  if (messages.empty()) return;
  std::vector<wsb_outgoing> items;
  std::vector<Outgoing*> sent;
  items.reserve(messages.size());
  sent.reserve(messages.size());
  for (Outgoing& message : messages) {
    Connection* const c = message.connection;
    if (c->parts.refused && !c->parts.refused->empty()) {  // filled by an earlier turn
      keep_refused(c, std::move(message.payload));
      continue;
    }
    wsb_outgoing& item = items.emplace_back();
    wsb_outgoing_init(&item);
    item.conn = c->id;
    item.data = message.payload.data;
    item.length = message.payload.length;
    item.kind = message.payload.kind;
    sent.push_back(&message);
  }
  const int64_t done = unlocked([&] { return wsb_send_many(server_, items.data(), items.size()); });
  for (size_t i = 0; i < sent.size(); ++i) {
    Connection* const c = sent[i]->connection;
    const int result = done < 0 ? static_cast<int>(done) : items[i].result;
    if (result == WSB_E_FULL) keep_refused(c, std::move(sent[i]->payload));
    if (result == WSB_E_CLOSED) c->gone = true;
    if (result == WSB_E_NOMEM) fail(c);
  }
}

// A message that was promised cannot be kept: better no connection than one with a hole in it.
void Engine::fail(Connection* c) noexcept {
  c->closing = true;
  unlocked([&] { (void)wsb_close(server_, c->id, WSB_CLOSE_INTERNAL_ERROR, "", 0); });
}

// send() has promised them.
void Engine::keep_refused(Connection* c, Payload&& payload) {
  if (!c->parts.refused) c->parts.refused = std::make_unique<std::deque<Payload>>();
  c->parts.refused->push_back(std::move(payload));
}

// True: none is left.
bool Engine::retry_refused(Connection* c) {
  auto& refused = c->parts.refused;
  while (refused && !refused->empty()) {
    const Payload& payload = refused->front();
    const int result = unlocked([&] { return wsb_send(server_, c->id, payload.kind, payload.data, payload.length); });
    if (result == WSB_E_FULL) return false;
    if (!refused) break;  // closed meanwhile
    refused->pop_front();
    if (result == WSB_E_CLOSED) c->gone = true;
  }
  refused.reset();
  return true;
}

size_t Engine::broadcast(const std::vector<Ref>& connections, const Payload& payload) {
  std::unordered_map<Engine*, std::vector<wsb_outgoing>> by_engine;
  for (const Ref& object : connections) {
    Connection* const c = as_connection(object.get());
    if (c->engine == nullptr || c->gone || c->closing || c->engine->server_ == nullptr) continue;
    c->engine->check_usable();
    if (c->parts.refused && !c->parts.refused->empty()) continue;  // its queue is full
    wsb_outgoing item;
    wsb_outgoing_init(&item);
    item.conn = c->id;
    by_engine[c->engine].push_back(item);
  }
  wsb_message* const message = unlocked([&] { return wsb_message_create(payload.kind, payload.data, payload.length); });
  if (message == nullptr) raise(WSB_E_NOMEM, nullptr);
  size_t queued = 0;
  for (auto& [engine, items] : by_engine) {
    engine->flush();
    for (wsb_outgoing& item : items) item.message = message;
    const int64_t done =
        unlocked([&, server = engine->server_] { return wsb_send_many(server, items.data(), items.size()); });
    if (done > 0) queued += static_cast<size_t>(done);
  }
  wsb_message_release(message);
  return queued;
}

}  // namespace binding
