// Durable topics when NATS fails: what was acknowledged comes to everyone, once and in order.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "support.h"

namespace {

// Publishes numbers until it is told to stop; keeps some in flight at any time.
class Publisher {
 public:
  Publisher(Instance& instance, std::string name)
      : instance_(instance), name_(std::move(name)), thread_([this] { run(); }) {}
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;
  ~Publisher() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  size_t count() const { return count_; }
  // Waits until that many more have an outcome.
  void progress(size_t by) {
    const size_t until = count_ + by;
    wait_for([&] { return count_ >= until; }, "publications", 40'000);
  }

 private:
  void run() {
    while (!stopping_) {
      const size_t number = instance_.store("d.a", name_ + std::to_string(count_));
      if (++count_ % 16 == 0) {
        while (instance_.outcome(number).calls == 0) {
          if (stopping_) return;
          std::this_thread::yield();
        }
      }
    }
  }

  Instance& instance_;
  const std::string name_;
  std::atomic<size_t> count_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// Every publication is stored under one sequence, and comes everywhere with it and once.
void expect_all_everywhere(const std::vector<Instance*>& instances, size_t published) {
  std::map<uint64_t, std::string> reference;
  for (Instance* instance : instances) {
    instance->wait_delivered(published);
    const std::vector<Got> got = instance->delivered();
    expect_in_order(got);
    std::set<std::string> texts;
    for (const Got& one : got) EXPECT_TRUE(texts.insert(one.data).second) << one.data << " came twice";
    EXPECT_EQ(texts.size(), published);
    std::map<uint64_t, std::string> by_sequence;
    for (const Got& one : got) by_sequence[one.sequence] = one.data;
    if (reference.empty()) reference = by_sequence;
    EXPECT_EQ(by_sequence, reference);
  }
}

void expect_all_good(Instance& instance, size_t count) {
  for (size_t number = 0; number < count; ++number) {
    const Outcome outcome = instance.outcome(number);
    ASSERT_EQ(outcome.calls, 1) << number;
    ASSERT_EQ(outcome.result, WSB_OK) << number;
    ASSERT_EQ(outcome.duplicate, 0) << number;
  }
}

TEST(Restart, LosesNothingAndDoublesNothing) {
  NatsServer nats;
  Instance one(nats.url());
  Instance other(nats.url());
  one.replay("d.>", UINT64_MAX, 1);
  other.replay("d.>", UINT64_MAX, 1);
  (void)one.replayed(1);
  (void)other.replayed(1);
  Publisher first(one, "a");
  Publisher second(other, "b");
  first.progress(200);
  nats.stop();
  nats.start();
  first.progress(200);
  nats.kill();
  nats.start();
  second.progress(200);
  first.stop();
  second.stop();
  one.all_stored();
  other.all_stored();
  const size_t published = first.count() + second.count();
  expect_all_everywhere({&one, &other}, published);
  expect_all_good(one, first.count());
  expect_all_good(other, second.count());
}

TEST(Restart, GoesOnWhereAStreamThatLostItsEndIs) {
  NatsServer nats;
  Instance one(nats.url());
  for (size_t number = 0; number < 10; ++number) one.store("d.a", std::to_string(number));
  one.all_stored();
  nats.stop();
  nats.keep_store();
  nats.start();
  for (size_t number = 10; number < 20; ++number) one.store("d.a", std::to_string(number));
  one.all_stored();
  one.wait_delivered(20);
  nats.stop();
  nats.restore_store();
  nats.start();
  wait_for([&] { return one.was_told("stream wsbeat has lost its newest messages"); }, "what is lost");
  EXPECT_EQ(one.stored(one.store("d.a", "again")).sequence, 11U);
  one.wait_delivered(21);
  const std::vector<Got> got = one.delivered();
  ASSERT_EQ(got.size(), 21U);
  EXPECT_EQ(got.back().sequence, 11U);
  EXPECT_EQ(got.back().data, "again");
}

TEST(Cluster, GoesOnWithoutTheStreamsLeader) {
  const auto servers = NatsServer::cluster();
  std::string urls;
  for (const auto& server : servers) urls += (urls.empty() ? "" : ",") + server->url();
  const auto replicated = [](wsb_nats_options& options) {
    options.durable_replicas = 3;
    options.ping_interval_ms = 500;
    options.max_replay = 1'000'000;
  };
  std::vector<std::unique_ptr<Instance>> instances;
  for (const auto& server : servers)
    instances.push_back(std::make_unique<Instance>(server->url() + "," + urls, replicated));
  for (const auto& instance : instances) {
    instance->replay("d.>", UINT64_MAX, 1);
    (void)instance->replayed(1);
  }
  Publisher first(*instances[0], "a");
  Publisher second(*instances[1], "b");
  first.progress(200);
  std::string leader;
  {
    Client client(servers[0]->url());
    wait_for([&] { return !(leader = client.leader("wsbeat")).empty(); }, "a leader");
  }
  const auto killed =
      std::find_if(servers.begin(), servers.end(), [&](const auto& server) { return server->name() == leader; });
  ASSERT_NE(killed, servers.end());
  (*killed)->kill();
  first.progress(200);
  second.progress(200);
  (*killed)->start();
  first.progress(100);
  first.stop();
  second.stop();
  for (const auto& instance : instances) instance->all_stored();
  expect_all_everywhere({instances[0].get(), instances[1].get(), instances[2].get()}, first.count() + second.count());
  expect_all_good(*instances[0], first.count());
  expect_all_good(*instances[1], second.count());
  instances[2]->replay("d.>", 0, 2);
  EXPECT_EQ(instances[2]->replayed(2).got.size(), first.count() + second.count());
}

TEST(Cluster, WithoutMostOfItWaits) {
  auto servers = NatsServer::cluster();
  Instance one(servers[0]->url(), [](wsb_nats_options& options) {
    options.durable_replicas = 3;
    options.ping_interval_ms = 500;
  });
  (void)one.stored(one.store("d.a", "before"));
  servers[1]->kill();
  servers[2]->kill();
  const size_t waits = one.store("d.a", "waits");
  wait_for([&] { return one.was_told("durable topics: cannot store now"); }, "why it waits");
  EXPECT_EQ(one.outcome(waits).calls, 0);
  servers[1]->start();
  EXPECT_EQ(one.stored(waits).result, WSB_OK);
  one.wait_delivered(2);
}

TEST(Away, AtTheStart) {
  auto nats = std::make_unique<NatsServer>();
  nats->stop();
  Instance one(nats->url());
  const size_t stored = one.store("d.a", "early");
  one.replay("d.a", 0, 1);
  one.replay("d.a", UINT64_MAX, 2);
  wait_for([&] { return one.was_told("cannot reach NATS"); }, "why");
  nats->start();
  EXPECT_EQ(one.stored(stored).sequence, 1U);
  EXPECT_EQ(one.replayed(1).missed, 0);
  EXPECT_EQ(one.replayed(2).missed, 0);
  one.wait_delivered(1);
}

TEST(Away, ReplaysWhatMemoryHasAndWaitsForTheRest) {
  NatsServer nats;
  Instance one(nats.url(), [](wsb_nats_options& options) { options.replay_memory_bytes = 4096; });
  for (size_t number = 0; number < 200; ++number) one.store("d.a", std::to_string(number));
  one.all_stored();
  one.wait_delivered(200);
  nats.stop();
  wait_for([&] { return !one.is_up(); }, "down");
  one.replay("d.a", 198, 1);
  EXPECT_EQ(one.replayed(1).got.size(), 2U);
  one.replay("d.a", 0, 2);
  one.replay("d.a", 0, 3);
  one.table().forget(one.table().self, 3);
  nats.start();
  EXPECT_EQ(one.replayed(2).got.size(), 200U);
  EXPECT_FALSE(one.replayed_until_now(3).resumed);
}

TEST(Away, RefusesWhenToldTo) {
  NatsServer nats;
  Instance one(nats.url(), [](wsb_nats_options& options) { options.refuse_when_down = 1; });
  wait_for([&] { return one.is_up(); }, "up");
  EXPECT_EQ(one.stored(one.store("d.a", "1")).result, WSB_OK);
  nats.stop();
  wait_for([&] { return !one.is_up(); }, "down");
  EXPECT_EQ(one.outcome(one.store("d.a", "2")).result, WSB_E_STATE);
}

TEST(Away, TheBufferIsBounded) {
  NatsServer nats({}, false);
  Instance one(nats.url(), [](wsb_nats_options& options) { options.buffer_bytes = 10'000; });
  size_t taken = 0;
  while (one.outcome(one.store("d.a", std::string(1000, 'x'))).result != WSB_E_FULL) ++taken;
  EXPECT_GE(taken, 8U);
  EXPECT_LE(taken, 10U);
  one.close();
  for (size_t number = 0; number < taken; ++number) {
    EXPECT_EQ(one.outcome(number).calls, 1);
    EXPECT_EQ(one.outcome(number).result, WSB_E_STATE);
  }
}

TEST(JetStream, NotEnabledIsToldOnce) {
  NatsServer nats({}, false);
  Instance one(nats.url());
  const size_t waits = one.store("d.a", "x");
  wait_for([&] { return one.was_told("JetStream does not answer"); }, "why");
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));  // long enough for two more attempts
  EXPECT_EQ(one.count_told("JetStream does not answer"), 1U);
  EXPECT_TRUE(one.is_up());
  one.close();
  EXPECT_EQ(one.outcome(waits).result, WSB_E_STATE);
}

TEST(JetStream, AnImpossibleStreamIsTold) {
  NatsServer nats;
  Instance one(nats.url(), [](wsb_nats_options& options) { options.durable_replicas = 3; });
  wait_for([&] { return one.was_told("durable topics: stream wsbeat: replicas > 1 not supported"); }, "why");
}

TEST(JetStream, AnotherConfigurationTakesEffect) {
  NatsServer nats;
  {
    Instance one(nats.url());
    (void)one.stored(one.store("d.a", "x"));
  }
  Instance two(nats.url(), [](wsb_nats_options& options) {
    options.durable = "d.>,e.*";
    options.durable_max_age_s = 60;
    options.durable_max_bytes = 1 << 20;
  });
  EXPECT_EQ(two.stored(two.store("e.1", "x")).sequence, 2U);
  Client client(nats.url());
  jsStreamInfo* info = nullptr;
  ASSERT_EQ(js_GetStreamInfo(&info, client.js(), "wsbeat", nullptr, nullptr), NATS_OK);
  EXPECT_EQ(info->Config->MaxAge, int64_t{60'000'000'000});
  EXPECT_EQ(info->Config->MaxBytes, 1 << 20);
  EXPECT_EQ(info->Config->Duplicates, int64_t{60'000'000'000});
  EXPECT_EQ(info->Config->SubjectsLen, 2);
  jsStreamInfo_Destroy(info);
}

TEST(Frozen, NatsComesToItsSenses) {
  NatsServer nats;
  Instance one(nats.url(), [](wsb_nats_options& options) { options.ping_interval_ms = 200; });
  (void)one.stored(one.store("d.a", "0"));
  nats.freeze();
  std::vector<size_t> stored;
  for (size_t number = 1; number < 100; ++number) stored.push_back(one.store("d.a", std::to_string(number)));
  wait_for([&] { return !one.is_up(); }, "down");
  nats.thaw();
  for (const size_t number : stored) EXPECT_EQ(one.stored(number).result, WSB_OK);
  one.wait_delivered(100);
  expect_all_everywhere({&one}, 100);
}

// Whatever goes on: every outcome is told once, and nobody is called after the end.
TEST(Close, AmidEverything) {
  NatsServer nats;
  Instance filler(nats.url());
  for (size_t number = 0; number < 3000; ++number) filler.store("d.a", std::string(200, 'x'));
  filler.all_stored();
  for (int round = 0; round < 12; ++round) {
    Instance one(nats.url(), [](wsb_nats_options& options) { options.replay_memory_bytes = 4096; });
    one.answer = [&](uint64_t ticket, size_t count) {
      return ticket % 3 == 0 && count >= 100 ? WSB_E_FULL : ticket % 3 == 1 && count >= 500 ? WSB_E_CLOSED : WSB_OK;
    };
    if (round % 4 != 0) wait_for([&] { return one.is_up(); }, "up");
    for (uint64_t ticket = 1; ticket <= 90; ++ticket) one.replay("d.a", ticket, ticket);
    size_t count = 0;
    for (; count < 2000; ++count) one.store("d.a", "y");
    if (round % 3 == 1) one.wait_delivered(static_cast<size_t>(round) * 50);
    if (round % 3 == 2) (void)one.stored(0);
    one.close();
    for (size_t number = 0; number < count; ++number) {
      ASSERT_EQ(one.outcome(number).calls, 1);
      ASSERT_TRUE(one.outcome(number).result == WSB_OK || one.outcome(number).result == WSB_E_STATE);
    }
  }
}

}  // namespace
