// A worker's life, its turns, and the end of its sessions.
#include "server/worker.h"

#include <algorithm>

namespace wsb::server {

namespace {

constexpr size_t kMaxRoundsPerTurn = 4;  // then other descriptors get their turn
constexpr size_t kMaxWritesPerFlush = 16;
constexpr size_t kWriteAtOnceBytes = 8 * 1024;  // a longer answer leaves while it lies in the processor's cache
constexpr size_t kMaxSpans = 64;
constexpr size_t kFewSessions = 256;
constexpr core::TimeUs kMuchLater = 1'000'000;

// No destructor, so that the library can be unloaded.
thread_local Worker* current_worker = nullptr;

// So that nothing has to grow where growing could not be refused.
void make_room(std::vector<Session*>& list, size_t size) {
  if (list.capacity() < size) list.reserve(std::max(size, list.capacity() * 2));
}

}  // namespace

Worker* Worker::current() noexcept {
  return current_worker;
}

core::BufferRef Worker::share_delivered(core::Opcode opcode, const void* data, size_t n) noexcept {
  if (current_worker == nullptr || current_worker->delivering_ == nullptr) return {};
  return current_worker->delivering_->conn.share_message(opcode, data, n);
}

Worker::Worker(Context& context, uint32_t index)
    : context_(context),
      index_(index),
      registry_(index),
      wheel_(net::Loop::clock()),
      phase_(static_cast<uint16_t>(index * 7919)) {
  heed_heartbeat(context.config.connection.heartbeat);
}

Worker::~Worker() = default;

void Worker::open(net::Listeners& listeners, const net::LoopConfig& config) {
  loop_ = std::make_unique<net::Loop>(*this, config);
  try {
    loop_->listen(listeners.take(index_));  // only now: whoever has taken it must close it
  } catch (...) {
    loop_.reset();
    throw;
  }
  const std::lock_guard<std::mutex> lock(gate_);
  open_ = true;
}

void Worker::run() {
  Worker* const outer = current_worker;  // a server may run inside another's callback
  current_worker = this;
  core::BufferCache* const outer_cache = core::BufferCache::make_current(&cache_);
  loop_->run();
  context_.delivery->hand_over_held(index_);
  close();
  core::BufferCache::make_current(outer_cache);
  current_worker = outer;
}

void Worker::close() noexcept {
  {
    const std::lock_guard<std::mutex> lock(gate_);
    open_ = false;
    awake_ = false;
    mailbox_.clear();
    new_stop_.reset();
    new_credentials_.reset();
  }
  credentials_taken_.notify_all();
  loop_.reset();
}

bool Worker::use_credentials(std::shared_ptr<const net::Credentials> credentials) {
  const std::lock_guard<std::mutex> lock(gate_);
  if (!open_) return false;
  new_credentials_ = std::move(credentials);
  wake_once();
  return true;
}

void Worker::wait_for_credentials() {
  std::unique_lock<std::mutex> lock(gate_);
  credentials_taken_.wait(lock, [&] { return new_credentials_ == nullptr; });
}

void Worker::give_up(Session& session, const char* why) noexcept {
  context_.log(WSB_LOG_ERROR, session.id, why);
  try {
    session.conn.abort(WSB_CAUSE_NETWORK_ERROR, session);
  } catch (const std::exception&) {  // it has the state already; settle() does the rest
  }
}

// A tick that comes late by more than a quarter of any timeout in use counts as a stall.
void Worker::heed_heartbeat(const core::HeartbeatSettings& heartbeat) noexcept {
  if (heartbeat.interval_ms != 0)
    stall_threshold_us_ = std::min(stall_threshold_us_, core::from_ms(heartbeat.timeout_ms) / 4);
}

// Beats lie evenly spread over the interval, but in a number of moments only: one wake sends all of a moment's, and most of their answers come together
// too, which halves what many idle connections cost. The more connections the more moments, so that nobody waits long behind the others' pings.
uint16_t Worker::next_phase(uint32_t interval_ms, core::TimeUs now) noexcept {
  constexpr uint16_t kStep = 40503;  // 65536 over the golden ratio: any number of successive phases lies evenly spread
  constexpr core::TimeUs kFewMoments = 32;
  constexpr core::TimeUs kManyMoments = 256;
  constexpr size_t kBeatsOfMoment = 128;
  phase_ = static_cast<uint16_t>(phase_ + kStep);
  const core::TimeUs interval = core::from_ms(interval_ms);
  core::TimeUs moments = kFewMoments;
  while (moments < kManyMoments && moments * kBeatsOfMoment < sessions_.size()) moments *= 2;
  const core::TimeUs apart = interval / moments;
  if (apart <= core::Wheel::kTickUs) return phase_;
  core::TimeUs wait = interval * phase_ / 65536;
  wait += apart - (now + wait) % interval % apart;
  if (wait > interval) wait -= apart;
  return static_cast<uint16_t>(wait * 65536 / interval - 1);  // the first beat comes at (phase + 1) / 65536
}

// ----------------------------------------------------------------------------------------------------- what the loop reports

bool Worker::wants_proxy_header(const core::PeerAddress& peer) const noexcept {
  const ServerConfig& config = context_.config;
  return config.proxy_protocol != WSB_PROXY_PROTOCOL_OFF && config.trusted_proxies.contains(peer.text);
}

bool Worker::on_accepted(core::Transport& transport, core::PeerAddress peer, bool tls) {
  // Beyond the limit a few more may ask, and are answered with 503.
  constexpr uint64_t kAskersBeyondLimit = 1024;
  metrics_.accepted.add(1);
  if (sessions_.size() >= context_.config.max_connections + kAskersBeyondLimit) return false;
  const ServerConfig& config = context_.config;
  const bool comes_by_proxy = wants_proxy_header(peer);
  if (config.proxy_protocol == WSB_PROXY_PROTOCOL_REQUIRED && !comes_by_proxy) {
    tell_refused(0, WSB_REFUSAL_PROXY_HEADER, peer.text);
    return false;
  }
  make_room(sessions_, sessions_.size() + 1);
  // Beside the living, the list of this turn holds gaps of those that have ended in it.
  for (std::vector<Session*>* list : {&dirty_, &settling_}) make_room(*list, dirty_.size() + sessions_.size() + 1);
  auto session = std::make_unique<Session>(*this, transport, std::move(peer), tls, loop_->now());
  session->head->awaits_proxy_header = comes_by_proxy;
  session->index = static_cast<uint32_t>(sessions_.size());
  transport.owner = session.get();
  sessions_.push_back(session.get());
  schedule(*session.release());
  return true;
}

void Worker::on_bytes(core::Transport& transport, uint8_t* bytes, size_t n) {
  auto& session = *static_cast<Session*>(transport.owner);
  mark_dirty(session);
  guarded(session, [&] {
    if (session.conn.state() == core::Connection::State::kHandshake) {
      take_head(session, bytes, n);
    } else {
      if (session.id != 0) metrics_.bytes_in.add(n);
      session.conn.receive(bytes, n, loop_->now(), session);
    }
  });
  if (session.conn.queued_bytes() >= kWriteAtOnceBytes && !session.write_blocked) (void)flush(session);
}

core::Place Worker::place_for_bytes(core::Transport& transport, size_t least) {
  return static_cast<Session*>(transport.owner)->conn.place_for_bytes(least);
}

void Worker::on_writable(core::Transport& transport) {
  auto& session = *static_cast<Session*>(transport.owner);
  session.write_blocked = false;
  mark_dirty(session);
}

void Worker::on_ended(core::Transport& transport) {
  auto& session = *static_cast<Session*>(transport.owner);
  session.transport = nullptr;
  guarded(session, [&] { session.conn.transport_ended(session); });
  tell_late_close(session);
  destroy(session);
}

void Worker::on_log(uint32_t level, const std::string& text) {
  context_.log(level, 0, text);
}

void Worker::on_alarm(core::TimeUs now, core::TimeUs late_us) {
  metrics_.note_lag(now, late_us);
  // This process stood still: nobody could answer meanwhile.
  if (late_us > stall_threshold_us_) stalled_us_ += late_us;
  alarm_changed_ = true;
  wheel_.advance(now, [&](core::WheelNode& node) {
    if (&node == &stop_timer_) {
      on_stop_time(now);
    } else {
      on_session_time(*static_cast<SessionTimer&>(node).session, now);
    }
  });
}

void Worker::on_session_time(Session& session, core::TimeUs now) {
  session.timer_at = core::kNever;
  mark_dirty(session);
  guarded(session, [&] {
    if (session.conn.state() == core::Connection::State::kHandshake) {
      if (now >= session.conn.next_due()) head_timed_out(session);
    } else {
      session.conn.on_time(now, stalled_us_, session);
    }
  });
}

// ------------------------------------------------------------------------------------------------------------------- turns

void Worker::mark_dirty(Session& session) {
  if (session.dirty) return;
  session.dirty = true;
  session.dirty_index = static_cast<uint32_t>(dirty_.size());
  dirty_.push_back(&session);  // never grows beyond what on_accepted reserved
}

void Worker::on_turn() {
  if (!dirty_.empty()) {
    metrics_.loop_turns.add(1);
    context_.delivery->hand_over_held(index_);  // what was read reaches the application before the answers leave
    for (size_t round = 0; round < kMaxRoundsPerTurn && !dirty_.empty(); ++round) {
      settling_.swap(dirty_);
      for (size_t i = 0; i < settling_.size(); ++i) {
        Session* session = settling_[i];
        if (session == nullptr) continue;
        settling_[i] = nullptr;
        session->dirty = false;
        settle(*session);
      }
      settling_.clear();
    }
    if (!dirty_.empty()) loop_->wake();
  }
  context_.delivery->hand_over_held(index_);
  if (stopping_) check_stopped();
  if (alarm_changed_) {
    alarm_changed_ = false;
    loop_->set_alarm(wheel_.next_due());
  }
}

// Brings transport, timer and sums in step with what the connection has become.
void Worker::settle(Session& session) {
  tell_late_close(session);
  if (session.conn.has_pending_input()) {
    guarded(session, [&] {
      if (session.conn.reading(loop_->now())) session.conn.receive(nullptr, 0, loop_->now(), session);
    });
    tell_late_close(session);
  }
  let_last_bytes_pass(session);
  if (!session.write_blocked && !flush(session)) {
    session.transport->end(core::Ending::kBroken);
    return;
  }
  tell_late_close(session);
  if (session.conn.take_shutdown()) session.transport->shutdown_write();
  if (session.conn.dead()) {
    end(session);
    return;
  }
  const bool reading = session.conn.reading(loop_->now());
  session.transport->set_reading(reading);
  if (reading && session.conn.has_pending_input())
    mark_dirty(session);  // what was kept back behind pongs that have left now
  schedule(session);
  count_queue(session);
}

// What ends a connection, our Close above all, need not wait until a peer that does not read makes room: the end is told when it has left.
void Worker::let_last_bytes_pass(Session& session) {
  const core::Connection::State state = session.conn.state();
  const bool last = state == core::Connection::State::kReplying || state == core::Connection::State::kEnding;
  if (!last || !session.write_blocked || session.queue_limit_lifted) return;
  session.queue_limit_lifted = true;
  session.write_blocked = false;
  session.transport->lift_queue_limit();
}

void Worker::count_queue(Session& session) noexcept {
  const size_t queued =
      session.conn.reported() ? 0 : session.conn.queued_bytes();  // what is left of an end is nobody's queue
  metrics_.queue_bytes.add(queued - session.counted_queue_bytes);
  session.counted_queue_bytes = queued;
}

// Writes what is queued. False: the transport is broken, which the next try will find again.
bool Worker::flush(Session& session) {
  core::Span spans[kMaxSpans];
  for (size_t i = 0; i < kMaxWritesPerFlush; ++i) {
    const size_t count = session.conn.outbox().gather(spans, kMaxSpans);
    if (count == 0) return true;
    size_t offered = 0;
    for (size_t k = 0; k < count; ++k) offered += spans[k].size;
    // Before the write: the peer's pong may be there before it returns. A ping's time is read anew: callbacks of this turn may have taken long.
    const bool timed = session.conn.outbox().control_bytes() != 0;
    const core::TimeUs left = timed ? net::Loop::clock() : loop_->now();
    const int64_t taken = session.transport->write(spans, count);
    metrics_.writes.add(1);
    if (taken < 0) return false;
    const uint64_t pings_before = session.conn.heartbeat_figures().pings_sent.get();
    metrics_.bytes_out.add(static_cast<uint64_t>(taken));
    guarded(session, [&] { session.conn.wrote(static_cast<size_t>(taken), left, stalled_us_, session); });
    if (const uint64_t pings = session.conn.heartbeat_figures().pings_sent.get() - pings_before; pings != 0) {
      metrics_.pings_sent.add(pings);
      session.transport->ping_left();
    }
    if (static_cast<size_t>(taken) < offered) {
      session.write_blocked = true;
      session.transport->want_writable();
      return true;
    }
    if (count < kMaxSpans) return true;
  }
  mark_dirty(session);
  return true;
}

// The connection wants its transport ended.
void Worker::end(Session& session) {
  const bool reset = session.conn.wants_reset();
  if (!reset) {
    core::Span spans[kMaxSpans];
    const size_t count = session.conn.outbox().gather(spans, kMaxSpans);
    if (count != 0) (void)session.transport->write(spans, count);  // best effort: a Close that nobody may hear
  }
  session.transport->end(reset ? core::Ending::kReset : core::Ending::kGraceful);
}

void Worker::schedule(Session& session) {
  const core::TimeUs due = session.conn.next_due();
  // A later time is found out when the earlier one comes; but one that is much later, as after a pong, spares an idle connection a wake.
  if (due >= session.timer_at && due - session.timer_at < kMuchLater) return;
  session.timer_at = due;
  wheel_.schedule(session.timer, due);
  alarm_changed_ = true;
}

// -------------------------------------------------------------------------------------------------------------------- ends

void Worker::closed(Session& session, const core::CloseInfo& info) {
  if (in_callback()) {
    try {
      session.late_close = std::make_unique<core::CloseInfo>(info);
      mark_dirty(session);
      return;
    } catch (const std::bad_alloc&) {  // told at once, then: better inside another callback than never
    }
  }
  tell_closed(session, info);
}

void Worker::tell_late_close(Session& session) noexcept {
  if (!session.late_close) return;
  const std::unique_ptr<core::CloseInfo> info = std::move(session.late_close);
  tell_closed(session, *info);
}

void Worker::tell_closed(Session& session, const core::CloseInfo& info) noexcept {
  count_queue(session);
  metrics_.closed.add(1);
  metrics_.connections.sub(1);
  metrics_.closed_by_cause[info.cause].add(1);
  if (info.clean) metrics_.closed_clean.add(1);
  if (stopping_) ++(info.clean ? stop_counts_.clean : stop_counts_.aborted);
  context_.log(WSB_LOG_DEBUG, session.id, "closed: ", wsb_cause_name(info.cause));
  end_presence(session);
  context_.delivery->closed(session, info);
  std::vector<std::string> wanted_no_more;
  std::unique_ptr<ReplaysByPattern> forgotten;
  {
    const std::lock_guard<std::mutex> lock(gate_);
    registry_.remove(session.id);
    forgotten = end_replays(session);
    drop_subscriptions(session, wanted_no_more);
    try {
      count_close(close_counts_, info.cause, info.code);
    } catch (const std::bad_alloc&) {  // a count less
    }
  }
  if (forgotten) {
    for (const auto& [pattern, tickets] : *forgotten) {
      if (tickets.under_way != 0) context_.backplane.forget(tickets.under_way);
    }
  }
  for (const std::string& pattern : wanted_no_more) context_.backplane.want_no_more(pattern);
  leave_limits(session);
}

void Worker::leave_limits(Session& session) noexcept {
  if (!session.counted_in_limits) return;
  session.counted_in_limits = false;
  const std::lock_guard<std::mutex> lock(context_.limits_mutex);
  context_.limits.leave(session.text(WSB_STRING_PEER));
}

void Worker::destroy(Session& session) noexcept {
  wheel_.cancel(session.timer);
  if (session.dirty) {
    for (std::vector<Session*>* list : {&dirty_, &settling_}) {
      if (session.dirty_index < list->size() && (*list)[session.dirty_index] == &session)
        (*list)[session.dirty_index] = nullptr;
    }
  }
  count_queue(session);
  leave_limits(session);  // if its opening was undone
  sessions_[session.index] = sessions_.back();
  sessions_[session.index]->index = session.index;
  sessions_.pop_back();
  delete &session;
  give_back_memory();
}

// Kept buffers lie between the memory of connections that came with them and would hold it back when those have gone.
void Worker::give_back_memory() noexcept {
  most_sessions_ = std::max(most_sessions_, sessions_.size());
  if (most_sessions_ < kFewSessions || sessions_.size() > most_sessions_ / 4) return;
  most_sessions_ = sessions_.size();
  cache_.clear();
}

}  // namespace wsb::server
