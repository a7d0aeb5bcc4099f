// Nodes know their members and members their nodes, each by index, so that either end is taken off without a search of the other's list.
#include "core/topic_trie.h"

#include <algorithm>

#include "core/topic_name.h"

namespace wsb::core {

using Children = std::unordered_map<std::string_view, std::unique_ptr<TopicNode>>;  // keys lie in the nodes

struct TopicNode {
  TopicNode(TopicNode* its_parent, std::string_view its_token) : parent(its_parent), token(its_token) {}

  struct Entry {
    TopicMember* member;
    uint32_t place;  // in the member's list
    Flow flow = Flow::kLive;
  };

  bool unused() const noexcept { return members.empty() && !children && !star && !tail; }

  TopicNode* parent;
  std::string token;
  std::unique_ptr<Children> children;
  std::unique_ptr<TopicNode> star;  // "*"
  std::unique_ptr<TopicNode> tail;  // ">"
  std::vector<Entry> members;
};

namespace {

constexpr size_t kNowhere = SIZE_MAX;
constexpr size_t kKept = 8;  // entries for which no smaller list is made

template <typename T>
void shrink(std::vector<T>& list) noexcept {
  if (list.capacity() <= kKept || list.size() * 4 > list.capacity()) return;
  try {
    list.shrink_to_fit();
  } catch (const std::bad_alloc&) {  // it stays large
  }
}

void shrink(Children& children) noexcept {
  if (children.bucket_count() <= kKept * 2 || children.size() * 8 > children.bucket_count()) return;
  try {
    children.rehash(0);
  } catch (const std::bad_alloc&) {  // likewise
  }
}

std::string pattern_of(const TopicNode& node) {
  std::string out = node.token;
  for (const TopicNode* at = node.parent; at->parent != nullptr; at = at->parent) out.insert(0, at->token + ".");
  return out;
}

}  // namespace

std::vector<std::string> TopicMember::patterns() const {
  std::vector<std::string> out;
  out.reserve(places_.size());
  for (const Place& place : places_) out.push_back(pattern_of(*place.node));
  return out;
}

TopicTrie::TopicTrie() : root_(std::make_unique<TopicNode>(nullptr, "")) {}

TopicTrie::~TopicTrie() = default;

TopicNode* TopicTrie::find(std::string_view pattern) const noexcept {
  TopicNode* node = root_.get();
  do {
    const std::string_view token = take_token(pattern);
    if (token == "*") {
      node = node->star.get();
    } else if (token == ">") {
      node = node->tail.get();
    } else {
      if (!node->children) return nullptr;
      const auto child = node->children->find(token);
      if (child == node->children->end()) return nullptr;
      node = child->second.get();
    }
  } while (node != nullptr && pattern.data() != nullptr);
  return node;
}

TopicNode& TopicTrie::make_child(TopicNode& parent, std::string_view token) {
  auto made = std::make_unique<TopicNode>(&parent, token);
  TopicNode& child = *made;
  if (token == "*") {
    parent.star = std::move(made);
  } else if (token == ">") {
    parent.tail = std::move(made);
  } else {
    if (!parent.children) {
      auto children = std::make_unique<Children>();
      children->emplace(child.token, std::move(made));
      parent.children = std::move(children);
    } else {
      parent.children->emplace(child.token, std::move(made));
    }
  }
  ++nodes_;
  return child;
}

TopicNode& TopicTrie::make(std::string_view pattern) {
  TopicNode* node = root_.get();
  try {
    do {
      const std::string_view token = take_token(pattern);
      TopicNode* child = nullptr;
      if (token == "*") {
        child = node->star.get();
      } else if (token == ">") {
        child = node->tail.get();
      } else if (node->children) {
        const auto found = node->children->find(token);
        if (found != node->children->end()) child = found->second.get();
      }
      node = child != nullptr ? child : &make_child(*node, token);
    } while (pattern.data() != nullptr);
  } catch (...) {
    prune(node);
    throw;
  }
  return *node;
}

// Frees the node and its ancestors as far as nobody needs them.
void TopicTrie::prune(TopicNode* node) noexcept {
  while (node != root_.get() && node->unused()) {
    TopicNode* const parent = node->parent;
    if (parent->star.get() == node) {
      parent->star.reset();
    } else if (parent->tail.get() == node) {
      parent->tail.reset();
    } else {
      parent->children->erase(parent->children->find(node->token));
      if (parent->children->empty()) {
        parent->children.reset();
      } else {
        shrink(*parent->children);
      }
    }
    --nodes_;
    node = parent;
  }
}

// Looks through the shorter of the two lists.
size_t TopicTrie::place_of(const TopicMember& member, const TopicNode& node) noexcept {
  if (node.members.size() < member.places_.size()) {
    for (const TopicNode::Entry& entry : node.members) {
      if (entry.member == &member) return entry.place;
    }
    return kNowhere;
  }
  for (size_t i = 0; i < member.places_.size(); ++i) {
    if (member.places_[i].node == &node) return i;
  }
  return kNowhere;
}

TopicTrie::Change TopicTrie::subscribe(TopicMember& member, std::string_view pattern) {
  TopicNode& node = make(pattern);
  if (place_of(member, node) != kNowhere) return Change::kNone;
  const auto index = static_cast<uint32_t>(node.members.size());
  const auto place = static_cast<uint32_t>(member.places_.size());
  try {
    node.members.push_back({&member, place, Flow::kLive});
    member.places_.push_back({&node, index});
  } catch (...) {
    node.members.resize(index);
    prune(&node);
    throw;
  }
  ++subscriptions_;
  return index == 0 ? Change::kOnly : Change::kOneOfMany;
}

// The last of each list takes the gap.
TopicTrie::Change TopicTrie::remove(TopicMember& member, size_t place) noexcept {
  const TopicMember::Place gone = member.places_[place];
  member.places_[place] = member.places_.back();
  member.places_[place].node->members[member.places_[place].index].place = static_cast<uint32_t>(place);
  member.places_.pop_back();
  TopicNode& node = *gone.node;
  node.members[gone.index] = node.members.back();
  const TopicNode::Entry& moved = node.members[gone.index];
  if (moved.member != &member) moved.member->places_[moved.place].index = gone.index;
  node.members.pop_back();
  --subscriptions_;
  shrink(member.places_);
  shrink(node.members);
  if (!node.members.empty()) return Change::kOneOfMany;
  prune(&node);
  return Change::kOnly;
}

TopicTrie::Change TopicTrie::unsubscribe(TopicMember& member, std::string_view pattern) noexcept {
  const TopicNode* const node = find(pattern);
  if (node == nullptr) return Change::kNone;
  const size_t place = place_of(member, *node);
  return place == kNowhere ? Change::kNone : remove(member, place);
}

bool TopicTrie::is_subscribed(const TopicMember& member, std::string_view pattern) const noexcept {
  const TopicNode* const node = find(pattern);
  return node != nullptr && place_of(member, *node) != kNowhere;
}

TopicTrie::Change TopicTrie::drop_one(TopicMember& member, std::string& pattern) {
  pattern = pattern_of(*member.places_.back().node);
  return remove(member, member.places_.size() - 1);
}

void TopicTrie::drop(TopicMember& member) noexcept {
  while (!member.places_.empty()) (void)remove(member, member.places_.size() - 1);
}

bool TopicTrie::set_flow(const TopicMember& member, std::string_view pattern, Flow flow) noexcept {
  TopicNode* const node = find(pattern);
  const size_t place = node != nullptr ? place_of(member, *node) : kNowhere;
  if (place == kNowhere) return false;
  node->members[member.places_[place].index].flow = flow;
  return true;
}

std::vector<std::string> TopicTrie::patterns(const TopicMember& member, std::string_view topic, Flow flow) const {
  std::vector<std::string> out;
  for (const TopicMember::Place& place : member.places_) {
    if (place.node->members[place.index].flow != flow) continue;
    std::string pattern = pattern_of(*place.node);
    if (topic_covers(pattern, topic)) out.push_back(std::move(pattern));
  }
  return out;
}

void TopicTrie::visit_members(const TopicNode& node, const Walk& walk) {
  for (const TopicNode::Entry& entry : node.members) {
    const bool again = entry.member->round_ == round_;
    entry.member->round_ = round_;
    walk.each(walk.to, *entry.member, entry.flow, again);
  }
}

// As deep as the topic has tokens: at most 128.
void TopicTrie::walk_node(const TopicNode& node, std::string_view rest, const Walk& walk) {
  if (rest.data() == nullptr) return visit_members(node, walk);
  if (node.tail) visit_members(*node.tail, walk);
  const std::string_view token = take_token(rest);
  if (node.star) walk_node(*node.star, rest, walk);
  if (!node.children) return;
  const auto child = node.children->find(token);
  if (child != node.children->end()) walk_node(*child->second, rest, walk);
}

void TopicTrie::walk(std::string_view topic, const Walk& walk) {
  walk_node(*root_, topic, walk);
}

}  // namespace wsb::core
