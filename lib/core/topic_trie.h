// Who wants which topics: a trie over tokens. Not synchronised. Its nodes live as long as somebody needs them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace wsb::core {

class TopicTrie;
struct TopicNode;

// What a subscription gets of durable messages; plain ones flow whatever this says. The values add up to sets.
enum class Flow : uint8_t {
  kLive = 1,    // new ones
  kPaused = 2,  // a replay first, for whose end its client waits
  kLagging = 4  // it was live until its queue refused one: a replay, of which its client knows nothing
};

// One that subscribes; at most once to each pattern. Its owner keeps it where it is, and drops it from the trie before it ends.
class TopicMember {
 public:
  explicit TopicMember(void* owner) noexcept : owner_(owner) {}
  TopicMember(const TopicMember&) = delete;
  TopicMember& operator=(const TopicMember&) = delete;

  void* owner() const noexcept { return owner_; }
  size_t size() const noexcept { return places_.size(); }
  std::vector<std::string> patterns() const;

 private:
  friend class TopicTrie;
  struct Place {
    TopicNode* node;
    uint32_t index;  // in the node's list
  };
  void* owner_;
  std::vector<Place> places_;
  uint64_t round_ = 0;  // of the last match that found it
  uint8_t flows_ = 0;   // that this match found
};

class TopicTrie {
 public:
  TopicTrie();
  ~TopicTrie();
  TopicTrie(const TopicTrie&) = delete;
  TopicTrie& operator=(const TopicTrie&) = delete;

  enum class Change : uint8_t {
    kNone,       // there before, or not there
    kOneOfMany,  // others have the same pattern
    kOnly        // the first with this pattern, or the last
  };

  // The pattern must be well-formed. Throws std::bad_alloc, and then nothing has changed.
  Change subscribe(TopicMember& member, std::string_view pattern);
  Change unsubscribe(TopicMember& member, std::string_view pattern) noexcept;
  bool is_subscribed(const TopicMember& member, std::string_view pattern) const noexcept;
  // Takes one subscription, whichever, off a member that has any.
  Change drop_one(TopicMember& member, std::string& pattern);
  // All of a member's subscriptions; allocates nothing.
  void drop(TopicMember& member) noexcept;

  // Calls visit(member) once for each member with a pattern that matches the topic. It must not change the trie.
  template <typename Visit>
  void match(std::string_view topic, Visit&& visit) {
    const auto first = [&](TopicMember& member, Flow /*flow*/, bool again) {
      if (!again) visit(member);
    };
    match_all(topic, first);
  }
  // The same with visit(member, flows): the set of Flow values of its subscriptions that match. It may change flows.
  template <typename Visit>
  void match_flows(std::string_view topic, Visit&& visit) {
    std::vector<TopicMember*> found;
    const auto collect = [&](TopicMember& member, Flow flow, bool again) {
      if (!again) {
        found.push_back(&member);
        member.flows_ = 0;
      }
      member.flows_ = static_cast<uint8_t>(member.flows_ | static_cast<uint8_t>(flow));
    };
    match_all(topic, collect);
    for (TopicMember* member : found) visit(*member, member->flows_);
  }

  // Of a new subscription kLive. False: there is no such subscription.
  bool set_flow(const TopicMember& member, std::string_view pattern, Flow flow) noexcept;
  // A member's patterns that match the topic and have this flow.
  std::vector<std::string> patterns(const TopicMember& member, std::string_view topic, Flow flow) const;

  size_t nodes() const noexcept { return nodes_; }
  size_t subscriptions() const noexcept { return subscriptions_; }

 private:
  // `again`: another subscription of this member matched before.
  using Each = void (*)(const void* to, TopicMember& member, Flow flow, bool again);
  struct Walk {
    Each each;
    const void* to;
  };
  template <typename Visit>
  void match_all(std::string_view topic, const Visit& visit) {
    ++round_;
    struct Call {
      static void each(const void* to, TopicMember& member, Flow flow, bool again) {
        (*static_cast<const Visit*>(to))(member, flow, again);
      }
    };
    walk(topic, {&Call::each, &visit});
  }
  void walk(std::string_view topic, const Walk& walk);
  void walk_node(const TopicNode& node, std::string_view rest, const Walk& walk);
  void visit_members(const TopicNode& node, const Walk& walk);
  TopicNode* find(std::string_view pattern) const noexcept;
  TopicNode& make(std::string_view pattern);
  TopicNode& make_child(TopicNode& parent, std::string_view token);
  void prune(TopicNode* node) noexcept;
  Change remove(TopicMember& member, size_t place) noexcept;
  static size_t place_of(const TopicMember& member, const TopicNode& node) noexcept;

  std::unique_ptr<TopicNode> root_;
  size_t nodes_ = 0;
  size_t subscriptions_ = 0;
  uint64_t round_ = 0;
};

}  // namespace wsb::core
