// Subscriptions that end while their messages come. libnats's reading thread may still use one then, so that the backplane must keep it for a while.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "support.h"

namespace {
std::atomic<int> made{0};
std::atomic<int> ended{0};
std::atomic<int> let_go{0};

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}
}  // namespace

// In place of libnats's, which do the work; seen from the library under test too.
#pragma GCC visibility push(default)
extern "C" {

natsStatus natsConnection_Subscribe(natsSubscription** out, natsConnection* connection, const char* subject,
                                    natsMsgHandler take, void* closure) {
  static auto* const real = next<decltype(natsConnection_Subscribe)>("natsConnection_Subscribe");
  const natsStatus status = real(out, connection, subject, take, closure);
  if (status == NATS_OK) ++made;
  return status;
}

natsStatus natsSubscription_Unsubscribe(natsSubscription* subscription) {
  static auto* const real = next<decltype(natsSubscription_Unsubscribe)>("natsSubscription_Unsubscribe");
  ++ended;
  return real(subscription);
}

void natsSubscription_Destroy(natsSubscription* subscription) {
  static auto* const real = next<decltype(natsSubscription_Destroy)>("natsSubscription_Destroy");
  if (subscription != nullptr) ++let_go;
  real(subscription);
}

}  // extern "C"
#pragma GCC visibility pop

namespace {

void subscribe(Instance& instance, const std::string& topic) {
  EXPECT_EQ(instance.table().subscribe(instance.table().self, topic.data(), topic.size()), WSB_OK);
}
void unsubscribe(Instance& instance, const std::string& topic) {
  EXPECT_EQ(instance.table().unsubscribe(instance.table().self, topic.data(), topic.size()), WSB_OK);
}

class Unsubscribe : public ::testing::Test {
 protected:
  Unsubscribe() {
    made = ended = let_go = 0;
    wait_for([&] { return one.is_up(); }, "up");
  }
  void receive(const std::string& topic) {
    const size_t come = one.delivered().size();
    Client client(nats.url());
    // Again and again: the subscription may be on its way.
    wait_for(
        [&] {
          client.publish("wsbeat." + topic, "x");
          return one.delivered().size() > come;
        },
        "a message");
  }

  NatsServer nats{{}, false};
  Instance one{nats.url(), [](wsb_nats_options& options) { options.durable = nullptr; }};
};

TEST_F(Unsubscribe, KeepsWhatTheReadingThreadMayStillUse) {
  subscribe(one, "a");
  subscribe(one, "b");
  receive("a");
  unsubscribe(one, "a");
  wait_for([] { return ended == 1; }, "the first has ended");
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(let_go, 0) << "nothing has been read since";
  receive("b");
  unsubscribe(one, "b");
  wait_for([] { return let_go == 1; }, "the first is let go");
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(let_go, 1);
  one.close();
  EXPECT_EQ(let_go, made) << "the connection was the last that could use them";
}

TEST_F(Unsubscribe, KeepsABoundedNumberWhereNothingComes) {
  constexpr int kMany = 1000;
  for (int i = 0; i < kMany; ++i) {
    subscribe(one, "a");
    unsubscribe(one, "a");
  }
  wait_for([] { return ended == kMany; }, "all have ended");
  wait_for([] { return made - let_go < 300; }, "most are let go");
  one.close();
  EXPECT_EQ(let_go, made);
}

TEST_F(Unsubscribe, AmidAFlood) {
  std::atomic<bool> stopping{false};
  std::thread flood([&] {
    Client client(nats.url());
    while (!stopping) client.publish("wsbeat.a", "x");
  });
  size_t come = 0;
  for (int round = 0; round < 300; ++round) {
    subscribe(one, "a");
    one.wait_delivered(come + 1);
    unsubscribe(one, "a");
    come = one.delivered().size();
  }
  wait_for([] { return ended == 300; }, "all have ended");
  wait_for([] { return made - let_go < 10; }, "nearly all are let go");
  stopping = true;
  flood.join();
  one.close();
  EXPECT_EQ(let_go, made);
}

}  // namespace
