// The queue and its thread.
#include "backplane.h"

#include <nats/nats.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <stdexcept>
#include <utility>

#include "store.h"

namespace wsb::nats {

namespace {

constexpr int64_t kConnectPauseMs = 250;
constexpr int64_t kLastMomentMs = 1000;
constexpr int64_t kSettleMs =
    1000;  // after a reconnect, so that other servers that lost the same NATS server are back too

// Each thing that NATS's threads may call back gets a reference of its own, given back when it is certain to be the last call.
LinkRef* closure_of(const LinkRef& link) {
  return new LinkRef(link);
}
Link& link_of(void* closure) {
  return **static_cast<LinkRef*>(closure);
}
void release(void* closure) {
  delete static_cast<LinkRef*>(closure);
}

void on_message(natsConnection* /*connection*/, natsSubscription* /*subscription*/, natsMsg* message, void* closure) {
  link_of(closure).deliver(message);
  natsMsg_Destroy(message);
}

std::string url_of(natsConnection* connection) {
  char url[256] = "";
  (void)natsConnection_GetConnectedUrl(connection, url, sizeof url);
  std::string text = url;
  // No password in a log.
  const size_t at = text.rfind('@');
  const size_t scheme = text.find("://");
  if (at != std::string::npos && scheme != std::string::npos) text.erase(scheme + 3, at - scheme - 2);
  return text;
}

void on_disconnected(natsConnection* /*connection*/, void* closure) {
  link_of(closure).set_state(WSB_BACKPLANE_DOWN, "disconnected from NATS");
}
void on_reconnected(natsConnection* connection, void* closure) {
  link_of(closure).resume_ms = steady_ms() + kSettleMs;
  ++link_of(closure).connections;
  link_of(closure).set_state(WSB_BACKPLANE_UP, "connected again to NATS at " + url_of(connection));
}
void on_closed(natsConnection* /*connection*/, void* closure) {
  Link& link = link_of(closure);
  link.closed = true;
  link.set_state(WSB_BACKPLANE_DOWN, "disconnected from NATS");
  release(closure);
}
void on_error(natsConnection* /*connection*/, natsSubscription* /*subscription*/, natsStatus status, void* closure) {
  link_of(closure).say(std::string("NATS: ") + natsStatus_GetText(status));
}

uint64_t random_number() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

Presence::Tell presence_teller(const LinkRef& link) {
  return {
      [link](uint64_t watch, const std::string& member, bool present) { link->tell_presence(watch, member, present); },
      [link](const std::string& text) { link->say(text); }};
}

}  // namespace

NatsBackplane::NatsBackplane(Settings settings)
    : settings_(std::move(settings)),
      link_(std::make_shared<Link>()),
      wire_(std::make_shared<Wire>([link = link_] { link->wake(); })),
      presence_(Presence::start(
          wire_, PresenceSettings(settings_.prefix, settings_.presence_ttl_ms, settings_.durable.replicas),
          presence_teller(link_))) {
  options_ = make_options(settings_);
  link_->origin = random_number();
  link_->prefix = settings_.prefix + ".";
  if (settings_.durable.patterns.empty()) return;
  link_->durable = std::make_shared<DurableTopics>(settings_.prefix, settings_.durable.patterns);
  durable_ = std::make_shared<Durable>(link_, wire_, link_->durable, settings_.durable);
}

NatsBackplane::~NatsBackplane() {
  close();
  natsOptions_Destroy(options_);
}

void NatsBackplane::open(const wsb_backplane_host& host) {
  {
    const std::lock_guard<std::mutex> lock(link_->host_mutex_);
    link_->host_ = &host;
  }
  if (durable_ != nullptr) durable_->start();
  thread_ = std::thread([this] { run(); });
}

void NatsBackplane::close() {
  {
    const std::lock_guard<std::mutex> lock(link_->mutex);
    closing_ = true;
  }
  link_->changed.notify_all();
  if (thread_.joinable()) thread_.join();
  link_->cut();
  if (durable_ != nullptr) durable_->close();
}

bool NatsBackplane::is_too_big(const wsb_backplane_message& message) const noexcept {
  constexpr size_t kHeaderBytes = 160;  // at most, with NATS's own line
  const int64_t most = max_payload_;
  return most != 0 && message.length + message.key_length + kHeaderBytes > static_cast<uint64_t>(most);
}

int NatsBackplane::store(const wsb_backplane_message& message, void (*done)(void*, int, uint64_t, int), void* context) {
  if (settings_.refuse_when_down && link_->state != WSB_BACKPLANE_UP) return WSB_E_STATE;
  if (is_too_big(message)) return WSB_E_TOO_BIG;
  uint64_t others = 0;
  {
    const std::lock_guard<std::mutex> lock(link_->mutex);
    others = queued_bytes_;
  }
  if (others > settings_.buffer_bytes) return WSB_E_FULL;
  return durable_->store->add(message, settings_.buffer_bytes - others, done, context);
}

int NatsBackplane::publish(const wsb_backplane_message& message) {
  if (settings_.refuse_when_down && link_->state != WSB_BACKPLANE_UP) return WSB_E_STATE;
  if (is_too_big(message)) return WSB_E_TOO_BIG;
  Order order;
  order.subject.reserve(link_->prefix.size() + message.topic_length);
  order.subject.append(link_->prefix).append(message.topic, message.topic_length);
  if (message.length != 0) order.data.assign(static_cast<const char*>(message.data), message.length);
  {
    const std::lock_guard<std::mutex> lock(link_->mutex);
    order.header = header_value(link_->origin, number_ + 1, message.kind, message.flags);
    const uint64_t bytes = order.bytes() + (durable_ == nullptr ? 0 : durable_->store->bytes());
    if (queued_bytes_ + bytes > settings_.buffer_bytes) return WSB_E_FULL;
    queued_bytes_ += order.bytes();
    queue_.push_back(std::move(order));
    ++number_;
  }
  link_->changed.notify_all();
  return WSB_OK;
}

// Not bounded by bytes: there are no more than the server allows subscriptions.
int NatsBackplane::subscribe(std::string_view pattern, bool wanted) {
  Order order;
  order.kind = wanted ? Order::Kind::kSubscribe : Order::Kind::kUnsubscribe;
  order.subject = link_->prefix + std::string(pattern);
  {
    const std::lock_guard<std::mutex> lock(link_->mutex);
    queued_bytes_ += order.bytes();
    queue_.push_back(std::move(order));
  }
  link_->changed.notify_all();
  return WSB_OK;
}

// --------------------------------------------------------------------------------------------------------------- the thread

bool NatsBackplane::closing() {
  const std::lock_guard<std::mutex> lock(link_->mutex);
  return closing_;
}

void NatsBackplane::run() noexcept {
  std::deque<Order> orders;
  while (!closing()) {
    try {
      serve_wire();
      if (connection_ != nullptr && link_->closed) give_up_connection();
      if (connection_ == nullptr && !connect()) {
        pause(kConnectPauseMs);
        continue;
      }
      if (!next_orders(orders)) continue;
      while (!orders.empty() && carry_out(orders.front())) {
        const std::lock_guard<std::mutex> lock(link_->mutex);
        queued_bytes_ -= std::min(queued_bytes_, orders.front().bytes());
        orders.pop_front();
      }
      if (!orders.empty()) pause(kConnectPauseMs);
    } catch (const std::exception& error) {  // no memory: again, a little later
      pause(kConnectPauseMs);
    }
  }
  try {
    presence_->close();
  } catch (const std::exception&) {  // no memory: the others find out
  }
  last_moment(orders);
  if (durable_ != nullptr) durable_->store->stop_listening();
  wire_->close();
  link_->cut();
  if (connection_ != nullptr) give_up_connection();
  nats_ReleaseThreadMemory();
}

// Until something changes: the state, the queue, or that it closes.
void NatsBackplane::pause(int64_t most_ms) {
  std::unique_lock<std::mutex> lock(link_->mutex);
  const uint32_t before = link_->state;
  link_->changed.wait_for(lock, std::chrono::milliseconds(most_ms), [&] {
    return closing_ || link_->state != before || (connection_ != nullptr && link_->closed);
  });
}

void NatsBackplane::serve_wire() {
  if (connection_ != nullptr && link_->state == WSB_BACKPLANE_UP && told_connection_ != link_->connections) {
    told_connection_ = link_->connections;
    wire_->tell_connected();
  }
  wire_due_ms_ = wire_->run();
}

// Waits for orders, and for a connection to carry them out. False: look again at what has changed.
bool NatsBackplane::next_orders(std::deque<Order>& orders) {
  std::unique_lock<std::mutex> lock(link_->mutex);
  const auto has_something = [&] {
    const bool work = !orders.empty() || !queue_.empty();
    const bool up = link_->state == WSB_BACKPLANE_UP;
    return closing_ || link_->closed || (work && up) || wire_->has_work() ||
           (up && told_connection_ != link_->connections);
  };
  constexpr int64_t kLongMs = 3'600'000;
  const int64_t due_ms = std::clamp<int64_t>(wire_due_ms_ - steady_ms(), 0, kLongMs);
  link_->changed.wait_for(lock, std::chrono::milliseconds(due_ms), has_something);
  const bool work = !orders.empty() || !queue_.empty();
  if (closing_ || link_->closed || !work || link_->state != WSB_BACKPLANE_UP) return false;
  const int64_t resume_ms = link_->resume_ms;
  if (resume_ms > steady_ms()) {
    const int64_t wait_ms = std::min(resume_ms, wire_due_ms_) - steady_ms();
    link_->changed.wait_for(lock, std::chrono::milliseconds(std::max<int64_t>(wait_ms, 0)), [&] {
      return closing_ || link_->closed || link_->state != WSB_BACKPLANE_UP || wire_->has_work();
    });
    return false;
  }
  if (orders.empty()) orders.swap(queue_);
  return true;
}

bool NatsBackplane::connect() {
  LinkRef* const closure = closure_of(link_);
  link_->closed = false;
  natsOptions_SetDisconnectedCB(options_, on_disconnected, closure);
  natsOptions_SetReconnectedCB(options_, on_reconnected, closure);
  natsOptions_SetClosedCB(options_, on_closed, closure);
  natsOptions_SetErrorHandler(options_, on_error, closure);
  const natsStatus status = natsConnection_Connect(&connection_, options_);
  if (status != NATS_OK) {
    connection_ = nullptr;
    release(closure);
    std::string complaint = std::string("cannot reach NATS: ") + natsStatus_GetText(status);
    if (complaint != complaint_) link_->say(complaint);
    complaint_ = std::move(complaint);
    return false;
  }
  complaint_.clear();
  max_payload_ = natsConnection_GetMaxPayload(connection_);
  wire_->use(connection_);
  ++link_->connections;
  for (auto& [subject, subscription] : subscriptions_) subscription = nullptr;
  for (auto& entry : subscriptions_) (void)add_subscription(entry.first);
  if (natsConnection_Status(connection_) == NATS_CONN_STATUS_CONNECTED) {
    link_->set_state(WSB_BACKPLANE_UP, "connected to NATS at " + url_of(connection_));
  }
  return true;
}

void NatsBackplane::give_up_connection() {
  for (auto& [subject, subscription] : subscriptions_) {
    wire_->unsubscribe(subscription);
    subscription = nullptr;
  }
  wire_->use(nullptr);
  natsConnection_Close(connection_);
  wire_->connection_closed();
  natsConnection_Destroy(connection_);
  connection_ = nullptr;
}

bool NatsBackplane::add_subscription(const std::string& subject) {
  natsSubscription* made = nullptr;
  LinkRef* const closure = closure_of(link_);
  const natsStatus status = natsConnection_Subscribe(&made, connection_, subject.c_str(), on_message, closure);
  if (status != NATS_OK) {
    release(closure);
    link_->say("cannot subscribe to " + subject + ": " + natsStatus_GetText(status));
    return false;
  }
  natsSubscription_SetOnCompleteCB(made, release, closure);
  subscriptions_[subject] = made;
  return true;
}

bool NatsBackplane::carry_out(Order& order) {
  switch (order.kind) {
    case Order::Kind::kPublish:
      return send(order);
    case Order::Kind::kSubscribe:
      subscriptions_.emplace(order.subject, nullptr);
      (void)add_subscription(order.subject);
      return true;
    case Order::Kind::kUnsubscribe: {
      const auto found = subscriptions_.find(order.subject);
      if (found == subscriptions_.end()) return true;
      wire_->unsubscribe(found->second);
      subscriptions_.erase(found);
      return true;
    }
  }
  return true;
}

bool NatsBackplane::send(Order& order) {
  if (link_->state != WSB_BACKPLANE_UP) return false;
  natsMsg* message = nullptr;
  natsStatus status =
      natsMsg_Create(&message, order.subject.c_str(), nullptr, order.data.data(), static_cast<int>(order.data.size()));
  if (status == NATS_OK) status = natsMsgHeader_Set(message, kHeader, order.header.c_str());
  if (status == NATS_OK) status = natsConnection_PublishMsg(connection_, message);
  natsMsg_Destroy(message);
  switch (status) {
    case NATS_OK:
      return true;
    case NATS_NO_MEMORY:
    case NATS_INSUFFICIENT_BUFFER:
    case NATS_CONNECTION_CLOSED:
    case NATS_CONNECTION_DISCONNECTED:
    case NATS_IO_ERROR:
    case NATS_TIMEOUT:
      return false;
    default:  // it will never be taken
      link_->say("a publication to " + order.subject + " was dropped: " + natsStatus_GetText(status));
      return true;
  }
}

// What was published before the end may still leave.
void NatsBackplane::last_moment(std::deque<Order>& orders) {
  if (connection_ == nullptr || link_->state != WSB_BACKPLANE_UP) return;
  try {
    const std::lock_guard<std::mutex> lock(link_->mutex);
    while (!queue_.empty()) {
      orders.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
  } catch (const std::exception&) {
    return;
  }
  for (Order& order : orders) {
    if (order.kind == Order::Kind::kPublish && !send(order)) return;
  }
  await_store();
  (void)natsConnection_FlushTimeout(connection_, kLastMomentMs);
}

// Those that publish may still learn what has become of it.
void NatsBackplane::await_store() {
  if (durable_ == nullptr) return;
  constexpr int64_t kLookMs = 2;
  const int64_t until_ms = steady_ms() + kLastMomentMs;
  while (!durable_->store->is_empty() && link_->state == WSB_BACKPLANE_UP && steady_ms() < until_ms) {
    (void)wire_->run();
    std::unique_lock<std::mutex> lock(link_->mutex);
    link_->changed.wait_for(lock, std::chrono::milliseconds(kLookMs));
  }
}

}  // namespace wsb::nats
