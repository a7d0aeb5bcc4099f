// Topics. The input's lines: a first byte tells what happens (s: the next member subscribes, u: unsubscribes, d: drops, p: publish) and
// the rest is a name. The trie must agree with a plain list, and hold nothing in the end.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "core/topic_name.h"
#include "core/topic_trie.h"
#include "core/utf8.h"

namespace {

using namespace wsb::core;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_name(std::string_view name) {
  const TopicError topic = check_topic(name);
  const TopicError pattern = check_pattern(name);
  if (topic == TopicError::kNone)
    require(pattern == TopicError::kNone && !has_wildcard(name) && topic_covers(name, name));
  if (pattern != TopicError::kNone) return;
  require(!name.empty() && name.size() <= kMaxTopicBytes && is_valid_utf8(name));
  require(topic_covers(">", name) && topic_covers(name, name));
  require((topic == TopicError::kNone) != has_wildcard(name));
}

struct Members {
  static constexpr size_t kCount = 4;
  std::array<TopicMember, kCount> members = {TopicMember(nullptr), TopicMember(nullptr), TopicMember(nullptr),
                                             TopicMember(nullptr)};
  std::array<std::set<std::string, std::less<>>, kCount> plain;
};

void publish(TopicTrie& trie, Members& all, std::string_view topic) {
  std::array<size_t, Members::kCount> found = {};
  trie.match(topic, [&](TopicMember& member) { ++found[static_cast<size_t>(&member - all.members.data())]; });
  for (size_t i = 0; i < Members::kCount; ++i) {
    const bool wanted = std::any_of(all.plain[i].begin(), all.plain[i].end(),
                                    [&](const std::string& p) { return topic_covers(p, topic); });
    require(found[i] == (wanted ? 1 : 0));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  TopicTrie trie;
  Members all;
  size_t at = 0;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty()) continue;
    const std::string_view name = line.substr(1);
    check_name(name);
    TopicMember& member = all.members[at];
    auto& plain = all.plain[at];
    at = (at + 1) % Members::kCount;
    const bool is_pattern = check_pattern(name) == TopicError::kNone;
    if (line[0] == 's' && is_pattern) {
      require((trie.subscribe(member, name) == TopicTrie::Change::kNone) == !plain.emplace(name).second);
    } else if (line[0] == 'u' && is_pattern) {
      require((trie.unsubscribe(member, name) == TopicTrie::Change::kNone) == (plain.erase(std::string(name)) == 0));
    } else if (line[0] == 'd') {
      trie.drop(member);
      plain.clear();
    } else if (line[0] == 'p' && check_topic(name) == TopicError::kNone) {
      publish(trie, all, name);
    }
    require(member.size() == plain.size());
  }
  for (TopicMember& member : all.members) trie.drop(member);
  require(trie.nodes() == 0 && trie.subscriptions() == 0);
  return 0;
}
