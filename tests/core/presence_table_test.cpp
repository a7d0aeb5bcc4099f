// The table of presence: counting names, tasks in order, watches, what is owed, and that nothing is left when all have gone.
#include "core/presence_table.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <random>
#include <string>

namespace {

long allowed_allocations = -1;  // below 0: as many as wanted
size_t allocated_bytes = 0;

}  // namespace

void* operator new(size_t size) {
  if (allowed_allocations == 0) throw std::bad_alloc();
  if (allowed_allocations > 0) --allowed_allocations;
  void* const out = std::malloc(size);
  if (out == nullptr) throw std::bad_alloc();
  allocated_bytes += malloc_usable_size(out);
  return out;
}
void operator delete(void* memory) noexcept {
  allocated_bytes -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, size_t /*size*/) noexcept {
  operator delete(memory);
}

namespace wsb::core {
namespace {

struct Shortage {
  explicit Shortage(long allowed) { allowed_allocations = allowed; }
  ~Shortage() { allowed_allocations = -1; }
  Shortage(const Shortage&) = delete;
  Shortage& operator=(const Shortage&) = delete;
};

using Kind = PresenceTask::Kind;

// The tasks of a topic as text: "+name", "-name", "?conn:name", "J1=name", "L1", "W2", "U2"; the topic is let go.
std::string take(PresenceTable& table, PresenceTable::Topic* topic) {
  if (topic == nullptr) return "nothing";
  EXPECT_TRUE(PresenceTable::hold(*topic));
  std::string out;
  for (auto task = PresenceTable::take_task(*topic); !task.empty(); task = PresenceTable::take_task(*topic)) {
    const PresenceTask& one = task.front();
    const std::string number = std::to_string(one.number);
    if (!out.empty()) out += ' ';
    switch (one.kind) {
      case Kind::kChange:
        out += (one.present ? "+" : "-") + one.member;
        break;
      case Kind::kCatchUp:
        out += "?" + number + ":" + one.member;
        break;
      case Kind::kJoin:
        out += "J" + number + "=" + one.member;
        break;
      case Kind::kLeave:
        out += "L" + number;
        break;
      case Kind::kWatch:
        out += "W" + number;
        break;
      case Kind::kUnwatch:
        out += "U" + number;
        break;
    }
  }
  table.release(*topic);
  return out;
}

std::vector<std::string> sorted(std::vector<std::string> list) {
  std::sort(list.begin(), list.end());
  return list;
}

using List = std::vector<std::string>;

TEST(PresenceTable, CountsNamesOnce) {
  PresenceTable table(false);
  EXPECT_EQ(take(table, table.watch(9, "room")), "");
  EXPECT_EQ(take(table, table.join(1, "room", "alice")), "+alice");
  EXPECT_EQ(take(table, table.join(2, "room", "alice")), "");
  EXPECT_EQ(take(table, table.join(1, "room", "alice")), "nothing");
  EXPECT_EQ(table.members("room"), List{"alice"});
  EXPECT_EQ(take(table, table.leave(1, "room")), "");
  EXPECT_EQ(take(table, table.leave(1, "room")), "nothing");
  EXPECT_EQ(table.members("room"), List{"alice"});
  EXPECT_EQ(take(table, table.leave(2, "room")), "-alice");
  EXPECT_EQ(table.members("room"), List{});
  EXPECT_EQ(take(table, table.unwatch(9, "room")), "");
  EXPECT_EQ(table.topics(), 0U);
}

TEST(PresenceTable, TellsNobodyWhereNobodyWatches) {
  PresenceTable table(false);
  EXPECT_EQ(take(table, table.join(1, "room", "alice")), "");
  EXPECT_EQ(take(table, table.watch(2, "other")), "");
  EXPECT_EQ(take(table, table.leave(1, "room")), "");
  EXPECT_EQ(take(table, table.drop_one(2)), "");
  EXPECT_EQ(table.topics(), 0U);
}

TEST(PresenceTable, AnotherNameReplacesTheFirst) {
  PresenceTable table(true);
  EXPECT_EQ(take(table, table.watch(2, "room")), "W1");
  EXPECT_EQ(take(table, table.join(1, "room", "alice")), "+alice J2=alice");
  EXPECT_EQ(take(table, table.join(1, "room", "bob")), "-alice L2 +bob J3=bob");
  EXPECT_EQ(table.joined(), 1U);
  EXPECT_EQ(table.present(), 1U);
  EXPECT_EQ(take(table, table.leave(1, "room")), "-bob L3");
}

TEST(PresenceTable, JoinsOfOneConnectionAreApart) {
  PresenceTable table(true);
  for (const char* topic : {"a", "b", "c", "d"}) (void)take(table, table.join(1, topic, std::string("in ") + topic));
  EXPECT_EQ(take(table, table.leave(1, "b")), "L2");
  EXPECT_EQ(table.members("c"), List{"in c"});
  EXPECT_TRUE(table.has_joined(1, "d"));
  EXPECT_FALSE(table.has_joined(1, "b"));
  List rest;
  while (auto* topic = table.drop_one(1)) rest.push_back(take(table, topic));
  EXPECT_EQ(sorted(rest), (List{"L1", "L3", "L4"}));
  EXPECT_EQ(table.joined(), 0U);
  EXPECT_EQ(table.topics(), 0U);
}

TEST(PresenceTable, WatchesAtTheBackplaneOnce) {
  PresenceTable table(true);
  EXPECT_EQ(take(table, table.watch(1, "room")), "W1");
  EXPECT_EQ(take(table, table.watch(1, "room")), "nothing");
  EXPECT_EQ(take(table, table.watch(2, "room")), "");
  EXPECT_EQ(table.watching(), 2U);
  EXPECT_EQ(take(table, table.unwatch(1, "room")), "");
  EXPECT_EQ(take(table, table.unwatch(1, "room")), "nothing");
  EXPECT_EQ(take(table, table.unwatch(2, "room")), "U1");
  EXPECT_EQ(take(table, table.watch(2, "room")), "W2");
  EXPECT_EQ(take(table, table.drop_one(2)), "U2");
  EXPECT_EQ(table.drop_one(2), nullptr);
}

TEST(PresenceTable, ElsewhereCountsWithHere) {
  PresenceTable table(true);
  (void)take(table, table.watch(1, "room"));
  EXPECT_EQ(take(table, table.elsewhere(1, "alice", true)), "+alice");
  EXPECT_EQ(take(table, table.elsewhere(1, "alice", true)), "");
  EXPECT_EQ(take(table, table.join(1, "room", "alice")), "J2=alice");
  EXPECT_EQ(take(table, table.elsewhere(1, "alice", false)), "");
  EXPECT_EQ(take(table, table.leave(1, "room")), "L2");
  EXPECT_EQ(take(table, table.elsewhere(1, "alice", false)), "-alice");
  EXPECT_EQ(table.elsewhere(1, "alice", false), nullptr);  // more often than it came
  EXPECT_EQ(table.elsewhere(7, "alice", true), nullptr);   // no such watch
  (void)take(table, table.join(1, "room", "bob"));
  EXPECT_EQ(table.elsewhere(1, "bob", false), nullptr);  // he is here
  EXPECT_EQ(table.members("room"), List{"bob"});
}

TEST(PresenceTable, WithoutAWatchThoseElsewhereAreNotKnown) {
  PresenceTable table(true);
  (void)take(table, table.watch(1, "room"));
  (void)take(table, table.join(2, "room", "here"));
  (void)take(table, table.elsewhere(1, "there", true));
  (void)take(table, table.elsewhere(1, "here", true));
  EXPECT_EQ(sorted(table.members("room")), (List{"here", "there"}));
  EXPECT_EQ(table.present(), 2U);
  EXPECT_EQ(take(table, table.unwatch(1, "room")), "U1");
  EXPECT_EQ(table.members("room"), List{"here"});
  EXPECT_EQ(table.present(), 1U);
  EXPECT_EQ(table.elsewhere(1, "late", true), nullptr);
  EXPECT_EQ(take(table, table.leave(2, "room")), "L2");
  EXPECT_EQ(table.topics(), 0U);
}

TEST(PresenceTable, AHeldTopicStaysAndKeepsItsOrder) {
  PresenceTable table(false);
  (void)take(table, table.watch(1, "room"));
  auto* topic = table.join(2, "room", "a");
  ASSERT_TRUE(PresenceTable::hold(*topic));
  EXPECT_EQ(table.join(3, "room", "b"), topic);
  EXPECT_FALSE(PresenceTable::hold(*topic));
  (void)table.leave(2, "room");
  (void)table.leave(3, "room");
  (void)table.unwatch(1, "room");
  std::string told;
  for (auto task = PresenceTable::take_task(*topic); !task.empty(); task = PresenceTable::take_task(*topic))
    told += (task.front().present ? "+" : "-") + task.front().member;
  EXPECT_EQ(told, "+a+b-a-b");
  EXPECT_EQ(PresenceTable::name(*topic), "room");
  EXPECT_EQ(table.topics(), 1U);
  table.release(*topic);
  EXPECT_EQ(table.topics(), 0U);
}

TEST(PresenceTable, WhatIsOwedIsCaughtUpOnce) {
  PresenceTable table(false);
  auto* a = table.watch(1, "a");
  auto* b = table.watch(1, "b");
  (void)table.join(2, "a", "x");
  (void)take(table, a);
  EXPECT_TRUE(table.owe(1, *a, "x", 3));
  EXPECT_TRUE(table.owe(1, *a, "x", 3));
  EXPECT_TRUE(table.owe(1, *a, "y", 3));
  EXPECT_TRUE(table.owe(1, *b, "z", 3));
  EXPECT_FALSE(table.owe(1, *b, "too many", 3));
  EXPECT_TRUE(table.owe(5, *b, "does not watch", 3));
  EXPECT_EQ(table.owing_topics(1), 2U);
  EXPECT_EQ(table.owing_topics(5), 0U);
  std::map<PresenceTable::Topic*, std::string> told;
  for (auto* topic = table.catch_up(1); topic != nullptr; topic = table.catch_up(1)) told[topic] = take(table, topic);
  EXPECT_EQ(told, (std::map<PresenceTable::Topic*, std::string>{{a, "?1:x ?1:y"}, {b, "?1:z"}}));
  EXPECT_TRUE(PresenceTable::is_present(*a, "x"));
  EXPECT_FALSE(PresenceTable::is_present(*a, "y"));
  EXPECT_TRUE(table.owe(1, *a, "x", 3));
  EXPECT_TRUE(table.owe(1, *b, "x", 3));
  (void)take(table, table.unwatch(1, "a"));
  EXPECT_EQ(table.owing_topics(1), 1U);
  (void)take(table, table.unwatch(1, "b"));
  EXPECT_EQ(table.catch_up(1), nullptr);
}

TEST(PresenceTable, FaultsOfNames) {
  EXPECT_EQ(member_fault("Zo\xC3\xAB the 1st"), nullptr);
  EXPECT_EQ(member_fault(std::string(255, 'x')), nullptr);
  for (const std::string& bad : {std::string(), std::string(256, 'x'), std::string("a\nb"), std::string("a\0b", 3),
                                 std::string("\x7f"), std::string("\xff")})
    EXPECT_NE(member_fault(bad), nullptr) << bad;
}

TEST(PresenceTable, WithoutMemoryNothingHasChanged) {
  for (int allowed = 0; allowed < 40; ++allowed) {
    PresenceTable table(true);
    (void)take(table, table.watch(1, "a room with a long name"));
    int failed = 0;
    {
      const Shortage shortage(allowed);
      try {
        (void)table.join(2, "a room with a long name", "somebody with a long name");
      } catch (const std::bad_alloc&) {
        failed = 1;
      }
    }
    EXPECT_EQ(table.joined(), failed != 0 ? 0U : 1U);
    EXPECT_EQ(table.members("a room with a long name").size(), failed != 0 ? 0U : 1U);
    {
      const Shortage shortage(allowed);
      try {
        (void)table.watch(3, "another room with a long name");
      } catch (const std::bad_alloc&) {
        failed |= 2;
      }
    }
    EXPECT_EQ(table.watching(), (failed & 2) != 0 ? 1U : 2U);
    EXPECT_EQ(table.topics(), (failed & 2) != 0 ? 1U : 2U);
    {
      const Shortage none(0);  // an end needs none
      for (uint64_t conn = 1; conn <= 3; ++conn) {
        while (auto* topic = table.drop_one(conn)) {
          while (!PresenceTable::take_task(*topic).empty()) {
          }
          table.release(*topic);
        }
      }
    }
    EXPECT_EQ(table.topics(), 0U);
  }
}

// What docs/presence.md counts with, and that all of it is given back.
TEST(PresenceTable, CostsWhatIsSaidAndGivesItBack) {
  constexpr size_t kCount = 10000;
  constexpr size_t kMostBytes = 450;
  for (const bool one_room : {false, true}) {
    PresenceTable table(true);
    const size_t before = allocated_bytes;
    for (uint64_t conn = 1; conn <= kCount; ++conn) {
      const std::string number = std::to_string(conn);
      (void)take(table, table.join(conn, one_room ? "rooms.lobby" : "rooms." + number, "user-" + number));
    }
    const size_t each = (allocated_bytes - before) / kCount;
    EXPECT_LE(each, one_room ? kMostBytes : kMostBytes + 400);
    std::printf("%s: %zu bytes for each that has joined\n", one_room ? "one topic" : "a topic each", each);
    const size_t joined = allocated_bytes;
    for (uint64_t conn = 1; conn <= kCount; ++conn) (void)take(table, table.watch(conn, "rooms.lobby"));
    std::printf("%zu bytes for each that watches\n", (allocated_bytes - joined) / kCount);
    EXPECT_LE((allocated_bytes - joined) / kCount, 80U);
    for (uint64_t conn = 1; conn <= kCount; ++conn) {
      while (auto* topic = table.drop_one(conn)) (void)take(table, topic);
    }
    EXPECT_LE(allocated_bytes, before + 1024) << "what is kept: a few buckets";
  }
}

// Beside a model: who is present, and what a watcher that hears everything believes.
TEST(PresenceTable, AgreesWithAModel) {
  std::mt19937 random(20261127);
  PresenceTable table(true);
  std::map<std::pair<uint64_t, std::string>, std::string> joined;
  std::set<std::pair<uint64_t, std::string>> watching;
  std::map<std::string, std::map<std::string, bool>> believed;  // by a topic's watchers
  const auto pick = [&](unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random); };
  const auto hear = [&](PresenceTable::Topic* topic) {
    if (topic == nullptr) return;
    ASSERT_TRUE(PresenceTable::hold(*topic));
    const std::string name = PresenceTable::name(*topic);
    for (auto task = PresenceTable::take_task(*topic); !task.empty(); task = PresenceTable::take_task(*topic)) {
      if (task.front().kind != Kind::kChange) continue;
      EXPECT_NE(believed[name][task.front().member], task.front().present) << "told twice";
      believed[name][task.front().member] = task.front().present;
    }
    table.release(*topic);
  };
  for (int step = 0; step < 50000; ++step) {
    const uint64_t conn = 1 + pick(12);
    const std::string topic(1, static_cast<char>('a' + pick(4)));
    const std::string member = "m" + std::to_string(pick(5));
    const std::pair<uint64_t, std::string> key{conn, topic};
    switch (pick(9)) {
      case 0:
      case 1:
      case 2:
        hear(table.join(conn, topic, member));
        joined[key] = member;
        break;
      case 3:
      case 4:
        hear(table.leave(conn, topic));
        joined.erase(key);
        break;
      case 5:
        if (!watching.insert(key).second) break;
        if (table.members(topic).empty() || !believed.count(topic)) believed[topic] = {};
        for (const std::string& name : table.members(topic)) believed[topic][name] = true;
        hear(table.watch(conn, topic));
        break;
      case 6:
        hear(table.unwatch(conn, topic));
        watching.erase(key);
        break;
      case 7:
        break;
      default:
        if (pick(10) != 0) break;
        while (auto* dropped = table.drop_one(conn)) hear(dropped);
        for (auto at = joined.begin(); at != joined.end();)
          at = at->first.first == conn ? joined.erase(at) : std::next(at);
        for (auto at = watching.begin(); at != watching.end();)
          at = at->first == conn ? watching.erase(at) : std::next(at);
    }
    for (const char* name : {"a", "b", "c", "d"}) {
      std::set<std::string> present;
      for (const auto& [of, who] : joined) {
        if (of.second == name) present.insert(who);
      }
      ASSERT_EQ(sorted(table.members(name)), List(present.begin(), present.end()));
      const bool watched =
          std::any_of(watching.begin(), watching.end(), [&](const auto& of) { return of.second == name; });
      if (!watched) {
        believed.erase(name);
        continue;
      }
      for (const auto& [who, is_there] : believed[name]) ASSERT_EQ(is_there, present.count(who) == 1) << who;
    }
    ASSERT_EQ(table.joined(), joined.size());
    ASSERT_EQ(table.watching(), watching.size());
  }
}

}  // namespace
}  // namespace wsb::core
