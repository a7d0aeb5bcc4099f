// Durable topics on one NATS server: storing, the feed, replays.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>

#include "support.h"

namespace {

std::vector<std::string> data_of(const std::vector<Got>& got) {
  std::vector<std::string> out;
  for (const Got& one : got) out.push_back(one.data);
  return out;
}

std::vector<std::string> numbers(size_t from, size_t to) {
  std::vector<std::string> out;
  for (size_t number = from; number < to; ++number) out.push_back(std::to_string(number));
  return out;
}

void store_numbers(Instance& instance, const std::string& topic, size_t from, size_t to) {
  for (size_t number = from; number < to; ++number) instance.store(topic, std::to_string(number));
  instance.all_stored();
}

void small_memory(wsb_nats_options& options) {
  options.replay_memory_bytes = 1024;
}

TEST(Store, IsAcknowledgedAndComesToEveryone) {
  NatsServer nats;
  Instance one(nats.url());
  Instance other(nats.url());
  one.replay("d.>", UINT64_MAX, 1);
  other.replay("d.>", UINT64_MAX, 1);
  EXPECT_EQ(one.replayed(1).sequence, 0U);
  EXPECT_EQ(other.replayed(1).missed, 0);
  const Outcome first = one.stored(one.store("d.a", "hello", "", WSB_PUBLISH_RETAIN, 77));
  EXPECT_EQ(first.result, WSB_OK);
  EXPECT_EQ(first.sequence, 1U);
  EXPECT_EQ(first.duplicate, 0);
  EXPECT_EQ(other.stored(other.store("d.b", std::string("\xff\0x", 3), "", 0, 5, WSB_BINARY)).sequence, 2U);
  for (Instance* instance : {&one, &other}) {
    instance->wait_delivered(2);
    const std::vector<Got> got = instance->delivered();
    ASSERT_EQ(got.size(), 2U);
    EXPECT_EQ(got[0].topic, "d.a");
    EXPECT_EQ(got[0].data, "hello");
    EXPECT_EQ(got[0].sequence, 1U);
    EXPECT_EQ(got[0].flags, static_cast<uint32_t>(WSB_PUBLISH_RETAIN));
    EXPECT_EQ(got[0].kind, static_cast<uint32_t>(WSB_TEXT));
    EXPECT_EQ(got[0].exclude, instance == &one ? 77U : 0U);
    EXPECT_EQ(got[1].data, std::string("\xff\0x", 3));
    EXPECT_EQ(got[1].kind, static_cast<uint32_t>(WSB_BINARY));
    EXPECT_EQ(got[1].exclude, instance == &other ? 5U : 0U);
  }
}

TEST(Store, TakesAKeyOnce) {
  NatsServer nats;
  Instance one(nats.url());
  Instance other(nats.url());
  other.settle();
  EXPECT_EQ(one.stored(one.store("d.a", "1", "key")).duplicate, 0);
  const Outcome again = other.stored(other.store("d.a", "2", "key"));
  EXPECT_EQ(again.result, WSB_OK);
  EXPECT_EQ(again.duplicate, 1);
  EXPECT_EQ(again.sequence, 1U);
  EXPECT_EQ(one.stored(one.store("d.a", "3", "other key")).sequence, 2U);
  other.wait_delivered(2);
  EXPECT_EQ(data_of(other.delivered()), (std::vector<std::string>{"1", "3"}));
}

TEST(Keeps, SaysWhichPatternsMayBeDurable) {
  NatsServer nats;
  Instance one(nats.url(), [](wsb_nats_options& options) { options.durable = "orders.>,rooms.*.log,rooms.7.log"; });
  const auto keeps = [&](const std::string& pattern) {
    return one.table().keeps(one.table().self, pattern.data(), pattern.size());
  };
  for (const char* pattern : {"orders.1", "orders.1.2", ">", "*.1", "rooms.1.log", "rooms.>", "*.*.log", "orders.>"}) {
    EXPECT_EQ(keeps(pattern), 1) << pattern;
  }
  for (const char* pattern : {"orders", "room.1.log", "rooms.1.log.x", "rooms.1", "*", "a.>", "rooms.*.lag"}) {
    EXPECT_EQ(keeps(pattern), 0) << pattern;
  }
}

TEST(Options, NameTheFieldThatIsWrong) {
  const auto error_of = [](const std::function<void(wsb_nats_options&)>& set) {
    wsb_nats_options options;
    wsb_nats_options_init(&options);
    set(options);
    wsb_backplane table{};
    char error[256] = "";
    EXPECT_EQ(wsb_nats_create(&options, &table, error, sizeof error), WSB_E_CONFIG);
    return std::string(error);
  };
  EXPECT_EQ(error_of([](auto& o) { o.durable = "a..b"; }), "durable: \"a..b\": a token of the name is empty");
  EXPECT_EQ(error_of([](auto& o) { o.durable = "a.*,*.b"; }), "durable: \"a.*\" and \"*.b\" overlap");
  EXPECT_NE(error_of([](auto& o) { o.durable = "a,"; }).find("durable: \"\": the name is empty"), std::string::npos);
  EXPECT_EQ(error_of([](auto& o) { o.durable_replicas = 6; }), "durable_replicas: 6 is out of range");
  EXPECT_EQ(error_of([](auto& o) { o.durable_max_bytes = 1; }), "durable_max_bytes: 1 is out of range");
  EXPECT_EQ(error_of([](auto& o) { o.durable_max_age_s = 400'000'000; }),
            "durable_max_age_s: 400000000 is out of range");
  EXPECT_EQ(error_of([](auto& o) { o.replay_memory_bytes = 1; }), "replay_memory_bytes: 1 is out of range");
  EXPECT_EQ(error_of([](auto& o) { o.max_replay = 100'000'001; }), "max_replay: 100000001 is out of range");
}

TEST(Options, WithoutPatternsThereIsNothingDurable) {
  wsb_backplane table{};
  ASSERT_EQ(wsb_nats_create(nullptr, &table, nullptr, 0), WSB_OK);
  EXPECT_EQ(table.keeps, nullptr);
  EXPECT_EQ(table.store, nullptr);
  EXPECT_EQ(table.replay, nullptr);
  EXPECT_EQ(table.forget, nullptr);
  table.close(table.self);
}

TEST(Core, SubscriptionsLeaveOutWhatComesByTheStream) {
  NatsServer nats;
  Instance one(nats.url());
  Instance other(nats.url());
  ASSERT_EQ(other.table().subscribe(other.table().self, ">", 1), WSB_OK);
  wait_for([&] { return one.is_up() && other.is_up(); }, "up");
  other.settle();
  one.stored(one.store("d.a", "durable"));
  const auto publish = [&](const std::string& topic) {
    wsb_backplane_message message{};
    message.size = sizeof message;
    message.topic = topic.data();
    message.topic_length = topic.size();
    message.data = "plain";
    message.length = 5;
    message.kind = WSB_TEXT;
    return one.table().publish(one.table().self, &message);
  };
  // The subscription takes a moment to have effect.
  wait_for(
      [&] {
        EXPECT_EQ(publish("p.a"), WSB_OK);
        const auto got = other.delivered();
        return std::any_of(got.begin(), got.end(), [](const Got& message) { return message.topic == "p.a"; });
      },
      "a plain message");
  Client client(nats.url());
  client.publish("wsbeat.d.b", "from another client");
  client.publish("wsbeat.p.b", "from another client");
  wait_for(
      [&] {
        const auto got = other.delivered();
        return std::any_of(got.begin(), got.end(), [](const Got& message) { return message.topic == "p.b"; }) &&
               std::any_of(got.begin(), got.end(), [](const Got& message) { return message.topic == "d.b"; });
      },
      "both");
  const auto got = other.delivered();
  EXPECT_EQ(std::count_if(got.begin(), got.end(), [](const Got& message) { return message.topic[0] == 'd'; }), 2);
  for (const Got& message : got) EXPECT_EQ(message.sequence != 0, message.topic[0] == 'd');
}

TEST(Replay, FromMemory) {
  NatsServer nats;
  Instance one(nats.url());
  for (size_t number = 0; number < 10; ++number)
    one.store(number % 2 == 0 ? "d.even" : "d.odd", std::to_string(number));
  one.all_stored();
  one.wait_delivered(10);
  one.replay("d.*", 4, 1);
  one.replay("d.even", 3, 2);
  one.replay(">", 0, 3);
  one.replay("d.none", 0, 4);
  one.replay("plain", 0, 5);
  EXPECT_EQ(data_of(one.replayed(1).got), numbers(4, 10));
  EXPECT_EQ(data_of(one.replayed(2).got), (std::vector<std::string>{"4", "6", "8"}));
  EXPECT_EQ(data_of(one.replayed(3).got), numbers(0, 10));
  EXPECT_TRUE(one.replayed(4).got.empty());
  EXPECT_TRUE(one.replayed(5).got.empty());
  for (uint64_t ticket = 1; ticket <= 5; ++ticket) {
    EXPECT_EQ(one.replayed(ticket).sequence, 10U);
    EXPECT_EQ(one.replayed(ticket).missed, 0);
  }
}

TEST(Replay, FromTheStreamThenFromMemory) {
  NatsServer nats;
  Instance one(nats.url(), small_memory);
  for (size_t number = 0; number < 3000; ++number) {
    one.store(number % 2 == 0 ? "d.even" : "d.odd", std::to_string(number));
  }
  one.all_stored();
  one.wait_delivered(3000);
  one.replay("d.>", 1000, 1);
  one.replay("d.even", 0, 2);
  one.replay(">", 0, 3);
  one.replay("d.none", 5, 4);
  EXPECT_EQ(data_of(one.replayed(1).got), numbers(1000, 3000));
  const Replay even = one.replayed(2);
  ASSERT_EQ(even.got.size(), 1500U);
  EXPECT_EQ(even.got[7].data, "14");
  expect_in_order(even.got);
  EXPECT_EQ(data_of(one.replayed(3).got), numbers(0, 3000));
  EXPECT_TRUE(one.replayed(4).got.empty());
  for (uint64_t ticket = 1; ticket <= 4; ++ticket) {
    EXPECT_EQ(one.replayed(ticket).missed, 0) << ticket;
    EXPECT_EQ(one.replayed(ticket).sequence, 3000U) << ticket;
  }
}

TEST(Replay, SeveralPatternsThatOverlapInPartAreLeftToUs) {
  NatsServer nats;
  Instance one(nats.url(), [](wsb_nats_options& options) {
    small_memory(options);
    options.durable = "a.*.x,b.*.x";
  });
  for (size_t number = 0; number < 300; ++number) {
    one.store(std::string(number % 2 == 0 ? "a." : "b.") + (number % 3 == 0 ? "1.x" : "2.x"), std::to_string(number));
  }
  one.all_stored();
  one.wait_delivered(300);
  one.replay("*.1.>", 0, 1);
  one.replay("a.1.*", 0, 2);
  EXPECT_EQ(one.replayed(1).got.size(), 100U);
  EXPECT_EQ(one.replayed(2).got.size(), 50U);
  expect_in_order(one.replayed(1).got);
}

TEST(Replay, WarmMemoryAfterAStart) {
  NatsServer nats;
  Instance one(nats.url());
  store_numbers(one, "d.a", 0, 100);
  Instance late(nats.url());
  late.replay("d.a", 90, 1);
  EXPECT_EQ(data_of(late.replayed(1).got), numbers(90, 100));
  EXPECT_TRUE(late.delivered().empty());
  one.stored(one.store("d.a", "100"));
  late.wait_delivered(1);
  EXPECT_EQ(data_of(late.delivered()), numbers(100, 101));
}

// Each replay together with what is delivered after it is exactly what was stored after its `after`.
void join_at_full_speed(const std::function<void(wsb_nats_options&)>& set, uint64_t back) {
  constexpr size_t kMessages = 20'000;
  NatsServer nats;
  Instance one(nats.url());
  Instance other(nats.url(), set);
  store_numbers(one, "d.a", 0, 1000);
  other.replay("d.a", UINT64_MAX, 1);
  other.replayed(1);
  auto publisher = std::async(std::launch::async, [&] {
    for (size_t number = 1000; number < kMessages; ++number) one.store("d.a", std::to_string(number));
  });
  std::map<uint64_t, uint64_t> after;
  for (uint64_t ticket = 2; ticket < 40; ++ticket) {
    const std::vector<Got> so_far = other.delivered();
    const uint64_t last = so_far.empty() ? 1000 : so_far.back().sequence;
    after[ticket] = last - std::min(last, back);
    other.replay("d.a", after[ticket], ticket);
    (void)other.replayed(ticket);
  }
  publisher.get();
  one.all_stored();
  wait_for([&] { return !other.delivered().empty() && other.delivered().back().sequence == kMessages; }, "the last");
  const std::vector<Got> live = other.delivered();
  expect_in_order(live);
  for (const auto& [ticket, from] : after) {
    const Replay replay = other.replayed(ticket);
    ASSERT_EQ(replay.missed, 0);
    std::vector<Got> all = replay.got;
    all.insert(all.end(), live.begin() + static_cast<std::ptrdiff_t>(other.resumed_at_delivery(ticket)), live.end());
    ASSERT_EQ(all.size(), kMessages - from) << ticket;
    ASSERT_EQ(data_of(all), numbers(from, kMessages)) << ticket;
  }
}

TEST(Replay, JoinsExactlyFromMemory) {
  join_at_full_speed({}, 700);
}

TEST(Replay, JoinsExactlyFromTheStream) {
  join_at_full_speed([](wsb_nats_options& options) { options.replay_memory_bytes = 65'536; }, 900);
}

void waits_for_room(const std::function<void(wsb_nats_options&)>& set) {
  NatsServer nats;
  Instance one(nats.url(), set);
  std::atomic<size_t> room{50};
  one.answer = [&](uint64_t ticket, size_t count) {
    if (ticket == 2) return count < 3 ? WSB_OK : WSB_E_CLOSED;
    return count < room ? WSB_OK : WSB_E_FULL;
  };
  store_numbers(one, "d.a", 0, 1500);
  one.wait_delivered(1500);
  one.replay("d.a", 0, 1);
  one.replay("d.a", 0, 2);
  one.replay("d.a", 0, 3);
  wait_for([&] { return one.replayed_until_now(1).got.size() == 50; }, "what there is room for");
  one.table().forget(one.table().self, 3);
  wait_for([&] { return one.replayed_until_now(2).got.size() == 3; }, "the closed one");
  store_numbers(one, "d.a", 1500, 1600);  // the feed goes on
  one.wait_delivered(1600);
  EXPECT_EQ(one.replayed_until_now(1).got.size(), 50U);
  const size_t forgotten = one.replayed_until_now(3).got.size();
  room = 1400;
  wait_for([&] { return one.replayed_until_now(1).got.size() == 1400; }, "more");
  room = SIZE_MAX;
  EXPECT_EQ(data_of(one.replayed(1).got), numbers(0, 1600));
  EXPECT_FALSE(one.replayed_until_now(2).resumed);
  EXPECT_FALSE(one.replayed_until_now(3).resumed);
  EXPECT_EQ(one.replayed_until_now(3).got.size(), forgotten);
}

TEST(Replay, WaitsForRoomFromMemory) {
  waits_for_room({});
}

TEST(Replay, WaitsForRoomFromTheStream) {
  waits_for_room(small_memory);
}

TEST(Missed, WhenThereIsTooMuch) {
  NatsServer nats;
  Instance memory(nats.url(), [](wsb_nats_options& options) { options.max_replay = 100; });
  Instance stream(nats.url(), [](wsb_nats_options& options) {
    small_memory(options);
    options.max_replay = 100;
  });
  stream.settle();
  store_numbers(memory, "d.a", 0, 300);
  stream.wait_delivered(300);
  memory.wait_delivered(300);
  for (Instance* instance : {&memory, &stream}) {
    instance->replay("d.a", 199, 1);
    instance->replay("d.a", 200, 2);
    const Replay missed = instance->replayed(1);
    EXPECT_EQ(missed.missed, 1);
    EXPECT_TRUE(missed.got.empty());
    EXPECT_EQ(missed.sequence, 300U);
    EXPECT_EQ(instance->replayed(2).missed, 0);
    EXPECT_EQ(data_of(instance->replayed(2).got), numbers(200, 300));
  }
}

TEST(Missed, WhenTheOldestAreNotKeptAnyMore) {
  NatsServer nats;
  Instance one(nats.url(), [](wsb_nats_options& options) {
    small_memory(options);
    options.durable_max_bytes = 65'536;
  });
  for (size_t number = 1; number <= 500; ++number) {
    one.store("d.a", std::string(1000, 'x'));
    if (number % 20 != 0) continue;  // else they would be gone before anyone had read them
    one.all_stored();
    one.wait_delivered(number);
  }
  one.replay("d.a", 10, 1);
  one.replay("d.a", 480, 2);
  one.replay("d.a", 0, 3);  // all that is kept
  EXPECT_EQ(one.replayed(1).missed, 1);
  EXPECT_TRUE(one.replayed(1).got.empty());
  EXPECT_EQ(one.replayed(2).missed, 0);
  EXPECT_EQ(one.replayed(2).got.size(), 20U);
  EXPECT_EQ(one.replayed(3).missed, 0);
  EXPECT_GE(one.replayed(3).got.size(), 20U);
  EXPECT_EQ(one.replayed(3).got.back().sequence, 500U);
}

TEST(Missed, WhatWasGoneBeforeItCouldBeReadIsTold) {
  NatsServer nats;
  Instance one(nats.url(), [](wsb_nats_options& options) { options.durable_max_bytes = 1024; });
  one.replay("d.a", UINT64_MAX, 1);
  (void)one.replayed(1);
  constexpr size_t kMessages = 5000;
  for (size_t number = 0; number < kMessages; ++number) one.store("d.a", std::string(500, 'x'));
  one.all_stored();
  wait_for([&] { return !one.delivered().empty() && one.delivered().back().sequence == kMessages; }, "the last");
  expect_in_order(one.delivered());
  EXPECT_LT(one.delivered().size(), kMessages);
  EXPECT_TRUE(one.was_told("were not kept until they could be read"));
  one.replay("d.a", 1, 2);
  EXPECT_EQ(one.replayed(2).missed, 1);
}

TEST(Missed, WhenTheStreamWasMadeAnew) {
  NatsServer nats;
  Instance one(nats.url());
  store_numbers(one, "d.a", 0, 50);
  one.wait_delivered(50);
  Client(nats.url()).delete_stream("wsbeat");
  wait_for([&] { return one.was_told("was made anew"); }, "the new stream");
  EXPECT_EQ(one.stored(one.store("d.a", "new")).sequence, 1U);
  one.wait_delivered(51);
  one.replay("d.a", 40, 1);
  EXPECT_EQ(one.replayed(1).missed, 1);
  one.replay("d.a", 0, 2);
  EXPECT_EQ(data_of(one.replayed(2).got), std::vector<std::string>{"new"});
}

// A replay may ask for more than this server has heard of, if another was ahead of it.
TEST(Replay, WaitsUntilTheFeedHasComeThere) {
  NatsServer nats;
  Instance one(nats.url());
  Instance other(nats.url());
  for (uint64_t ticket = 1; ticket <= 50; ++ticket) {
    const uint64_t sequence = one.stored(one.store("d.a", "x")).sequence;
    other.replay("d.a", sequence, ticket);
    const Replay replay = other.replayed(ticket);
    EXPECT_EQ(replay.missed, 0);
    EXPECT_TRUE(replay.got.empty());
    EXPECT_GE(replay.sequence, sequence);
  }
}

}  // namespace
