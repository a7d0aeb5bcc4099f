// Which topics are durable, and the stream that keeps them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wsb::nats {

struct DurableSettings {
  std::vector<std::string> patterns;  // none: nothing is durable
  int64_t max_age_ms = 86'400'000;    // 0: no limit
  uint64_t max_bytes = 256 << 20;
  uint32_t replicas = 1;
  uint32_t max_replay = 10'000;
  uint64_t memory_bytes = 8 << 20;
};

class DurableTopics {
 public:
  // `prefix` as in settings, without a dot at its end.
  DurableTopics(const std::string& prefix, std::vector<std::string> patterns);

  // A list with commas; throws std::runtime_error about one that is malformed or overlaps with another without covering it. Those that another one
  // covers are left out.
  static std::vector<std::string> read(std::string_view list);

  bool empty() const noexcept { return patterns_.empty(); }
  // Whether some topic that the pattern matches is durable; of a topic: whether it is.
  bool overlaps(std::string_view pattern) const noexcept;
  // What of the stream a reader for this pattern is to ask for. It may be more than matches: `exact` tells.
  struct Filter {
    std::string subject;  // "": all
    bool exact = true;
  };
  std::optional<Filter> filter(std::string_view pattern) const;

  const std::string& stream() const noexcept { return stream_; }
  std::vector<std::string> subjects() const;

 private:
  const std::string prefix_;  // with its dot
  const std::vector<std::string> patterns_;
  const std::string stream_;
};

// Of a prefix, unambiguously: what a stream's name cannot hold is written as =XX.
std::string stream_name(std::string_view prefix);

}  // namespace wsb::nats
