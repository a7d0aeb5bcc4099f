// Topics: names are checked here, once.
#include <algorithm>

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

constexpr size_t kMaxKeyBytes = 128;

void check_key(const char *key, size_t length) {
  if (key == nullptr && length == 0) return;
  if (key == nullptr || length == 0 || length > kMaxKeyBytes) throw ApiError(WSB_E_INVALID, "key: not 1 to 128 bytes");
  const auto visible = [](char c) { return c > ' ' && c < '\x7f'; };
  if (!std::all_of(key, key + length, visible)) throw ApiError(WSB_E_INVALID, "key: not visible ASCII");
}

wsb_publish_options checked(const wsb_publish_options *given) {
  const wsb_publish_options options = wsb::capi::read_sized(given, "wsb_publish_options");
  if ((options.flags & ~uint32_t{WSB_PUBLISH_RETAIN | WSB_PUBLISH_LOCAL}) != 0)
    throw ApiError(WSB_E_INVALID, "flags: not WSB_PUBLISH_ values");
  if (options.reserved != 0) throw ApiError(WSB_E_INVALID, "reserved: must be 0");
  check_key(options.key, options.key_length);
  return options;
}

int publish_durable(wsb_server &publisher, const wsb::server::DurableMessage &message,
                    const wsb_publish_options &wished, wsb::server::PublishCounts &counts) {
  if ((wished.flags & WSB_PUBLISH_LOCAL) != 0)
    return fail(WSB_E_INVALID, "flags: WSB_PUBLISH_LOCAL does not go with a durable topic");
  const std::string_view key(wished.key, wished.key_length);
  return told(publisher.store({message, key, wished.on_stored, wished.context}, counts));
}

int publish_plain(wsb_server &publisher, const wsb::server::DurableMessage &message, const wsb_publish_options &wished,
                  wsb::server::PublishCounts &counts) {
  const wsb::core::BufferRef framed(wsb::core::Buffer::create_message(message.opcode, message.data, message.size));
  if (!framed) return told(WSB_E_NOMEM);
  return told(publisher.publish({message.topic, framed.get(), wished.exclude}, wished.flags, counts));
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

int wsb_topic_is_durable(wsb_server *server, const char *pattern, size_t pattern_length) noexcept {
  return guarded([&]() -> int {
    const std::string_view name = name_of(pattern, pattern_length, wsb::core::check_pattern);
    const int durable = server_of(server).is_durable(name);
    return durable < 0 ? told(durable) : durable;
  });
}

int wsb_subscribe_with(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length,
                       const wsb_subscribe_options *options) noexcept {
  return guarded([&]() -> int {
    const std::string_view name = name_of(topic, topic_length, wsb::core::check_pattern);
    const wsb_subscribe_options wished = wsb::capi::read_sized(options, "wsb_subscribe_options");
    if ((wished.flags & ~uint32_t{WSB_SUBSCRIBE_RESUME}) != 0)
      return fail(WSB_E_INVALID, "flags: not WSB_SUBSCRIBE_ values");
    if (wished.reserved != 0) return fail(WSB_E_INVALID, "reserved: must be 0");
    const bool resume = (wished.flags & WSB_SUBSCRIBE_RESUME) != 0;
    if (!resume && wished.after != 0) return fail(WSB_E_INVALID, "after: not without WSB_SUBSCRIBE_RESUME");
    const int result = server_of(server).subscribe_with(conn, name, {resume, wished.after});
    return result < 0 ? told(result) : result;
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
    const bool retain = (wished.flags & WSB_PUBLISH_RETAIN) != 0;
    const auto opcode = static_cast<wsb::core::Opcode>(kind);
    const wsb::server::DurableMessage message{name, data, length, opcode, retain, 0, wished.exclude};
    const int durable = publisher.is_durable(name);
    if (durable == 0 && wished.key != nullptr) return fail(WSB_E_INVALID, "key: the topic is not durable");
    wsb::server::PublishCounts counts;
    const int published = durable == 1 ? publish_durable(publisher, message, wished, counts)
                                       : publish_plain(publisher, message, wished, counts);
    if (published != WSB_OK) return published;
    if (result != nullptr) {
      wsb_publish_result made{};
      made.reached = counts.reached;
      made.refused = counts.refused;
      made.backplane = counts.backplane;
      made.durable = durable == 1 ? 1 : 0;
      wsb::capi::write_sized(made, result);
    }
    return WSB_OK;
  });
}

}  // extern "C"
