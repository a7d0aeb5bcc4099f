// Durable messages for this worker's connections. Everything here goes through the mailbox, on the worker's own thread too: so a replay, the
// end of it and what is new arrive in the order in which the backplane brought them.
#include <new>
#include <utility>

#include "server/worker.h"

namespace wsb::server {

// ------------------------------------------------------------------------------------------------------- tickets of replays

// With the gate held. If this is not asked for (`tell`), it is to be told what an earlier one that it replaces was to be told.
ReplayOrder Worker::begin_replay(Session& session, std::string_view pattern, uint64_t after, bool tell) {
  ReplayOrder order{std::string(pattern), after, ++replays_begun_ << core::Registry::kWorkerBits | index_, 0};
  if (!session.replays) session.replays = std::make_unique<ReplaysByPattern>();
  const auto [place, made] = session.replays->try_emplace(order.pattern);
  try {
    Replay& replay = replays_[order.ticket];
    replay.session = &session;
    replay.tell = tell;
    replay.pattern = order.pattern;
  } catch (...) {
    replays_.erase(order.ticket);
    if (made) session.replays->erase(place);
    throw;
  }
  ReplayTickets& tickets = place->second;
  order.instead_of = tickets.under_way;
  if (const Replay* before = find_replay(tickets.under_way); before != nullptr && !tell) {
    replays_[order.ticket].tell = before->tell;
    replays_[order.ticket].sent = before->sent;
  }
  replays_.erase(tickets.under_way);
  if (tell) replays_.erase(std::exchange(tickets.told_next, 0));
  tickets.under_way = order.ticket;
  return order;
}

// With the gate held. The ticket that the backplane may forget; 0: there is none.
uint64_t Worker::end_replay(Session& session, std::string_view pattern) noexcept {
  if (!session.replays) return 0;
  const auto place = session.replays->find(pattern);
  if (place == session.replays->end()) return 0;
  const ReplayTickets tickets = place->second;
  session.replays->erase(place);
  replays_.erase(tickets.under_way);
  replays_.erase(tickets.told_next);
  return tickets.under_way;
}

// With the gate held.
std::unique_ptr<ReplaysByPattern> Worker::end_replays(Session& session) noexcept {
  if (session.replays) {
    for (const auto& [pattern, tickets] : *session.replays) {
      replays_.erase(tickets.under_way);
      replays_.erase(tickets.told_next);
    }
  }
  return std::move(session.replays);
}

// With the gate held. What its replays have brought and the worker has not sent yet does not come any more: on the connection's worker nothing
// of a former replay follows the call that ended it or asked anew.
void Worker::withdraw_replayed(Session& session, std::string_view pattern) noexcept {
  if (session.inflight_bytes.load(std::memory_order_acquire) == 0) return;
  const auto withdraw = [&](std::vector<Command>& commands) {
    for (Command& command : commands) {
      if (command.kind != Command::Kind::kReplayed || command.conn != session.id || command.text != pattern) continue;
      if (!command.buffer) continue;
      session.inflight_bytes.fetch_sub(command.buffer->size, std::memory_order_relaxed);
      command.buffer = core::BufferRef();
    }
  };
  withdraw(mailbox_);
  if (is_own_thread()) withdraw(taken_);
}

// With the gate held. Of one that is over.
void Worker::drop_ticket(const Replay& replay, uint64_t ReplayTickets::*which) noexcept {
  Session& session = *replay.session;
  const auto place = session.replays->find(replay.pattern);
  const uint64_t ticket = std::exchange(place->second.*which, 0);
  if (place->second.under_way == 0 && place->second.told_next == 0) session.replays->erase(place);
  if (session.replays->empty()) session.replays.reset();
  replays_.erase(ticket);
}

// With the gate held. Null: not known, or over.
Replay* Worker::find_replay(uint64_t ticket) noexcept {
  const auto found = replays_.find(ticket);
  return found != replays_.end() && !found->second.over ? &found->second : nullptr;
}

bool Worker::is_replay_wanted(uint64_t ticket) {
  const std::lock_guard<std::mutex> lock(gate_);
  return find_replay(ticket) != nullptr;
}

void Worker::cancel_subscription(uint64_t ticket, core::TopicTrie::Change& change) {
  const std::lock_guard<std::mutex> lock(gate_);
  Replay* const replay = find_replay(ticket);
  if (replay == nullptr) return;
  Session& session = *replay->session;
  const std::string pattern = std::move(replay->pattern);
  (void)end_replay(session, pattern);
  change = trie_.unsubscribe(*session.topics, pattern);
  context_.topics.leave(1);
}

// ------------------------------------------------------------------------------------------------------------- new messages

bool Worker::has_live_receivers(std::string_view topic) {
  bool found = false;
  const std::lock_guard<std::mutex> lock(gate_);
  trie_.match_flows(topic, [&](core::TopicMember& member, uint8_t flows) {
    if ((flows & static_cast<uint8_t>(core::Flow::kLive)) != 0 && static_cast<Session*>(member.owner())->is_open())
      found = true;
  });
  return found;
}

// A connection of which one subscription lags gets nothing new for another that matches as well: its client could take that for both.
void Worker::deliver_durable(const Publication& publication, uint64_t sequence, PublishCounts& counts,
                             std::vector<ReplayOrder>& orders) {
  std::vector<Session*> receivers;
  std::vector<Session*> behind;
  const std::lock_guard<std::mutex> lock(gate_);
  trie_.match_flows(publication.topic, [&](core::TopicMember& member, uint8_t flows) {
    auto* session = static_cast<Session*>(member.owner());
    if ((flows & static_cast<uint8_t>(core::Flow::kLive)) == 0) return;
    if (session->id == publication.exclude || !session->is_open()) return;
    ((flows & static_cast<uint8_t>(core::Flow::kLagging)) != 0 ? behind : receivers).push_back(session);
  });
  post_to_all(receivers, *publication.message, counts, &behind);
  for (Session* session : behind) {
    try {
      fall_behind(*session, publication.topic, sequence, orders);
    } catch (const std::bad_alloc&) {
      give_up_lagging(*session);
    }
  }
}

// With the gate held. Its subscriptions that match get this message and what follows from a replay.
void Worker::fall_behind(Session& session, std::string_view topic, uint64_t sequence,
                         std::vector<ReplayOrder>& orders) {
  for (const std::string& pattern : trie_.patterns(*session.topics, topic, core::Flow::kLive)) {
    orders.reserve(orders.size() + 1);
    orders.push_back(begin_replay(session, pattern, sequence - 1, false));
    trie_.set_flow(*session.topics, pattern, core::Flow::kLagging);
    context_.topics.durable().replays.fetch_add(1, std::memory_order_relaxed);
  }
}

void Worker::replay_failed(uint64_t ticket) {
  const std::lock_guard<std::mutex> lock(gate_);
  if (Replay* replay = find_replay(ticket); replay != nullptr) give_up_lagging(*replay->session);
}

// With the gate held. What it missed cannot be sent: it is to come back and hear so.
void Worker::give_up_lagging(Session& session) {
  if (!session.is_open()) return;
  Command command;
  command.conn = session.id;
  command.kind = Command::Kind::kSlowConsumer;
  post(std::move(command));
  session.remote_closing.store(true, std::memory_order_relaxed);
}

// ------------------------------------------------------------------------------------------------------------------ replays

// Replays fill half of a queue, so that what is new need not be refused because of them.
int Worker::offer_replayed(uint64_t ticket, const DurableMessage& message, ReplayTarget& target, bool& wanted) {
  const std::lock_guard<std::mutex> lock(gate_);
  const Replay* const replay = find_replay(ticket);
  if (replay == nullptr || !replay->session->is_open()) return WSB_E_CLOSED;
  const Session& session = *replay->session;
  const uint64_t limit = context_.config.connection.max_queue_bytes;
  wanted = message.exclude != session.id && message.size <= limit;
  if (!wanted) return WSB_OK;
  const uint64_t waiting = waiting_bytes(session);
  if (waiting != 0 && waiting + message.size > limit / 2) return WSB_E_FULL;
  target.conn = session.id;
  target.pattern = replay->pattern;
  return WSB_OK;
}

int Worker::post_replayed(uint64_t ticket, core::BufferRef message) {
  const std::lock_guard<std::mutex> lock(gate_);
  Replay* const replay = find_replay(ticket);
  if (replay == nullptr || !replay->session->is_open()) return WSB_E_CLOSED;
  if (message->payload_size() > context_.config.connection.max_queue_bytes) return WSB_OK;
  Session& session = *replay->session;
  const size_t size = message->size;
  Command command;
  command.kind = Command::Kind::kReplayed;
  command.conn = session.id;
  command.text = replay->pattern;
  command.buffer = std::move(message);
  post(std::move(command));
  session.inflight_bytes.fetch_add(size, std::memory_order_relaxed);
  ++replay->sent;
  context_.topics.durable().replayed.fetch_add(1, std::memory_order_relaxed);
  return WSB_OK;
}

void Worker::resumed(uint64_t ticket, uint64_t sequence, bool missed) {
  const std::lock_guard<std::mutex> lock(gate_);
  Replay* const replay = find_replay(ticket);
  if (replay == nullptr) return;
  if (missed) context_.topics.durable().missed.fetch_add(1, std::memory_order_relaxed);
  Session& session = *replay->session;
  if (!replay->tell && missed) {
    give_up_lagging(session);
    return;
  }
  if (replay->tell) {
    Command command;
    command.kind = Command::Kind::kResumed;
    command.conn = session.id;
    command.ticket = ticket;
    post(std::move(command));
    replay->over = true;
    replay->sequence = sequence;
    replay->missed = missed;
    ReplayTickets& tickets = session.replays->find(replay->pattern)->second;
    tickets.told_next = std::exchange(tickets.under_way, 0);
  }
  trie_.set_flow(*session.topics, replay->pattern, core::Flow::kLive);
  if (!replay->tell) drop_ticket(*replay, &ReplayTickets::under_way);
}

void Worker::tell_resumed(Session& session, uint64_t ticket) {
  Replay told;
  {
    const std::lock_guard<std::mutex> lock(gate_);
    const auto found = replays_.find(ticket);
    if (found == replays_.end()) return;
    told = found->second;
    drop_ticket(found->second, &ReplayTickets::told_next);
  }
  if (session.conn.state() == core::Connection::State::kOpen) context_.delivery->resumed(session, told);
}

}  // namespace wsb::server
