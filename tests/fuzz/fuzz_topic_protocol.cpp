// Requests of wsbeat.topics.v1: what is read can be written, and what was written reads back the same.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/utf8.h"
#include "json.h"
#include "topic_protocol.h"

namespace {

using namespace tool;

void require(bool holds) {
  if (!holds) std::abort();
}

const char* type_of(TopicRequest::Kind kind) {
  switch (kind) {
    case TopicRequest::Kind::kSubscribe:
      return "subscribe";
    case TopicRequest::Kind::kUnsubscribe:
      return "unsubscribe";
    case TopicRequest::Kind::kPublish:
      return "publish";
    case TopicRequest::Kind::kJoin:
      return "join";
    case TopicRequest::Kind::kLeave:
      return "leave";
    case TopicRequest::Kind::kWatch:
      return "watch";
    case TopicRequest::Kind::kUnwatch:
      return "unwatch";
  }
  return "";
}

std::string quoted(const std::string& text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string written(const TopicRequest& request) {
  std::string out = "{\"topic\":" + quoted(request.topic) + ",\"type\":\"" + type_of(request.kind) + "\"";
  if (request.after) out += ",\"after\":" + std::to_string(*request.after);
  if (request.kind == TopicRequest::Kind::kJoin) out += ",\"member\":" + quoted(request.member);
  if (request.kind == TopicRequest::Kind::kPublish) {
    out += ",\"data\":" + request.data;
    out += std::string(",\"retain\":") + (request.retain ? "true" : "false");
    out += std::string(",\"echo\":") + (request.echo ? "true" : "false");
    if (!request.key.empty()) out += ",\"key\":" + quoted(request.key);
  }
  if (!request.id.empty()) out += ",\"id\":" + request.id;
  return out + "}";
}

// What comes from NATS may be anything; what is made of it is JSON if it was.
void check_durable(const std::string& event, bool is_object) {
  const std::string made = topic_durable_event(event, 7, "a.*");
  require(made.empty() ? !is_object : wsb::core::is_valid_utf8(made));
  if (!is_object) return;
  const auto parsed = nlohmann::json::parse(made, nullptr, false);
  require(parsed.is_object() && parsed["sequence"] == 7 && parsed["replay"] == "a.*");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!wsb::core::is_valid_utf8(text)) return 0;  // no text message has it
  TopicRequest request;
  std::string why;
  const bool is_request = read_topic_request(text, request, why);
  check_durable(std::string(text), is_request && text.find('\0') == std::string_view::npos);  // where the parser ends
  if (!is_request) {
    require(!why.empty());
    require(wsb::core::is_valid_utf8(topic_error(request.id, "bad_request", why)));
    return 0;
  }
  require(why.empty());
  const std::string event = topic_event(request.topic, request.data.empty() ? "null" : request.data);
  require(wsb::core::is_valid_utf8(event));
  check_durable(event, true);
  TopicRequest again;
  require(read_topic_request(written(request), again, why));
  require(again.kind == request.kind && again.id == request.id && again.topic == request.topic &&
          again.data == request.data && again.retain == request.retain && again.echo == request.echo &&
          again.after == request.after && again.key == request.key && again.member == request.member);
  require(wsb::core::is_valid_utf8(topic_presence(request.topic, request.member, true)));
  require(wsb::core::is_valid_utf8(topic_members(request.id, {request.member, request.topic})));
  require(topic_acknowledged(request.id).size() < 512 && topic_stored(request.id, UINT64_MAX, true).size() < 512 &&
          topic_resumed(request.id, UINT64_MAX, true).size() < 512);
  return 0;
}
