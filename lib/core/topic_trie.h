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
    ++round_;
    struct Call {
      static void each(void* to, TopicMember& member) { (*static_cast<std::remove_reference_t<Visit>*>(to))(member); }
    };
    walk(topic, &Call::each, &visit);
  }

  size_t nodes() const noexcept { return nodes_; }
  size_t subscriptions() const noexcept { return subscriptions_; }

 private:
  using Each = void (*)(void* to, TopicMember& member);
  struct Walk {
    Each each;
    void* to;
  };
  void walk(std::string_view topic, Each each, void* to);
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
