// Setting a backplane, and what it calls back.
#include "capi/guard.h"
#include "capi/payload.h"
#include "capi/sized.h"
#include "core/buffer.h"
#include "core/presence_table.h"
#include "core/topic_name.h"

namespace {

using wsb::capi::fail;
using wsb::capi::guarded;

// What comes from outside is believed as little as what a client sends.
int read(const wsb_backplane_message &given, wsb::server::DurableMessage &out) {
  const wsb_backplane_message message = wsb::capi::read_sized(&given, "wsb_backplane_message");
  if (message.topic == nullptr) return fail(WSB_E_INVALID, "topic is NULL");
  const std::string_view topic(message.topic, message.topic_length);
  if (wsb::core::check_topic(topic) != wsb::core::TopicError::kNone) return fail(WSB_E_INVALID, "topic: malformed");
  const int bad = wsb::capi::check_payload(message.kind, message.data, message.length);
  if (bad != WSB_OK) return bad;
  if (message.length > wsb::capi::kMaxMessageBytes) return WSB_E_TOO_BIG;
  out = {topic,
         message.data,
         message.length,
         static_cast<wsb::core::Opcode>(message.kind),
         (message.flags & WSB_PUBLISH_RETAIN) != 0,
         message.sequence,
         message.exclude};
  return WSB_OK;
}

int deliver(wsb_server &server, const wsb_backplane_message &given) {
  server.count_received();
  wsb::server::DurableMessage message;
  const int bad = read(given, message);
  if (bad != WSB_OK) return bad;
  if (message.sequence != 0) {
    server.deliver_durable(message);
    return WSB_OK;
  }
  const wsb::core::BufferRef framed(wsb::core::Buffer::create_message(message.opcode, message.data, message.size));
  if (!framed) return WSB_E_NOMEM;
  server.deliver({message.topic, framed.get()}, message.retain ? uint32_t{WSB_PUBLISH_RETAIN} : 0);
  return WSB_OK;
}

// What is malformed is left out, and what there is no memory for waits.
int replayed(wsb_server &server, uint64_t ticket, const wsb_backplane_message &given) {
  wsb::server::DurableMessage message;
  if (read(given, message) != WSB_OK) return WSB_OK;
  return server.replayed(ticket, message);
}

void host_deliver(wsb_server *server, const wsb_backplane_message *message) {
  (void)guarded([&] { return deliver(*server, *message); });
}

int host_replayed(wsb_server *server, uint64_t ticket, const wsb_backplane_message *message) {
  const int result = guarded([&] { return replayed(*server, ticket, *message); });
  if (result == WSB_E_NOMEM) return WSB_E_FULL;
  return result == WSB_E_FULL || result == WSB_E_CLOSED ? result : int{WSB_OK};
}

void host_resumed(wsb_server *server, uint64_t ticket, uint64_t sequence, int missed) {
  (void)guarded([&]() -> int {
    server->resumed(ticket, sequence, missed != 0);
    return WSB_OK;
  });
}

int presence(wsb_server &server, uint64_t watch, const char *member, size_t length, bool present) {
  if (member == nullptr) return fail(WSB_E_INVALID, "member is NULL");
  const std::string_view name(member, length);
  const char *fault = wsb::core::member_fault(name);
  if (fault != nullptr) return fail(WSB_E_INVALID, fault);
  server.presence().elsewhere(watch, name, present);
  return WSB_OK;
}

void host_presence(wsb_server *server, uint64_t watch, const char *member, size_t member_length, int present) {
  (void)guarded([&] { return presence(*server, watch, member, member_length, present != 0); });
}

void host_changed(wsb_server *server, uint32_t state, const char *text) {
  const uint32_t level = state == WSB_BACKPLANE_UP ? uint32_t{WSB_LOG_INFO} : uint32_t{WSB_LOG_WARNING};
  server->log(level, std::string("backplane: ").append(text));
}

}  // namespace

namespace wsb::capi {

int open_backplane(wsb_server &server) {
  return server.open_backplane(
      {sizeof(wsb_backplane_host), &server, host_deliver, host_changed, host_replayed, host_resumed, host_presence});
}

}  // namespace wsb::capi

extern "C" {

int wsb_server_set_backplane(wsb_server *server, const wsb_backplane *backplane) noexcept {
  return guarded([&]() -> int {
    if (server == nullptr || backplane == nullptr)
      return fail(WSB_E_INVALID, server == nullptr ? "server is NULL" : "backplane is NULL");
    const wsb_backplane calls = wsb::capi::read_sized(backplane, "wsb_backplane");
    if (calls.open == nullptr || calls.publish == nullptr || calls.subscribe == nullptr ||
        calls.unsubscribe == nullptr || calls.state == nullptr || calls.close == nullptr) {
      return fail(WSB_E_INVALID, "backplane: a function is NULL");
    }
    const int durable = (calls.keeps != nullptr ? 1 : 0) + (calls.store != nullptr ? 1 : 0) +
                        (calls.replay != nullptr ? 1 : 0) + (calls.forget != nullptr ? 1 : 0);
    if (durable != 0 && durable != 4)
      return fail(WSB_E_INVALID, "backplane: keeps, store, replay and forget: all of them or none");
    const int presence = (calls.join != nullptr ? 1 : 0) + (calls.leave != nullptr ? 1 : 0) +
                         (calls.watch != nullptr ? 1 : 0) + (calls.unwatch != nullptr ? 1 : 0);
    if (presence != 0 && presence != 4)
      return fail(WSB_E_INVALID, "backplane: join, leave, watch and unwatch: all of them or none");
    server->set_backplane(calls);
    return WSB_OK;
  });
}

}  // extern "C"
