// JSON strings and flat objects.
#include "json.h"

namespace tool {
namespace {

// Length of the well-formed UTF-8 sequence at the start of `text` (Unicode 15, table 3-7), 0 if it is ill-formed.
size_t utf8_sequence_length(std::string_view text) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t at = 2; at < length; ++at) {
    if ((byte(at) & 0xC0) != 0x80) return 0;
  }
  return length;
}

void append_escaped(std::string &out, char c) {
  static const char digits[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  if (c == '"' || c == '\\') {
    out += '\\';
    out += c;
  } else if (byte < 0x20 || byte == 0x7F) {
    out += "\\u00";
    out += digits[byte >> 4];
    out += digits[byte & 15];
  } else {
    out += c;
  }
}

}  // namespace

void append_json_string(std::string &out, std::string_view value) {
  out += '"';
  while (!value.empty()) {
    const size_t length = utf8_sequence_length(value);
    if (length == 1) {
      append_escaped(out, value.front());
    } else if (length == 0) {
      out += "\\ufffd";
    } else {
      out += value.substr(0, length);
    }
    value.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

void JsonObject::key(const char *name) {
  if (!first_) out_ += ',';
  first_ = false;
  append_json_string(out_, name);
  out_ += ':';
}

JsonObject &JsonObject::text(const char *name, std::string_view value) {
  key(name);
  append_json_string(out_, value);
  return *this;
}

JsonObject &JsonObject::number(const char *name, uint64_t value) {
  key(name);
  out_ += std::to_string(value);
  return *this;
}

JsonObject &JsonObject::boolean(const char *name, bool value) {
  key(name);
  out_ += value ? "true" : "false";
  return *this;
}

JsonObject &JsonObject::raw(const char *name, std::string_view json) {
  key(name);
  out_ += json;
  return *this;
}

JsonObject &JsonObject::id(const char *name, uint64_t value) {
  return text(name, std::to_string(value));
}

}  // namespace tool
