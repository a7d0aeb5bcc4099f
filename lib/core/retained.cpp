// Keeping the newest messages within the bounds.
#include "core/retained.h"

#include <utility>

namespace wsb::core {

bool RetainedMessages::keep(std::string_view topic, BufferRef message, uint64_t sequence) {
  if (!fits(topic, message->size)) return false;
  Order made;
  made.push_back({std::string(topic), std::move(message), sequence});
  const Order::iterator kept = made.begin();
  const auto before = by_topic_.find(topic);
  if (before != by_topic_.end()) {
    const Order::iterator old = before->second;
    auto node = by_topic_.extract(before);  // so that nothing needs memory any more
    bytes_ -= old->bytes();
    in_order_.erase(old);
    node.key() = kept->topic;
    node.mapped() = kept;
    by_topic_.insert(std::move(node));
  } else {
    by_topic_.emplace(kept->topic, kept);
  }
  bytes_ += kept->bytes();
  in_order_.splice(in_order_.end(), made);
  while (in_order_.size() > max_messages_ || bytes_ > max_bytes_) erase(in_order_.begin());
  return true;
}

void RetainedMessages::forget(std::string_view topic) noexcept {
  const auto found = by_topic_.find(topic);
  if (found != by_topic_.end()) erase(found->second);
}

void RetainedMessages::erase(Order::iterator kept) noexcept {
  bytes_ -= kept->bytes();
  by_topic_.erase(kept->topic);
  in_order_.erase(kept);
}

}  // namespace wsb::core
