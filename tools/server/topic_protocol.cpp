// Reading with nlohmann's parser, which has been fuzzed for years; writing what is flat with our own.
#include "topic_protocol.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "json.h"

namespace tool {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;  // values are written recursively
constexpr size_t kMaxIdBytes = 64;
constexpr size_t kMaxKeyBytes = 128;  // of wsb_publish_options

constexpr std::pair<const char *, TopicRequest::Kind> kKinds[] = {
    {"subscribe", TopicRequest::Kind::kSubscribe}, {"unsubscribe", TopicRequest::Kind::kUnsubscribe},
    {"publish", TopicRequest::Kind::kPublish},     {"join", TopicRequest::Kind::kJoin},
    {"leave", TopicRequest::Kind::kLeave},         {"watch", TopicRequest::Kind::kWatch},
    {"unwatch", TopicRequest::Kind::kUnwatch},
};

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

bool read_after(const json &object, TopicRequest &request, std::string &why) {
  const auto found = object.find("after");
  if (found == object.end()) return true;
  if (found->is_number_unsigned()) {
    request.after = found->get<uint64_t>();
    return true;
  }
  why = "\"after\" is no whole number from 0 on";
  return false;
}

bool read_key(const json &object, std::string &key, std::string &why) {
  if (object.find("key") == object.end()) return true;
  const auto visible = [](char c) { return c > ' ' && c <= '~'; };
  if (!read_text(object, "key", key, why) || key.empty() || key.size() > kMaxKeyBytes ||
      !std::all_of(key.begin(), key.end(), visible)) {
    why = "\"key\" is no text of 1 to 128 visible ASCII characters";
    return false;
  }
  return true;
}

bool read_publish(const json &object, TopicRequest &request, std::string &why) {
  const auto data = object.find("data");
  if (data == object.end()) {
    why = "\"data\" is missing";
    return false;
  }
  if (!read_flag(object, "retain", request.retain, why) || !read_flag(object, "echo", request.echo, why) ||
      !read_key(object, request.key, why)) {
    return false;
  }
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
  const auto *const known =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto &kind) { return type == kind.first; });
  if (known == std::end(kKinds)) {
    why = "\"type\" is none of subscribe, unsubscribe, publish, join, leave, watch and unwatch";
    return false;
  }
  request.kind = known->second;
  if (!read_text(object, "topic", request.topic, why)) return false;
  switch (request.kind) {
    case TopicRequest::Kind::kSubscribe:
      return read_after(object, request, why);
    case TopicRequest::Kind::kPublish:
      return read_publish(object, request, why);
    case TopicRequest::Kind::kJoin:
      return read_text(object, "member", request.member, why);
    default:
      return true;
  }
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

std::string topic_stored(const std::string &id, uint64_t sequence, bool duplicate) {
  std::string out;
  JsonObject object(out);
  with_id(object.text("type", "acknowledged"), id).boolean("stored", true).number("sequence", sequence);
  if (duplicate) object.boolean("duplicate", true);
  object.end();
  return out;
}

std::string topic_resumed(const std::string &id, uint64_t sequence, bool missed) {
  std::string out;
  JsonObject object(out);
  with_id(object.text("type", "acknowledged"), id).number("sequence", sequence);
  if (missed) object.boolean("missed", true);
  object.end();
  return out;
}

std::string topic_members(const std::string &id, const std::vector<std::string> &members) {
  std::string list = "[";
  for (const std::string &member : members) {
    if (list.size() > 1) list += ',';
    append_json_string(list, member);
  }
  std::string out;
  JsonObject object(out);
  with_id(object.text("type", "acknowledged"), id).raw("members", list + "]").end();
  return out;
}

std::string topic_presence(std::string_view topic, std::string_view member, bool present) {
  std::string out;
  JsonObject(out)
      .text("type", "presence")
      .text("topic", topic)
      .text("member", member)
      .boolean("present", present)
      .end();
  return out;
}

std::string topic_durable_event(std::string_view event, uint64_t sequence, std::string_view replay) {
  constexpr char kSpace[] = " \t\r\n";
  const size_t first = event.find_first_not_of(kSpace);
  const size_t end = event.find_last_not_of(kSpace);
  if (first == std::string_view::npos || first == end || event[first] != '{' || event[end] != '}') return "";
  const std::string_view members = event.substr(first + 1, end - first - 1);
  std::string out;
  out.reserve(members.size() + replay.size() + 48);
  out += '{';
  out += members;
  if (members.find_first_not_of(kSpace) != std::string_view::npos) out += ',';
  out += "\"sequence\":" + std::to_string(sequence);
  if (!replay.empty()) {
    out += ",\"replay\":";
    append_json_string(out, replay);
  }
  out += '}';
  return out;
}

std::string topic_error(const std::string &id, const char *code, std::string_view text) {
  std::string out;
  JsonObject object(out);
  with_id(object.text("type", "error"), id).text("code", code).text("text", text).end();
  return out;
}

}  // namespace tool
