// Presence between servers, over real NATS servers: who is told what, and what happens when servers, processes and NATS itself come and go.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "presence_support.h"
#include "support.h"

namespace {

using Names = std::multiset<std::string>;
using List = std::vector<std::string>;

constexpr uint32_t kShortMs = 1000;   // a time to live that tests can wait for
constexpr uint32_t kLongMs = 60'000;  // and one within which nothing expires

void wait_names(Peer& peer, uint64_t watch, const Names& names, const char* what) {
  wait_for([&] { return peer.names(watch) == names; }, what);
}

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// So many keys are in the bucket of members, markers of removal included; -1: there is no bucket.
int64_t keys(Client& client) {
  jsStreamInfo* info = nullptr;
  if (js_GetStreamInfo(&info, client.js(), "KV_wsbeat-presence", nullptr, nullptr) != NATS_OK) return -1;
  const auto count = static_cast<int64_t>(info->State.Msgs);
  jsStreamInfo_Destroy(info);
  return count;
}

TEST(Presence, ComesAndGoes) {
  NatsServer nats;
  Peer one(nats.url(), kLongMs);
  Peer two(nats.url(), kLongMs);
  const uint64_t before = one.join("room", "alice");
  const uint64_t watch = two.watch("room");
  wait_names(two, watch, {"alice"}, "one that was there before");
  const uint64_t again = one.join("room", "alice");
  const uint64_t bob = one.join("room", "Bob \xC3\xA9, the 2nd");
  (void)one.join("room.17", "another topic");
  (void)two.join("room", "its own");
  wait_names(two, watch, {"alice", "alice", "Bob \xC3\xA9, the 2nd"}, "each connection");
  one.leave("room", before);
  one.leave("room", bob);
  wait_names(two, watch, {"alice"}, "those who have left");
  two.unwatch(watch);
  one.leave("room", again);
  const uint64_t later = two.watch("room");
  const uint64_t mark = one.join("room", "mark");
  wait_names(two, later, {"mark"}, "a new watch");
  EXPECT_EQ(two.names(watch), Names{"alice"}) << "told after its end";
  one.leave("room", mark);
  wait_names(two, later, {}, "the last");
  EXPECT_EQ(one.faults() + two.faults(), 0);
}

TEST(Presence, TopicsOfAllKinds) {
  NatsServer nats;
  Peer one(nats.url(), kLongMs);
  Peer two(nats.url(), kLongMs);
  const List topics = {"a",
                       "a.b",
                       "a.b.c",
                       "a=b",
                       "a_b/c-d",
                       "\xC3\xA9t\xC3\xA9.\xE2\x82\xAC",
                       "$KV.x",
                       "~!@#%^&()+{}[]|\\:;\"'<,?`",
                       std::string(255, 'x')};
  std::vector<uint64_t> watches;
  for (const std::string& topic : topics) watches.push_back(two.watch(topic));
  for (const std::string& topic : topics) (void)one.join(topic, "in " + topic.substr(0, 200));
  for (size_t i = 0; i < topics.size(); ++i)
    wait_names(two, watches[i], {"in " + topics[i].substr(0, 200)}, topics[i].c_str());
  EXPECT_EQ(two.faults(), 0);
}

TEST(Presence, PrefixesDoNotMeet) {
  NatsServer nats;
  Peer one(nats.url(), kLongMs, "first.app");
  Peer other(nats.url(), kLongMs, "second.app");
  Peer same(nats.url(), kLongMs, "first.app");
  const uint64_t here = same.watch("room");
  const uint64_t there = other.watch("room");
  (void)one.join("room", "alice");
  wait_names(same, here, {"alice"}, "the same prefix");
  EXPECT_EQ(other.names(there), Names{});
}

TEST(Presence, ACleanEndIsKnownAtOnce) {
  NatsServer nats;
  Client client(nats.url());
  Peer one(nats.url(), kLongMs);
  auto two = std::make_unique<Peer>(nats.url(), kLongMs);
  const uint64_t watch = one.watch("room");
  for (int i = 0; i < 50; ++i) (void)two->join("room", "m" + std::to_string(i));
  wait_for([&] { return one.names(watch).size() == 50; }, "all of them");
  two->close();
  wait_names(one, watch, {}, "their end");
  wait_for([&] { return keys(client) == 1; }, "its keys purged");  // what is left is the listing of the other
  EXPECT_EQ(one.faults(), 0);
}

TEST(Presence, AKilledServersMembersAreGoneInTime) {
  NatsServer nats;
  Client client(nats.url());
  Peer one(nats.url(), kShortMs);
  Peer two(nats.url(), kShortMs);
  const uint64_t watch = one.watch("room");
  const uint64_t as_well = two.watch("room");
  (void)two.join("room", "stays");
  PeerProcess mortal(nats.url(), kShortMs, "mortal");
  wait_names(one, watch, {"stays", "mortal"}, "both");
  wait_names(two, as_well, {"mortal"}, "the other");
  const int64_t killed_ms = now_ms();
  mortal.kill();
  wait_names(one, watch, {"stays"}, "its end");
  const int64_t after_ms = now_ms() - killed_ms;
  EXPECT_LE(after_ms, kShortMs * 3 / 2) << "later than the time to live and a tick, on a busy machine";
  wait_names(two, as_well, {}, "its end for the other");
  wait_for([&] { return keys(client) == 3; }, "its keys purged");  // two listings and a member
  EXPECT_EQ(one.history(watch).size(), 3U) << "somebody was told twice";
  EXPECT_EQ(one.faults() + two.faults(), 0);
}

// A process that stood still, like one that the network had cut off: gone for the others, and back under a new incarnation.
TEST(Presence, WhoWasTakenForDeadComesBack) {
  NatsServer nats;
  Client client(nats.url());
  Peer one(nats.url(), kShortMs);
  const uint64_t watch = one.watch("room");
  PeerProcess sleeper(nats.url(), kShortMs, "sleeper");
  wait_names(one, watch, {"sleeper"}, "it");
  for (const bool until_buried : {false, true}) {
    sleeper.freeze();
    wait_names(one, watch, {}, "its silence");
    if (until_buried) wait_for([&] { return keys(client) == 1; }, "its keys purged");
    sleeper.thaw();
    wait_names(one, watch, {"sleeper"}, "it again");
  }
  EXPECT_EQ(one.faults(), 0);
}

TEST(Presence, WhatAllHaveLeftBehindIsPurged) {
  NatsServer nats;
  Client client(nats.url());
  {
    PeerProcess mortal(nats.url(), kShortMs, "mortal");
    wait_for([&] { return keys(client) == 2; }, "its listing and its member");
  }
  Peer one(nats.url(), kShortMs);
  const uint64_t watch = one.watch("elsewhere");
  wait_for([&] { return keys(client) == 1; }, "what it left");
  EXPECT_EQ(one.names(watch), Names{});
}

TEST(Presence, NatsRestartsAndHasLostAll) {
  NatsServer nats;
  Peer one(nats.url(), 10'000);
  Peer two(nats.url(), 10'000);
  const uint64_t watch = one.watch("room");
  const uint64_t other_way = two.watch("room");
  (void)two.join("room", "stays");
  const uint64_t goes = two.join("room", "goes");
  (void)one.join("room", "here");
  wait_names(one, watch, {"stays", "goes"}, "both");
  wait_names(two, other_way, {"here"}, "the other way");
  nats.kill();
  wait_for([&] { return !one.is_up() && !two.is_up(); }, "the end");
  two.leave("room", goes);
  (void)two.join("room", "meanwhile");
  const uint64_t new_watch = one.watch("hall");
  (void)two.join("hall", "meanwhile");
  nats.start();
  wait_names(one, watch, {"stays", "meanwhile"}, "what has changed");
  wait_names(one, new_watch, {"meanwhile"}, "another topic");
  wait_names(two, other_way, {"here"}, "the other way again");
  (void)two.join("room", "later");
  wait_names(one, watch, {"stays", "meanwhile", "later"}, "later");
  for (const auto& [peer, of, name] : {std::tuple{&one, watch, "stays"}, std::tuple{&two, other_way, "here"}}) {
    int count = 0;
    for (const std::string& step : peer->history(of)) {
      if (step.substr(1) != name) continue;
      count += step[0] == '+' ? 1 : -1;
      EXPECT_GT(count, 0) << name << " was told to be gone, though it came back in time";
    }
  }
  EXPECT_EQ(one.faults() + two.faults(), 0);
}

TEST(Presence, NatsIsAwayForLong) {
  NatsServer nats;
  Peer one(nats.url(), kShortMs);
  Peer two(nats.url(), kShortMs);
  const uint64_t watch = one.watch("room");
  (void)two.join("room", "alice");
  wait_names(one, watch, {"alice"}, "her");
  nats.stop();
  wait_names(one, watch, {}, "that nobody else can be seen");
  nats.start();
  wait_names(one, watch, {"alice"}, "her again");
  EXPECT_EQ(one.faults(), 0);
}

TEST(Presence, BeginsWhenNatsDoes) {
  NatsServer nats;
  nats.stop();
  Peer one(nats.url(), kLongMs);
  Peer two(nats.url(), kLongMs);
  const uint64_t watch = one.watch("room");
  const uint64_t alice = two.join("room", "alice");
  (void)two.join("room", "bob");
  two.leave("room", alice);
  nats.start();
  wait_names(one, watch, {"bob"}, "him");
}

TEST(Presence, WithoutJetStreamItIsTold) {
  NatsServer nats({}, false);
  Peer one(nats.url(), kLongMs);
  wait_for([&] { return one.is_up(); }, "NATS");
  EXPECT_EQ(one.count_told("presence"), 0U) << "nobody has asked for it";
  (void)one.join("room", "alice");
  wait_for([&] { return one.count_told("presence is not shared with other servers: ") == 1; }, "the complaint");
}

// Joins and leaves of four servers at once; at the end all know the same, through a restart of NATS too.
void churn(bool restarts) {
  NatsServer nats;
  constexpr int kPeers = 4;
  constexpr int kTopics = 4;
  const uint32_t ttl_ms = restarts ? 2000 : kLongMs;
  std::vector<std::unique_ptr<Peer>> peers;
  std::vector<std::vector<uint64_t>> watches(kPeers);
  std::vector<std::map<uint64_t, std::pair<int, std::string>>> joined(kPeers);
  for (int i = 0; i < kPeers; ++i) {
    peers.push_back(std::make_unique<Peer>(nats.url(), ttl_ms));
    for (int topic = 0; topic < kTopics; ++topic) watches[i].push_back(peers[i]->watch("t." + std::to_string(topic)));
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < kPeers; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937 random(static_cast<unsigned>(i));
      for (int step = 0; step < 2000; ++step) {
        const int topic = static_cast<int>(random() % kTopics);
        if (random() % 2 == 0 || joined[i].empty()) {
          const std::string name = "m" + std::to_string(random() % 10);
          joined[i][peers[i]->join("t." + std::to_string(topic), name)] = {topic, name};
        } else {
          auto at = joined[i].begin();
          std::advance(at, random() % joined[i].size());
          peers[i]->leave("t." + std::to_string(at->second.first), at->first);
          joined[i].erase(at);
        }
        if (restarts && step % 20 == 0) std::this_thread::yield();
      }
    });
  }
  if (restarts) {
    nats.kill();
    nats.start();
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kPeers; ++i) {
    for (int topic = 0; topic < kTopics; ++topic) {
      Names expected;
      for (int other = 0; other < kPeers; ++other) {
        for (const auto& [number, join] : joined[other]) {
          if (other != i && join.first == topic) expected.insert(join.second);
        }
      }
      wait_names(*peers[i], watches[i][topic], expected, "the same everywhere");
    }
    EXPECT_EQ(peers[i]->faults(), 0);
  }
}

TEST(Presence, ManyChangesEndEqual) {
  churn(false);
}

TEST(Presence, ManyChangesEndEqualThroughARestart) {
  churn(true);
}

TEST(Presence, ACluster) {
  const auto nodes = NatsServer::cluster();
  Peer one(nodes[0]->url(), 10'000);
  Peer two(nodes[2]->url(), 10'000);
  const uint64_t watch = one.watch("room");
  (void)two.join("room", "alice");
  wait_names(one, watch, {"alice"}, "her, across the cluster");
  nodes[2]->kill();  // two goes to another node; the buckets may have been there
  (void)two.join("room", "bob");
  nodes[2]->start();
  wait_for([&] { return one.names(watch) == Names{"alice", "bob"}; }, "both, whichever node has gone", 60'000);
  EXPECT_EQ(one.faults(), 0);
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 5 && std::string(arguments[1]) == "peer")
    be_a_peer(arguments[2], static_cast<uint32_t>(std::stoul(arguments[3])), arguments[4]);
  testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
