// From a socket's first bytes to an open connection, a refusal or a plain HTTP answer.
#include <utility>

#include "core/proxy.h"
#include "server/request_context.h"
#include "server/worker.h"

namespace wsb::server {

namespace {

constexpr std::string_view kPlainText = "text/plain; charset=utf-8";

core::Refusal refusal_of(core::RequestResult result, const char* text) {
  core::Refusal refusal;
  refusal.status = 400;
  refusal.refusal = WSB_REFUSAL_BAD_REQUEST;
  if (result == core::RequestResult::kTooBig) {
    refusal.status = 431;
    refusal.refusal = WSB_REFUSAL_HEADER_TOO_BIG;
  } else if (result == core::RequestResult::kBadVersion) {
    refusal.status = 505;
  }
  refusal.body = text;
  return refusal;
}

core::Refusal refusal_of(uint32_t refusal) {
  switch (refusal) {
    case WSB_REFUSAL_ADDRESS:
      return {429, refusal, "too many connections from this address", {}};
    case WSB_REFUSAL_STOPPING:
      return {503, refusal, "server is closing", {}};
    case WSB_REFUSAL_TIMEOUT:
      return {408, refusal, "no complete request in time", {}};
    default:
      return {503, WSB_REFUSAL_CONNECTIONS, "too many connections", {}};
  }
}

}  // namespace

void Worker::take_head(Session& session, uint8_t* bytes, size_t n) {
  const std::unique_ptr<Head>& head = session.head;
  std::string_view seen(reinterpret_cast<const char*>(bytes), n);
  if (!head->buffer.empty()) {
    head->buffer.append(seen);
    seen = head->buffer;
    bytes = reinterpret_cast<uint8_t*>(head->buffer.data());
  }
  size_t head_bytes = 0;
  const char* text = "";
  const core::RequestResult result =
      core::parse_request(seen, context_.config.max_header_bytes, request_, head_bytes, text);
  switch (result) {
    case core::RequestResult::kOk: {
      const size_t rest = seen.size() - head_bytes;
      serve(session, request_, bytes + head_bytes, rest);
      return;
    }
    case core::RequestResult::kNeedMore:
      if (head->buffer.empty()) head->buffer = seen;
      return;
    case core::RequestResult::kBad:
    case core::RequestResult::kTooBig:
    case core::RequestResult::kBadVersion:
      refuse(session, refusal_of(result, text), head->peer.text, false);
      return;
  }
}

void Worker::on_proxy_header(core::Transport& old, core::Transport& next, core::PeerAddress client) noexcept {
  auto& session = *static_cast<Session*>(old.owner);
  next.owner = &session;
  session.transport = &next;
  session.head->awaits_proxy_header = false;
  if (client.text.empty()) return;  // the proxy's own connection
  session.peer_port = client.port;
  session.head->peer = std::move(client);
}

void Worker::on_bad_proxy_header(core::Transport& transport, const char* why) {
  auto& session = *static_cast<Session*>(transport.owner);
  mark_dirty(session);
  guarded(session, [&] { refuse_proxy_header(session, why); });
}

// Nothing is answered: who does not speak the protocol may not speak HTTP either.
void Worker::refuse_proxy_header(Session& session, const char* why) {
  session.conn.abort(0, session);
  context_.log(WSB_LOG_WARNING, 0, std::string(why).append(", from trusted proxy "), session.head->peer.text);
  tell_refused(0, WSB_REFUSAL_PROXY_HEADER, session.head->peer.text);
}

void Worker::head_timed_out(Session& session) {
  if (session.head->awaits_proxy_header) {
    refuse_proxy_header(session, "no PROXY header in time");
  } else if (!session.head->buffer.empty()) {
    refuse(session, refusal_of(WSB_REFUSAL_TIMEOUT), session.head->peer.text, false);
  } else {
    session.conn.abort(0, session);
  }
}

void Worker::serve(Session& session, const core::Request& request, uint8_t* rest, size_t rest_bytes) {
  const std::unique_ptr<Head> head = std::move(session.head);  // request and rest may lie in it
  const std::string peer = core::client_address(head->peer.text, request, context_.config.trusted_proxies);
  if (core::wants_websocket(request)) {
    serve_websocket(session, request, peer, rest, rest_bytes);
  } else {
    serve_http(session, request, peer);
  }
}

void Worker::serve_http(Session& session, const core::Request& request, const std::string& peer) {
  metrics_.http_requests.add(1);
  wsb_request answer(request, peer, *session.transport, nullptr);
  if (context_.callbacks.on_http == nullptr) {
    answer.status = 426;
    answer.body = "this is a WebSocket server\n";
  } else {
    const CallbackScope scope;
    const wsb_http_event event{sizeof event, &answer};
    context_.callbacks.on_http(&event, context_.callbacks.user);
    if (!answer.answered) {
      answer.status = 404;
      answer.body = "not found\n";
    }
  }
  if (answer.content_type.empty()) answer.content_type = kPlainText;
  session.conn.answer_and_end(
      core::build_response(answer.status, answer.content_type, answer.body, answer.headers, request.method == "HEAD"),
      loop_->now());
}

void Worker::refuse(Session& session, const core::Refusal& refusal, const std::string& peer, bool head_only) {
  session.conn.answer_and_end(
      core::build_response(refusal.status, kPlainText, refusal.body + "\n", refusal.headers, head_only), loop_->now());
  tell_refused(refusal.status, refusal.refusal, peer);
}

void Worker::tell_refused(uint32_t status, uint32_t refusal, const std::string& peer) {
  metrics_.refused_by_cause[refusal].add(1);
  context_.log(WSB_LOG_INFO, 0, std::string("handshake refused: ").append(wsb_refusal_name(refusal)).append(", from "),
               peer);
  context_.delivery->refused(status, refusal, peer);
}

uint32_t Worker::enter_limits(const std::string& peer) {
  const std::lock_guard<std::mutex> lock(context_.limits_mutex);
  switch (context_.limits.enter(peer)) {
    case core::ConnectionLimits::Verdict::kOk:
      return 0;
    case core::ConnectionLimits::Verdict::kAddress:
      return WSB_REFUSAL_ADDRESS;
    case core::ConnectionLimits::Verdict::kTotal:
      break;
  }
  return WSB_REFUSAL_CONNECTIONS;
}

void Worker::serve_websocket(Session& session, const core::Request& request, const std::string& peer, uint8_t* rest,
                             size_t rest_bytes) {
  core::Handshake verdict;
  core::Refusal refusal;
  if (!core::judge_handshake(request, context_.config.handshake, verdict, refusal)) {
    refuse(session, refusal, peer, request.method == "HEAD");
    return;
  }
  session.set_texts(request.path, request.query, {}, peer);  // the address is needed to leave the limits
  const uint32_t refused = stopping_ ? uint32_t{WSB_REFUSAL_STOPPING} : enter_limits(peer);
  if (refused != 0) {
    refuse(session, refusal_of(refused), peer, false);
    return;
  }
  session.counted_in_limits = true;
  if (!admit(session, request, verdict, peer)) {
    leave_limits(session);
    return;
  }
  if (rest_bytes == 0) return;
  metrics_.bytes_in.add(rest_bytes);
  session.conn.receive(rest, rest_bytes, loop_->now(), session);
}

// Asks the application and opens the connection. False: it was refused.
bool Worker::admit(Session& session, const core::Request& request, core::Handshake& verdict, const std::string& peer) {
  wsb_request answer(request, peer, *session.transport, &verdict);
  if (context_.callbacks.on_handshake != nullptr) {
    const CallbackScope scope;
    const wsb_handshake_event event{sizeof event, &answer};
    context_.callbacks.on_handshake(&event, context_.callbacks.user);
  }
  if (answer.answered) {
    const uint32_t refusal = answer.status == 401 ? WSB_REFUSAL_UNAUTHORIZED : WSB_REFUSAL_APPLICATION;
    if (answer.content_type.empty()) answer.content_type = kPlainText;
    session.conn.answer_and_end(
        core::build_response(answer.status, answer.content_type, answer.body, answer.headers, false), loop_->now());
    tell_refused(answer.status, refusal, peer);
    return false;
  }
  session.set_texts(request.path, request.query, verdict.subprotocol, peer);
  session.user.store(answer.conn_user, std::memory_order_relaxed);
  open_session(session, core::build_switching_protocols(verdict, answer.headers), verdict, answer.authenticated);
  return true;
}

// Until the delivery has told the opening, a lack of memory undoes it and nobody learns of the connection.
void Worker::open_session(Session& session, const std::string& answer, const core::Handshake& verdict,
                          bool authenticated) {
  metrics_.opened.add(1);
  metrics_.connections.add(1);
  try {
    const core::TimeUs now = loop_->now();
    const core::ConnectionConfig& config = context_.config.connection;
    const uint16_t phase = next_phase(config.heartbeat.interval_ms, now);
    if (!session.conn.open(answer, verdict.deflate, authenticated, phase, now)) throw std::bad_alloc();
    if (verdict.wants_app_beat) {
      const bool together =
          config.app_beat_ms == config.heartbeat.interval_ms;  // ping and beat then leave in one write
      const uint16_t beat_phase = together ? phase : next_phase(config.app_beat_ms, now);
      if (!session.conn.start_app_beat(config.app_beat_ms, beat_phase, now)) throw std::bad_alloc();
    }
    {
      const std::lock_guard<std::mutex> lock(gate_);
      session.id = registry_.add(&session);  // from here on other threads may find it
    }
    if (session.id == 0) throw std::bad_alloc();
    context_.log(WSB_LOG_DEBUG, session.id, "opened from ", session.text(WSB_STRING_PEER));
    context_.delivery->opened(session);
  } catch (...) {
    metrics_.opened.sub(1);
    metrics_.connections.sub(1);
    session.conn.give_up();
    end_presence(session);
    std::vector<std::string> wanted_no_more;
    {
      const std::lock_guard<std::mutex> lock(gate_);
      registry_.remove(session.id);
      drop_subscriptions(session, wanted_no_more);
    }
    for (const std::string& pattern : wanted_no_more) context_.backplane.want_no_more(pattern);
    throw;
  }
}

}  // namespace wsb::server
