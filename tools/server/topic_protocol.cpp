// Reading with nlohmann's parser, which has been fuzzed for years; writing what is flat with our own.
#include "topic_protocol.h"

#include <nlohmann/json.hpp>

#include "json.h"

namespace tool {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;  // values are written recursively
constexpr size_t kMaxIdBytes = 64;

bool is_deeper_than(std::string_view text, int most) {
  int depth = 0;
  bool in_string = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') {
        ++at;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > most) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

std::string written(const json &value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Each gives false with `why` set, if the field is there and of another kind.
bool read_id(const json &object, std::string &id, std::string &why) {
  const auto found = object.find("id");
  if (found == object.end()) return true;
  const bool number = found->is_number_unsigned();
  const bool text = found->is_string() && found->get_ref<const std::string &>().size() <= kMaxIdBytes;
  if (number || text) {
    id = written(*found);
  } else {
    why = "\"id\" is neither a whole number from 0 on nor a text of at most 64 bytes";
  }
  return number || text;
}

bool read_text(const json &object, const char *name, std::string &value, std::string &why) {
  const auto found = object.find(name);
  if (found != object.end() && found->is_string()) {
    value = found->get_ref<const std::string &>();
    return true;
  }
  why = std::string("\"") + name + "\" is missing or no text";
  return false;
}

bool read_flag(const json &object, const char *name, bool &value, std::string &why) {
  const auto found = object.find(name);
  if (found == object.end()) return true;
  if (found->is_boolean()) {
    value = found->get<bool>();
    return true;
  }
  why = std::string("\"") + name + "\" is neither true nor false";
  return false;
}

bool read_publish(const json &object, TopicRequest &request, std::string &why) {
  const auto data = object.find("data");
  if (data == object.end()) {
    why = "\"data\" is missing";
    return false;
  }
  if (!read_flag(object, "retain", request.retain, why) || !read_flag(object, "echo", request.echo, why)) return false;
  request.data = written(*data);
  return true;
}

JsonObject &with_id(JsonObject &object, const std::string &id) {
  if (!id.empty()) object.raw("id", id);
  return object;
}

}  // namespace

bool read_topic_request(std::string_view text, TopicRequest &request, std::string &why) {
  request = TopicRequest();
  if (is_deeper_than(text, kMaxDepth)) {
    why = "nested deeper than 64 levels";
    return false;
  }
  const json object = json::parse(text.begin(), text.end(), nullptr, false);
  if (!object.is_object()) {
    why = object.is_discarded() ? "not JSON" : "not a JSON object";
    return false;
  }
  std::string type;
  if (!read_id(object, request.id, why) || !read_text(object, "type", type, why)) return false;
  if (type == "subscribe") {
    request.kind = TopicRequest::Kind::kSubscribe;
  } else if (type == "unsubscribe") {
    request.kind = TopicRequest::Kind::kUnsubscribe;
  } else if (type == "publish") {
    request.kind = TopicRequest::Kind::kPublish;
  } else {
    why = "\"type\" is none of subscribe, unsubscribe and publish";
    return false;
  }
  if (!read_text(object, "topic", request.topic, why)) return false;
  return request.kind != TopicRequest::Kind::kPublish || read_publish(object, request, why);
}

std::string topic_event(std::string_view topic, std::string_view data) {
  std::string out;
  JsonObject(out).text("type", "event").text("topic", topic).raw("data", data).end();
  return out;
}

std::string topic_acknowledged(const std::string &id) {
  std::string out;
  JsonObject object(out);
  with_id(object.text("type", "acknowledged"), id).end();
  return out;
}

std::string topic_published(const std::string &id, uint64_t reached, uint64_t refused, bool crossed) {
  std::string out;
  JsonObject object(out);
  with_id(object.text("type", "acknowledged"), id).number("reached", reached).number("refused", refused);
  if (!crossed) object.boolean("crossed", false);
  object.end();
  return out;
}

std::string topic_error(const std::string &id, const char *code, std::string_view text) {
  std::string out;
  JsonObject object(out);
  with_id(object.text("type", "error"), id).text("code", code).text("text", text).end();
  return out;
}

}  // namespace tool
