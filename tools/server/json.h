// Writing JSON objects: for events, /info, /api/connections and the dashboard. No reading.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tool {

// Appends the value as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so the result is always valid JSON.
void append_json_string(std::string &out, std::string_view value);

// One flat object, written in the order of the calls: JsonObject(out).text("event", "open").number("n", 1).end().
class JsonObject {
 public:
  explicit JsonObject(std::string &out) : out_(out) { out_ += '{'; }

  JsonObject &text(const char *name, std::string_view value);
  JsonObject &number(const char *name, uint64_t value);
  JsonObject &boolean(const char *name, bool value);
  // A value that is JSON already.
  JsonObject &raw(const char *name, std::string_view json);
  // A 64-bit id as a string of digits: JavaScript's numbers end at 2^53.
  JsonObject &id(const char *name, uint64_t value);
  void end() { out_ += '}'; }

 private:
  void key(const char *name);

  std::string &out_;
  bool first_ = true;
};

}  // namespace tool
