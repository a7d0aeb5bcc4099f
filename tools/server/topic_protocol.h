// The subprotocol wsbeat.topics.v1: JSON texts in and out, as docs/topics.md describes them. Pure: no connection, no server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tool {

inline constexpr char kTopicSubprotocol[] = "wsbeat.topics.v1";

// What a client asks for.
struct TopicRequest {
  enum class Kind { kSubscribe, kUnsubscribe, kPublish };
  Kind kind = Kind::kSubscribe;
  std::string id;  // as JSON; "" if there is none: then nothing is acknowledged
  std::string topic;
  std::string data;  // as JSON; kPublish
  bool retain = false;
  bool echo = true;
};

// Reads a request. On false `why` says what is wrong with it, and only its id (if it has one) is filled.
bool read_topic_request(std::string_view text, TopicRequest &request, std::string &why);

// `data` and `id` are JSON.
std::string topic_event(std::string_view topic, std::string_view data);
std::string topic_acknowledged(const std::string &id);
std::string topic_published(const std::string &id, uint64_t reached, uint64_t refused, bool crossed);
std::string topic_error(const std::string &id, const char *code, std::string_view text);

}  // namespace tool
