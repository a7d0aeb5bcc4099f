// Requests of wsbeat.topics.v1: what is read can be written, and what was written reads back the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/utf8.h"
#include "topic_protocol.h"

namespace {

using namespace tool;

void require(bool holds) {
  if (!holds) std::abort();
}

std::string written(const TopicRequest& request, const std::string& topic_as_json) {
  std::string out = "{\"topic\":" + topic_as_json;
  switch (request.kind) {
    case TopicRequest::Kind::kSubscribe:
      out += ",\"type\":\"subscribe\"";
      break;
    case TopicRequest::Kind::kUnsubscribe:
      out += ",\"type\":\"unsubscribe\"";
      break;
    case TopicRequest::Kind::kPublish:
      out += ",\"type\":\"publish\",\"data\":" + request.data;
      out += std::string(",\"retain\":") + (request.retain ? "true" : "false");
      out += std::string(",\"echo\":") + (request.echo ? "true" : "false");
  }
  if (!request.id.empty()) out += ",\"id\":" + request.id;
  return out + "}";
}

// Everything after the key: with it an event's own writing of the topic is taken.
std::string json_of(const std::string& topic) {
  const std::string event = topic_event(topic, "0");
  const std::string before = "{\"type\":\"event\",\"topic\":";
  const std::string after = ",\"data\":0}";
  return event.substr(before.size(), event.size() - before.size() - after.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!wsb::core::is_valid_utf8(text)) return 0;  // no text message has it
  TopicRequest request;
  std::string why;
  if (!read_topic_request(text, request, why)) {
    require(!why.empty());
    require(wsb::core::is_valid_utf8(topic_error(request.id, "bad_request", why)));
    return 0;
  }
  require(why.empty());
  require(wsb::core::is_valid_utf8(topic_event(request.topic, request.data)));
  TopicRequest again;
  require(read_topic_request(written(request, json_of(request.topic)), again, why));
  require(again.kind == request.kind && again.id == request.id && again.topic == request.topic &&
          again.data == request.data && again.retain == request.retain && again.echo == request.echo);
  require(topic_acknowledged(request.id).size() < 512);
  return 0;
}
