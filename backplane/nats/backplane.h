// The backplane: a bounded queue of what is to be done, and one thread that does it. No caller ever waits for the network.
#pragma once

#include <wsbeat/nats.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "durable.h"
#include "link.h"
#include "presence.h"
#include "wire.h"

namespace wsb::nats {

struct Settings {
  std::string servers = "nats://127.0.0.1:4222";
  std::string prefix = "wsbeat";
  std::string name = "wsbeat";
  std::string credentials_file;
  std::string tls_ca_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  uint64_t buffer_bytes = 8 << 20;
  bool refuse_when_down = false;
  uint32_t ping_interval_ms = 5000;
  DurableSettings durable;
  uint32_t presence_ttl_ms = 15'000;
};

// natsOptions that fit the settings; throws std::runtime_error with the field that does not.
natsOptions* make_options(const Settings& settings);

class NatsBackplane {
 public:
  explicit NatsBackplane(Settings settings);
  ~NatsBackplane();
  NatsBackplane(const NatsBackplane&) = delete;
  NatsBackplane& operator=(const NatsBackplane&) = delete;

  void open(const wsb_backplane_host& host);
  void close();
  // Each a wsb_error.
  int publish(const wsb_backplane_message& message);
  int subscribe(std::string_view pattern, bool wanted);
  uint32_t state() const noexcept { return link_->state; }
  // Null: nothing is durable.
  Durable* durable() noexcept { return durable_.get(); }
  int store(const wsb_backplane_message& message, void (*done)(void*, int, uint64_t, int), void* context);
  Presence& presence() noexcept { return *presence_; }

 private:
  struct Order {
    enum class Kind : uint8_t { kPublish, kSubscribe, kUnsubscribe };
    Kind kind = Kind::kPublish;
    std::string subject;
    std::string header;
    std::string data;
    uint64_t bytes() const noexcept { return subject.size() + header.size() + data.size(); }
  };

  void run() noexcept;
  bool connect();
  void give_up_connection();
  void serve_wire();
  bool next_orders(std::deque<Order>& orders);
  // False: it could not be sent now, and stays the first.
  bool carry_out(Order& order);
  bool send(Order& order);
  bool add_subscription(const std::string& subject);
  void pause(int64_t most_ms);
  void last_moment(std::deque<Order>& orders);
  void await_store();
  bool closing();
  bool is_too_big(const wsb_backplane_message& message) const noexcept;

  const Settings settings_;
  const LinkRef link_;
  const WireRef wire_;
  std::shared_ptr<Durable> durable_;
  const std::shared_ptr<Presence> presence_;
  natsOptions* options_ = nullptr;
  std::thread thread_;

  // Under the link's mutex.
  std::deque<Order> queue_;
  uint64_t queued_bytes_ = 0;
  uint64_t number_ = 0;  // of the last publication
  bool closing_ = false;
  std::atomic<int64_t> max_payload_{0};  // 0: not known yet

  // The thread's own.
  natsConnection* connection_ = nullptr;
  uint64_t told_connection_ = 0;  // the last one that the wire's listeners were told of
  int64_t wire_due_ms_ = INT64_MAX;
  std::map<std::string, natsSubscription*> subscriptions_;  // by subject; null until there is a connection
  std::string complaint_;                                   // the last one, so that it is not repeated
};

}  // namespace wsb::nats
