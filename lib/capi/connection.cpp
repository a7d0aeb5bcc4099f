// Calls on one connection: sending, closing, questions. Each finds the worker that the id names.
#include <new>
#include <vector>

#include "capi/guard.h"
#include "capi/payload.h"
#include "capi/sized.h"
#include "core/buffer.h"
#include "core/frame.h"
#include "core/utf8.h"

namespace {

using wsb::capi::check_payload;
using wsb::capi::fail;
using wsb::capi::guarded;
using wsb::capi::told;
using wsb::server::Command;
using wsb::server::Posting;
using wsb::server::Worker;

// A wsb_message is never defined: it is another name for a framed buffer.
wsb::core::Buffer *buffer_of(wsb_message *message) noexcept {
  return reinterpret_cast<wsb::core::Buffer *>(message);
}

// Finds the worker and calls `use(worker)`; its result, a wsb_error or a number, is the caller's.
template <typename Use>
auto on_worker(wsb_server *server, wsb_conn conn, Use &&use) noexcept -> decltype(use(std::declval<Worker &>())) {
  using Result = decltype(use(std::declval<Worker &>()));
  if (server == nullptr) return fail(WSB_E_INVALID, "server is NULL");
  Worker *worker = server->worker_of(conn);
  if (worker == nullptr) return told(WSB_E_CLOSED);
  const Result result = guarded([&] { return use(*worker); });
  return result < 0 ? static_cast<Result>(told(static_cast<int>(result))) : result;
}

// One message of many: what can be refused without asking its worker is, the rest is framed.
void prepare(wsb_server &server, const wsb_outgoing &item, Posting &posting) {
  posting.conn = item.conn;
  Worker *const worker = server.worker_of(item.conn);
  if (item.message != nullptr) {
    posting.message = wsb::core::BufferRef::share(buffer_of(item.message));
  } else if (posting.result = check_payload(item.kind, item.data, item.length); posting.result != WSB_OK) {
    return;
  } else if (item.length > server.config().connection.max_queue_bytes) {
    posting.result = worker != nullptr
                         ? worker->send(item.conn, static_cast<wsb::core::Opcode>(item.kind), item.data, item.length)
                         : WSB_E_CLOSED;
    return;
  } else {
    posting.message = wsb::core::BufferRef(
        wsb::core::Buffer::create_message(static_cast<wsb::core::Opcode>(item.kind), item.data, item.length));
    if (!posting.message) throw std::bad_alloc();
  }
  posting.worker = worker;
  if (worker == nullptr) posting.result = WSB_E_CLOSED;
}

}  // namespace

extern "C" {

int wsb_send(wsb_server *server, wsb_conn conn, uint32_t kind, const void *data, size_t length) noexcept {
  const int bad = check_payload(kind, data, length);
  if (bad != WSB_OK) return bad;
  return on_worker(server, conn, [&](Worker &worker) {
    return worker.send(conn, static_cast<wsb::core::Opcode>(kind), data, length);
  });
}

int wsb_send_message(wsb_server *server, wsb_conn conn, wsb_message *message) noexcept {
  if (message == nullptr) return fail(WSB_E_INVALID, "message is NULL");
  return on_worker(server, conn, [&](Worker &worker) { return worker.send_message(conn, buffer_of(message)); });
}

int64_t wsb_send_many(wsb_server *server, wsb_outgoing *items, size_t count) noexcept {
  return guarded([&]() -> int64_t {
    if (server == nullptr) return fail(WSB_E_INVALID, "server is NULL");
    if (items == nullptr && count != 0) return fail(WSB_E_INVALID, "items is NULL");
    const size_t stride = count != 0 ? items->size : 0;
    const auto item = [&](size_t i) {
      return reinterpret_cast<wsb_outgoing *>(reinterpret_cast<unsigned char *>(items) + i * stride);
    };
    std::vector<Posting> postings(count);
    for (size_t i = 0; i < count; ++i) {
      if (item(i)->size != stride) return fail(WSB_E_INVALID, "items: not all of one size");
      prepare(*server, wsb::capi::read_sized(item(i), "wsb_outgoing"), postings[i]);
    }
    int64_t queued = 0;
    for (size_t i = 0; i < count; ++i) {
      if (Worker *worker = postings[i].worker; worker != nullptr) worker->send_many(&postings[i], count - i);
      if (postings[i].result == WSB_OK) ++queued;
      wsb_outgoing written = wsb::capi::read_sized(item(i), "wsb_outgoing");
      written.result = postings[i].result;
      wsb::capi::write_sized(written, item(i));
    }
    return queued;
  });
}

wsb_message *wsb_message_create(uint32_t kind, const void *data, size_t length) noexcept {
  if (check_payload(kind, data, length) != WSB_OK) return nullptr;
  if (length > wsb::capi::kMaxMessageBytes) {
    (void)told(WSB_E_TOO_BIG);
    return nullptr;
  }
  const auto opcode = static_cast<wsb::core::Opcode>(kind);
  if (const wsb::core::BufferRef delivered = Worker::share_delivered(opcode, data, length)) {
    delivered->retain();
    return reinterpret_cast<wsb_message *>(delivered.get());
  }
  auto *message = wsb::core::Buffer::create_message(opcode, data, length);
  if (message == nullptr) (void)told(WSB_E_NOMEM);
  return reinterpret_cast<wsb_message *>(message);
}

wsb_message *wsb_message_ref(wsb_message *message) noexcept {
  if (message != nullptr) buffer_of(message)->retain();
  return message;
}

void wsb_message_release(wsb_message *message) noexcept {
  if (message != nullptr) buffer_of(message)->release();
}

int wsb_ping(wsb_server *server, wsb_conn conn, const void *data, size_t length) noexcept {
  if (data == nullptr && length != 0) return fail(WSB_E_INVALID, "data is NULL");
  if (length > wsb::core::kMaxControlPayload) return fail(WSB_E_INVALID, "length: a ping carries at most 125 bytes");
  return on_worker(server, conn, [&](Worker &worker) { return worker.ping(conn, data, length); });
}

int wsb_close(wsb_server *server, wsb_conn conn, uint32_t code, const char *reason, size_t reason_length) noexcept {
  if (reason == nullptr && reason_length != 0) return fail(WSB_E_INVALID, "reason is NULL");
  if (code == 0 && reason_length != 0) return fail(WSB_E_INVALID, "reason: not without a code");
  if (code != 0 && !wsb::core::may_send_close_code(code)) return fail(WSB_E_INVALID, "code: may not be sent");
  if (reason_length > wsb::core::kMaxCloseReason) return fail(WSB_E_INVALID, "reason: longer than 123 bytes");
  const std::string_view text(reason_length != 0 ? reason : "", reason_length);
  if (!wsb::core::is_valid_utf8(text)) return fail(WSB_E_INVALID, "reason: not UTF-8");
  return on_worker(server, conn, [&](Worker &worker) { return worker.close_connection(conn, code, text); });
}

int wsb_abort(wsb_server *server, wsb_conn conn) noexcept {
  return on_worker(server, conn, [&](Worker &worker) { return worker.abort_connection(conn); });
}

int64_t wsb_buffered_amount(wsb_server *server, wsb_conn conn) noexcept {
  return on_worker(server, conn, [&](Worker &worker) { return worker.buffered_amount(conn); });
}

int wsb_conn_pause(wsb_server *server, wsb_conn conn) noexcept {
  return on_worker(server, conn, [&](Worker &worker) { return worker.order(conn, Command::Kind::kPause); });
}

int wsb_conn_resume(wsb_server *server, wsb_conn conn) noexcept {
  return on_worker(server, conn, [&](Worker &worker) { return worker.order(conn, Command::Kind::kResume); });
}

int wsb_conn_authenticate(wsb_server *server, wsb_conn conn) noexcept {
  return on_worker(server, conn, [&](Worker &worker) { return worker.order(conn, Command::Kind::kAuthenticate); });
}

int wsb_conn_set_heartbeat(wsb_server *server, wsb_conn conn, uint32_t interval_ms, uint32_t timeout_ms,
                           uint32_t liveness) noexcept {
  return guarded([&]() -> int {
    if (server == nullptr) return fail(WSB_E_INVALID, "server is NULL");
    const wsb::core::HeartbeatSettings &standard = server->config().connection.heartbeat;
    if (interval_ms == 0) {
      interval_ms = standard.interval_ms != 0 ? standard.interval_ms : WSB_OFF;
      if (timeout_ms == 0) timeout_ms = standard.timeout_ms;
    }
    const wsb::core::HeartbeatSettings settings =
        wsb::server::read_heartbeat(interval_ms, timeout_ms, liveness, WSB_E_INVALID);
    return on_worker(server, conn,
                     [&](Worker &worker) { return worker.order(conn, Command::Kind::kHeartbeat, &settings); });
  });
}

int wsb_conn_set_user(wsb_server *server, wsb_conn conn, void *conn_user) noexcept {
  return on_worker(server, conn, [&](Worker &worker) { return worker.set_user(conn, conn_user); });
}

void *wsb_conn_user(wsb_server *server, wsb_conn conn) noexcept {
  Worker *worker = server != nullptr ? server->worker_of(conn) : nullptr;
  return worker != nullptr ? worker->user(conn) : nullptr;
}

int wsb_conn_get_info(wsb_server *server, wsb_conn conn, wsb_conn_info *info) noexcept {
  return guarded([&]() -> int {
    wsb::capi::check_out(info, "wsb_conn_info");
    wsb_conn_info made{};
    const int result = on_worker(server, conn, [&](Worker &worker) { return worker.info(conn, made); });
    if (result == WSB_OK) wsb::capi::write_sized(made, info);
    return result;
  });
}

int64_t wsb_conn_string(wsb_server *server, wsb_conn conn, uint32_t which, char *buffer, size_t capacity) noexcept {
  if (which < WSB_STRING_PATH || which > WSB_STRING_PEER) return fail(WSB_E_INVALID, "which: not a WSB_STRING_ value");
  if (buffer == nullptr && capacity != 0) return fail(WSB_E_INVALID, "buffer is NULL");
  return on_worker(server, conn, [&](Worker &worker) { return worker.text(conn, which, buffer, capacity); });
}

}  // extern "C"
