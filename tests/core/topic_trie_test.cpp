// The trie: each member once, whatever matches; against a plain list under random changes; and its memory comes back.
#include "core/topic_trie.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/topic_name.h"
#include "memory_shortage.h"

namespace {

using namespace wsb::core;
using Change = TopicTrie::Change;

std::multiset<const TopicMember*> matched(TopicTrie& trie, std::string_view topic) {
  std::multiset<const TopicMember*> out;
  trie.match(topic, [&](TopicMember& member) { out.insert(&member); });
  return out;
}

TEST(TopicTrie, MatchesExactAndWildcards) {
  TopicTrie trie;
  TopicMember exact(nullptr);
  TopicMember star(nullptr);
  TopicMember tail(nullptr);
  trie.subscribe(exact, "orders.17.created");
  trie.subscribe(star, "orders.*.created");
  trie.subscribe(tail, "orders.>");
  EXPECT_EQ(matched(trie, "orders.17.created"), (std::multiset<const TopicMember*>{&exact, &star, &tail}));
  EXPECT_EQ(matched(trie, "orders.18.created"), (std::multiset<const TopicMember*>{&star, &tail}));
  EXPECT_EQ(matched(trie, "orders.18"), (std::multiset<const TopicMember*>{&tail}));
  EXPECT_TRUE(matched(trie, "orders").empty());
  EXPECT_TRUE(matched(trie, "other.17.created").empty());
  for (TopicMember* member : {&exact, &star, &tail}) trie.drop(*member);
}

TEST(TopicTrie, FindsAMemberOnceHoweverManyPatternsMatch) {
  TopicTrie trie;
  TopicMember member(nullptr);
  for (const char* pattern : {"a.b.c", "a.*.c", "a.b.*", "*.b.c", "*.*.*", "a.>", ">", "*.>", "a.b.>"}) {
    EXPECT_EQ(trie.subscribe(member, pattern), Change::kOnly) << pattern;
    EXPECT_EQ(trie.subscribe(member, pattern), Change::kNone) << pattern;
  }
  EXPECT_EQ(matched(trie, "a.b.c").size(), 1u);
  EXPECT_EQ(matched(trie, "a.b.c").size(), 1u) << "again";
  EXPECT_EQ(member.size(), 9u);
  EXPECT_EQ(trie.subscriptions(), 9u);
  trie.drop(member);
  EXPECT_EQ(trie.nodes(), 0u);
}

TEST(TopicTrie, TellsTheFirstAndTheLastOfAPattern) {
  TopicTrie trie;
  TopicMember one(nullptr);
  TopicMember two(nullptr);
  EXPECT_EQ(trie.subscribe(one, "a.*"), Change::kOnly);
  EXPECT_EQ(trie.subscribe(two, "a.*"), Change::kOneOfMany);
  EXPECT_EQ(trie.unsubscribe(one, "a.b"), Change::kNone);
  EXPECT_EQ(trie.unsubscribe(one, "a.*"), Change::kOneOfMany);
  EXPECT_EQ(trie.unsubscribe(one, "a.*"), Change::kNone);
  EXPECT_TRUE(trie.is_subscribed(two, "a.*"));
  EXPECT_FALSE(trie.is_subscribed(one, "a.*"));
  std::string pattern;
  EXPECT_EQ(trie.drop_one(two, pattern), Change::kOnly);
  EXPECT_EQ(pattern, "a.*");
  EXPECT_EQ(trie.nodes(), 0u);
}

using Flows = std::map<const TopicMember*, uint8_t>;

Flows flows(TopicTrie& trie, std::string_view topic) {
  Flows out;
  trie.match_flows(topic, [&](TopicMember& member, uint8_t set) {
    EXPECT_EQ(out.count(&member), 0u) << "once for each member";
    out[&member] = set;
  });
  return out;
}

constexpr uint8_t kLive = static_cast<uint8_t>(Flow::kLive);
constexpr uint8_t kPaused = static_cast<uint8_t>(Flow::kPaused);
constexpr uint8_t kLagging = static_cast<uint8_t>(Flow::kLagging);

TEST(TopicTrie, TellsTheFlowsOfAllSubscriptionsThatMatch) {
  TopicTrie trie;
  TopicMember one(nullptr);
  TopicMember two(nullptr);
  for (const char* pattern : {"a.b", "a.*", "a.>", "c"}) trie.subscribe(one, pattern);
  trie.subscribe(two, "a.*");
  EXPECT_EQ(flows(trie, "a.b"), (Flows{{&one, kLive}, {&two, kLive}})) << "new subscriptions are live";
  EXPECT_TRUE(trie.set_flow(one, "a.*", Flow::kPaused));
  EXPECT_TRUE(trie.set_flow(one, "a.>", Flow::kLagging));
  EXPECT_TRUE(trie.set_flow(two, "a.*", Flow::kPaused));
  EXPECT_FALSE(trie.set_flow(one, "a.c", Flow::kPaused));
  EXPECT_FALSE(trie.set_flow(two, "c", Flow::kPaused)) << "another's";
  EXPECT_EQ(flows(trie, "a.b"), (Flows{{&one, kLive | kPaused | kLagging}, {&two, kPaused}}));
  EXPECT_EQ(flows(trie, "a.c"), (Flows{{&one, kPaused | kLagging}, {&two, kPaused}}));
  EXPECT_EQ(flows(trie, "a.b.c"), (Flows{{&one, kLagging}}));
  EXPECT_EQ(matched(trie, "a.b"), (std::multiset<const TopicMember*>{&one, &two})) << "plain messages flow";
  EXPECT_EQ(trie.patterns(one, "a.b", Flow::kLive), std::vector<std::string>{"a.b"});
  EXPECT_EQ(trie.patterns(one, "a.c", Flow::kPaused), std::vector<std::string>{"a.*"});
  EXPECT_TRUE(trie.patterns(one, "a.c", Flow::kLive).empty());
  trie.drop(one);
  EXPECT_EQ(flows(trie, "a.b"), (Flows{{&two, kPaused}})) << "it has moved in its node's list, and kept its flow";
  trie.unsubscribe(two, "a.*");
  trie.subscribe(two, "a.*");
  EXPECT_EQ(flows(trie, "a.b"), (Flows{{&two, kLive}})) << "a new subscription";
  trie.drop(two);
}

// Flows under random changes, against a plain map.
TEST(TopicTrie, FlowsStayWithTheirSubscriptions) {
  std::mt19937 random(23);
  const std::vector<std::string> patterns = {"a", "b", "a.b", "*", "*.b", "a.*", ">", "a.>"};
  const std::vector<Flow> all = {Flow::kLive, Flow::kPaused, Flow::kLagging};
  TopicTrie trie;
  std::vector<std::unique_ptr<TopicMember>> members;
  std::map<const TopicMember*, std::map<std::string, Flow>> plain;
  for (int i = 0; i < 12; ++i) members.push_back(std::make_unique<TopicMember>(nullptr));
  for (int step = 0; step < 20000; ++step) {
    TopicMember& member = *members[random() % members.size()];
    const std::string& pattern = patterns[random() % patterns.size()];
    auto& its = plain[&member];
    const unsigned action = random() % 8;
    if (action < 3) {
      trie.subscribe(member, pattern);
      its.emplace(pattern, Flow::kLive);
    } else if (action < 5) {
      trie.unsubscribe(member, pattern);
      its.erase(pattern);
    } else {
      const Flow flow = all[random() % all.size()];
      ASSERT_EQ(trie.set_flow(member, pattern, flow), its.count(pattern) != 0);
      if (its.count(pattern) != 0) its[pattern] = flow;
    }
    const std::string topic = std::array{"a", "b", "a.b", "b.b", "c.c"}[random() % 5];
    Flows wanted;
    for (const auto& [who, list] : plain) {
      for (const auto& [name, flow] : list) {
        if (topic_covers(name, topic)) wanted[who] = static_cast<uint8_t>(wanted[who] | static_cast<uint8_t>(flow));
      }
    }
    ASSERT_EQ(flows(trie, topic), wanted) << topic;
  }
  for (const auto& member : members) trie.drop(*member);
}

TEST(TopicTrie, PatternsReadBackAsTheyWereGiven) {
  TopicTrie trie;
  TopicMember member(nullptr);
  const std::set<std::string> patterns = {"a", ">", "*", "a.b", "a.*.c", "x.y.>", "*.*", "\xe2\x82\xac.1"};
  for (const std::string& pattern : patterns) trie.subscribe(member, pattern);
  const std::vector<std::string> listed = member.patterns();
  EXPECT_EQ(std::set<std::string>(listed.begin(), listed.end()), patterns);
  EXPECT_EQ(listed.size(), patterns.size());
  trie.drop(member);
}

// What the trie says against members with plain sets of patterns.
TEST(TopicTrie, AgreesWithAPlainList) {
  std::mt19937 random(17);
  const std::vector<std::string> tokens = {"a", "b", "c", "*", ">"};
  const auto name = [&](size_t alphabet) {
    std::string out = tokens[random() % alphabet];
    for (size_t more = random() % 4; more > 0; --more) out += "." + tokens[random() % alphabet];
    return out;
  };
  TopicTrie trie;
  std::vector<std::unique_ptr<TopicMember>> members;
  std::map<const TopicMember*, std::set<std::string>> plain;
  for (int i = 0; i < 20; ++i) members.push_back(std::make_unique<TopicMember>(nullptr));
  size_t checked = 0;
  for (int step = 0; step < 20000; ++step) {
    TopicMember& member = *members[random() % members.size()];
    std::set<std::string>& its = plain[&member];
    const std::string pattern = name(tokens.size());
    if (check_pattern(pattern) != TopicError::kNone) continue;
    const auto holders = [&] {
      return std::count_if(plain.begin(), plain.end(),
                           [&](const auto& entry) { return entry.second.count(pattern) != 0; });
    };
    const unsigned action = random() % 16;
    if (action < 9) {
      const Change wanted = its.count(pattern) != 0 ? Change::kNone
                            : holders() == 0        ? Change::kOnly
                                                    : Change::kOneOfMany;
      ASSERT_EQ(trie.subscribe(member, pattern), wanted) << pattern;
      its.insert(pattern);
    } else if (action < 15) {
      const Change wanted = its.count(pattern) == 0 ? Change::kNone
                            : holders() == 1        ? Change::kOnly
                                                    : Change::kOneOfMany;
      ASSERT_EQ(trie.unsubscribe(member, pattern), wanted) << pattern;
      its.erase(pattern);
    } else {
      trie.drop(member);
      its.clear();
    }
    ASSERT_EQ(member.size(), its.size());
    const std::string topic = name(3);
    std::multiset<const TopicMember*> wanted;
    for (const auto& [who, patterns] : plain) {
      if (std::any_of(patterns.begin(), patterns.end(), [&](const std::string& p) { return topic_covers(p, topic); }))
        wanted.insert(who);
    }
    ASSERT_EQ(matched(trie, topic), wanted) << topic;
    checked += wanted.size();
  }
  EXPECT_GT(checked, 10000u) << "much was matched";
  for (const auto& member : members) trie.drop(*member);
  EXPECT_EQ(trie.nodes(), 0u);
  EXPECT_EQ(trie.subscriptions(), 0u);
}

TEST(TopicTrie, MemoryComesBack) {
  TopicTrie trie;
  TopicMember many(nullptr);
  std::vector<std::unique_ptr<TopicMember>> crowd;
  for (int i = 0; i < 1000; ++i) crowd.push_back(std::make_unique<TopicMember>(nullptr));
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 10000; ++i) trie.subscribe(many, "users." + std::to_string(i) + ".inbox");
  for (const auto& member : crowd) trie.subscribe(*member, "users.*.inbox");
  EXPECT_EQ(trie.nodes(), 1u + 10000 + 10000 + 2);
  const size_t full = mallinfo2().uordblks;
  // Sanitizers have allocators of their own.
  EXPECT_TRUE(full > before + 1'000'000 || !wsb::core::testing::kCanPlayShortage);
  for (int i = 0; i < 10000; ++i)
    ASSERT_EQ(trie.unsubscribe(many, "users." + std::to_string(i) + ".inbox"), Change::kOnly);
  for (const auto& member : crowd) trie.drop(*member);
  EXPECT_EQ(trie.nodes(), 0u);
  // Lists of up to eight entries keep their room.
  EXPECT_LT(mallinfo2().uordblks, before + 1001 * 8 * 16 + 4096);
}

TEST(TopicTrie, AsDeepAsANameCanBe) {
  TopicTrie trie;
  TopicMember exact(nullptr);
  TopicMember stars(nullptr);
  std::string topic = "a";
  std::string pattern = "*";
  for (int i = 1; i < 128; ++i) {
    topic += ".a";
    pattern += ".*";
  }
  trie.subscribe(exact, topic);
  trie.subscribe(stars, pattern);
  EXPECT_EQ(matched(trie, topic).size(), 2u);
  trie.drop(exact);
  trie.drop(stars);
  EXPECT_EQ(trie.nodes(), 0u);
}

}  // namespace
