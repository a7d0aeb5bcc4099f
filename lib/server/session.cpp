// What a connection reports goes to the delivery, with the worker's numbers kept on the way.
#include "server/session.h"

#include <cstring>

#include "server/presence.h"
#include "server/worker.h"

namespace wsb::server {

Session::Session(Worker& its_worker, core::Transport& its_transport, core::PeerAddress peer, bool over_tls,
                 core::TimeUs now)
    : worker(its_worker),
      transport(&its_transport),
      conn(its_worker.context().config.connection, its_worker.pool(), now),
      head(std::make_unique<Head>()),
      peer_port(peer.port),
      tls(over_tls) {
  timer.session = this;
  head->peer = std::move(peer);
}

Session::~Session() = default;

void Session::set_texts(std::string_view path, std::string_view query, std::string_view subprotocol,
                        std::string_view peer) {
  const std::string_view parts[] = {path, query, subprotocol, peer};
  size_t total = 0;
  for (const std::string_view part : parts) total += part.size() + 1;
  texts = std::make_unique<char[]>(total);
  uint32_t at = 0;
  for (size_t i = 0; i < 4; ++i) {
    text_at[i] = at;
    if (!parts[i].empty()) std::memcpy(&texts[at], parts[i].data(), parts[i].size());
    at += static_cast<uint32_t>(parts[i].size()) + 1;
  }
  text_at[4] = at;
}

std::string_view Session::text(uint32_t which) const noexcept {
  const uint32_t begin = text_at[which - 1];
  return {&texts[begin], text_at[which] - begin - 1};
}

uint32_t Session::public_state() const noexcept {
  using State = core::Connection::State;
  switch (conn.state()) {
    case State::kHandshake:
    case State::kOpen:
      return remote_closing.load(std::memory_order_relaxed) ? WSB_STATE_CLOSING : WSB_STATE_OPEN;
    case State::kDraining:
    case State::kClosing:
    case State::kReplying:
      return WSB_STATE_CLOSING;
    case State::kEnding:
    case State::kDead:
      break;
  }
  return WSB_STATE_CLOSED;
}

void Session::on_message(core::Connection& /*connection*/, bool is_text, const uint8_t* data, size_t n) {
  worker.metrics().messages_in.add(1);
  worker.set_delivering(this);
  worker.context().delivery->message(*this, is_text, data, n);
  worker.set_delivering(nullptr);
}

void Session::on_fragment(core::Connection& /*connection*/, const core::EventData& piece) {
  if (piece.last) worker.metrics().messages_in.add(1);
  worker.context().delivery->fragment(*this, piece);
}

void Session::on_pong(core::Connection& /*connection*/, const uint8_t* data, size_t n, bool heartbeat,
                      uint32_t rtt_us) {
  if (heartbeat) {
    worker.metrics().pongs_received.add(1);
    worker.metrics().note_rtt(rtt_us);
  }
  worker.context().delivery->pong(*this, data, n, heartbeat, rtt_us);
}

void Session::on_drain(core::Connection& /*connection*/) {
  worker.context().delivery->drained(*this);
  worker.context().presence->drained(id);
}

void Session::on_closed(core::Connection& /*connection*/, const core::CloseInfo& info) {
  worker.closed(*this, info);
}

void Session::on_dropped(core::Connection& /*connection*/, size_t messages) {
  worker.metrics().messages_dropped.add(messages);
}

core::Unread Session::unread(core::Connection& /*connection*/) {
  return transport != nullptr ? transport->unread() : core::Unread::kNothing;
}

}  // namespace wsb::server
