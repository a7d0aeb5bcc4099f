// The newest retained message of each topic, bounded in count and bytes: what was published longest ago makes room. Not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/buffer.h"
#include "core/topic_name.h"

namespace wsb::core {

class RetainedMessages {
 public:
  RetainedMessages(size_t max_messages, uint64_t max_bytes) noexcept
      : max_messages_(max_messages), max_bytes_(max_bytes) {}

  struct Kept {
    std::string topic;
    BufferRef message;
    uint64_t sequence;  // of a durable message; 0: it is a plain one
    uint64_t bytes() const noexcept { return topic.size() + message->size; }
  };

  // False: it is larger than all that may be kept, and nothing has changed. Throws std::bad_alloc likewise.
  bool keep(std::string_view topic, BufferRef message, uint64_t sequence = 0);
  void forget(std::string_view topic) noexcept;
  // Whether a message of so many bytes, frame header included, may be kept at all.
  bool fits(std::string_view topic, size_t message_bytes) const noexcept {
    return topic.size() + message_bytes <= max_bytes_;
  }

  // Calls visit(kept) for each message whose topic the pattern matches, the one published longest ago first.
  template <typename Visit>
  void match(std::string_view pattern, Visit&& visit) const {
    if (!has_wildcard(pattern)) {
      const auto found = by_topic_.find(pattern);
      if (found != by_topic_.end()) visit(*found->second);
      return;
    }
    for (const Kept& kept : in_order_) {
      if (topic_covers(pattern, kept.topic)) visit(kept);
    }
  }

  size_t size() const noexcept { return in_order_.size(); }
  uint64_t bytes() const noexcept { return bytes_; }

 private:
  using Order = std::list<Kept>;
  void erase(Order::iterator kept) noexcept;

  const size_t max_messages_;
  const uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  Order in_order_;
  std::unordered_map<std::string_view, Order::iterator> by_topic_;  // keys lie in the list
};

}  // namespace wsb::core
