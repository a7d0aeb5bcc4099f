// Topics: names are checked here, once.
#include "capi/guard.h"
#include "capi/payload.h"
#include "capi/sized.h"
#include "core/buffer.h"
#include "core/topic_name.h"

namespace {

using wsb::capi::fail;
using wsb::capi::guarded;
using wsb::capi::told;
using wsb::core::TopicError;
using wsb::server::ApiError;

std::string_view name_of(const char *topic, size_t length, TopicError (*check)(std::string_view) noexcept) {
  if (topic == nullptr) throw ApiError(WSB_E_INVALID, "topic is NULL");
  const std::string_view name(topic, length);
  const TopicError error = check(name);
  if (error != TopicError::kNone)
    throw ApiError(WSB_E_INVALID, std::string("topic: ") + wsb::core::topic_error_text(error));
  return name;
}

wsb_server &server_of(wsb_server *server) {
  if (server == nullptr) throw ApiError(WSB_E_INVALID, "server is NULL");
  return *server;
}

wsb_publish_options checked(const wsb_publish_options *given) {
  const wsb_publish_options options = wsb::capi::read_sized(given, "wsb_publish_options");
  if ((options.flags & ~uint32_t{WSB_PUBLISH_RETAIN | WSB_PUBLISH_LOCAL}) != 0)
    throw ApiError(WSB_E_INVALID, "flags: not WSB_PUBLISH_ values");
  if (options.reserved != 0) throw ApiError(WSB_E_INVALID, "reserved: must be 0");
  return options;
}

}  // namespace

extern "C" {

int wsb_topic_covers(const char *pattern, size_t pattern_length, const char *other, size_t other_length) noexcept {
  return guarded([&]() -> int {
    const std::string_view wide = name_of(pattern, pattern_length, wsb::core::check_pattern);
    return wsb::core::topic_covers(wide, name_of(other, other_length, wsb::core::check_pattern)) ? 1 : 0;
  });
}

int wsb_subscribe(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length) noexcept {
  return guarded([&]() -> int {
    const std::string_view name = name_of(topic, topic_length, wsb::core::check_pattern);
    return told(server_of(server).subscribe(conn, name));
  });
}

int wsb_unsubscribe(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length) noexcept {
  return guarded([&]() -> int {
    const std::string_view name = name_of(topic, topic_length, wsb::core::check_pattern);
    return told(server_of(server).unsubscribe(conn, name));
  });
}

int64_t wsb_conn_topics(wsb_server *server, wsb_conn conn,
                        int (*visit)(const char *topic, size_t topic_length, void *user), void *user) noexcept {
  return guarded([&]() -> int64_t {
    if (visit == nullptr) return fail(WSB_E_INVALID, "visit is NULL");
    wsb::server::Worker *worker = server_of(server).worker_of(conn);
    std::vector<std::string> topics;
    const int result = worker != nullptr ? worker->subscriptions(conn, topics) : WSB_E_CLOSED;
    if (result != WSB_OK) return told(result);
    int64_t calls = 0;
    for (const std::string &topic : topics) {
      ++calls;
      if (visit(topic.c_str(), topic.size(), user) != 0) break;
    }
    return calls;
  });
}

int wsb_publish(wsb_server *server, const char *topic, size_t topic_length, uint32_t kind, const void *data,
                size_t length, const wsb_publish_options *options, wsb_publish_result *result) noexcept {
  return guarded([&]() -> int {
    wsb_server &publisher = server_of(server);
    const std::string_view name = name_of(topic, topic_length, wsb::core::check_topic);
    const wsb_publish_options wished = checked(options);
    if (result != nullptr) wsb::capi::check_out(result, "wsb_publish_result");
    const int bad = wsb::capi::check_payload(kind, data, length);
    if (bad != WSB_OK) return bad;
    if (length > wsb::capi::kMaxMessageBytes) return told(WSB_E_TOO_BIG);
    const wsb::core::BufferRef message(
        wsb::core::Buffer::create_message(static_cast<wsb::core::Opcode>(kind), data, length));
    if (!message) return told(WSB_E_NOMEM);
    wsb::server::PublishCounts counts;
    const int published = publisher.publish({name, message.get(), wished.exclude}, wished.flags, counts);
    if (published != WSB_OK) return told(published);
    if (result != nullptr) {
      wsb_publish_result made{};
      made.reached = counts.reached;
      made.refused = counts.refused;
      made.backplane = counts.backplane;
      wsb::capi::write_sized(made, result);
    }
    return WSB_OK;
  });
}

}  // extern "C"
