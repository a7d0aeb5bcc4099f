// The subprotocol wsbeat.topics.v1: JSON texts in and out, as docs/topics.md describes them. Pure: no connection, no server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tool {

inline constexpr char kTopicSubprotocol[] = "wsbeat.topics.v1";

// What a client asks for.
struct TopicRequest {
  enum class Kind { kSubscribe, kUnsubscribe, kPublish, kJoin, kLeave, kWatch, kUnwatch };
  Kind kind = Kind::kSubscribe;
  std::string id;  // as JSON; "" if there is none: then nothing is acknowledged
  std::string topic;
  std::optional<uint64_t> after;  // kSubscribe
  std::string data;               // as JSON; kPublish
  std::string key;                // kPublish; "": none
  std::string member;             // kJoin
  bool retain = false;
  bool echo = true;
};

// Reads a request. On false `why` says what is wrong with it, and only its id (if it has one) is filled.
bool read_topic_request(std::string_view text, TopicRequest &request, std::string &why);

// `data` and `id` are JSON.
std::string topic_event(std::string_view topic, std::string_view data);
std::string topic_acknowledged(const std::string &id);
std::string topic_published(const std::string &id, uint64_t reached, uint64_t refused, bool crossed);
std::string topic_stored(const std::string &id, uint64_t sequence, bool duplicate);
std::string topic_resumed(const std::string &id, uint64_t sequence, bool missed);
std::string topic_members(const std::string &id, const std::vector<std::string> &members);
std::string topic_presence(std::string_view topic, std::string_view member, bool present);
std::string topic_error(const std::string &id, const char *code, std::string_view text);

// An event as it was published, with its sequence and, in a replay, the subscription (else ""). "" if it is no JSON object, as what
// other clients of NATS publish may be.
std::string topic_durable_event(std::string_view event, uint64_t sequence, std::string_view replay);

}  // namespace tool
