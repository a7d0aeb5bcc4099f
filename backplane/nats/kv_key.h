// Names of NATS's key-value buckets and their keys, which allow few characters: others are written as =XX.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace wsb::nats {

// A topic as part of a key, token by token; and back, if it is one. Keys allow A-Z a-z 0-9 - _ / = and dots between tokens.
std::string kv_key(std::string_view topic);
std::optional<std::string> kv_topic(std::string_view key);

// The bucket of a prefix: what a bucket's name cannot hold is written as _XX, and a very long one is cut and numbered.
std::string kv_bucket(std::string_view prefix, std::string_view purpose);
inline std::string kv_stream(const std::string& bucket) {
  return "KV_" + bucket;
}
inline std::string kv_subject(const std::string& bucket, const std::string& key) {
  return "$KV." + bucket + "." + key;
}

}  // namespace wsb::nats
