// Presence: names are checked here, once.
#include "server/presence.h"
#include "capi/guard.h"
#include "core/presence_table.h"
#include "core/topic_name.h"

namespace {

using wsb::capi::fail;
using wsb::capi::guarded;
using wsb::capi::told;
using wsb::server::ApiError;

std::string_view topic_of(const char *topic, size_t length) {
  if (topic == nullptr) throw ApiError(WSB_E_INVALID, "topic is NULL");
  const std::string_view name(topic, length);
  const wsb::core::TopicError error = wsb::core::check_topic(name);
  if (error != wsb::core::TopicError::kNone)
    throw ApiError(WSB_E_INVALID, std::string("topic: ") + wsb::core::topic_error_text(error));
  return name;
}

std::string_view member_of(const char *member, size_t length) {
  if (member == nullptr) throw ApiError(WSB_E_INVALID, "member is NULL");
  const std::string_view name(member, length);
  const char *fault = wsb::core::member_fault(name);
  if (fault != nullptr) throw ApiError(WSB_E_INVALID, std::string("member: ") + fault);
  return name;
}

wsb::server::Presence &presence_of(wsb_server *server) {
  if (server == nullptr) throw ApiError(WSB_E_INVALID, "server is NULL");
  return server->presence();
}

}  // namespace

extern "C" {

int wsb_join(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length, const char *member,
             size_t member_length) noexcept {
  return guarded([&]() -> int {
    const std::string_view name = topic_of(topic, topic_length);
    return told(presence_of(server).join(conn, name, member_of(member, member_length)));
  });
}

int wsb_leave(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length) noexcept {
  return guarded([&]() -> int { return told(presence_of(server).leave(conn, topic_of(topic, topic_length))); });
}

int wsb_watch(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length) noexcept {
  return guarded([&]() -> int { return told(presence_of(server).watch(conn, topic_of(topic, topic_length))); });
}

int wsb_unwatch(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length) noexcept {
  return guarded([&]() -> int { return told(presence_of(server).unwatch(conn, topic_of(topic, topic_length))); });
}

int64_t wsb_members(wsb_server *server, const char *topic, size_t topic_length,
                    int (*visit)(const char *member, size_t member_length, void *user), void *user) noexcept {
  return guarded([&]() -> int64_t {
    if (visit == nullptr) return fail(WSB_E_INVALID, "visit is NULL");
    int64_t calls = 0;
    for (const std::string &member : presence_of(server).members(topic_of(topic, topic_length))) {
      ++calls;
      if (visit(member.c_str(), member.size(), user) != 0) break;
    }
    return calls;
  });
}

}  // extern "C"
