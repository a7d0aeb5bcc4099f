// What NATS's own threads use. They may outlive the backplane for a moment, so they share it; once it is cut it calls nobody.
#pragma once

#include <wsbeat/wsbeat.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "seen.h"

typedef struct __natsConnection natsConnection;
typedef struct __natsSubscription natsSubscription;
typedef struct __natsMsg natsMsg;

namespace wsb::nats {

class DurableTopics;

struct Link {
  // Any thread. The text goes to the log if the state is new.
  void set_state(uint32_t now, const std::string& text);
  void say(const std::string& text);  // the state unchanged
  void deliver(natsMsg* message);
  void tell_presence(uint64_t watch, std::string_view member, bool present);
  void cut();
  void wake();  // the backplane's thread

  // With this one the host may be called, if there is one.
  std::mutex& host_mutex() noexcept { return host_mutex_; }
  const wsb_backplane_host* host() const noexcept { return host_; }

  uint64_t origin = 0;                           // of this server
  std::string prefix;                            // with its dot
  std::shared_ptr<const DurableTopics> durable;  // their messages come from the stream
  std::atomic<uint32_t> state{WSB_BACKPLANE_DOWN};
  std::atomic<int64_t> resume_ms{0};     // of the steady clock: publications wait until then
  std::atomic<uint64_t> connections{0};  // how often NATS was reached
  std::atomic<bool> closed{false};       // NATS's client has given this connection up
  std::mutex mutex;                      // of the sender's queue
  std::condition_variable changed;       // the state, or the queue

 private:
  friend class NatsBackplane;
  std::mutex host_mutex_;
  const wsb_backplane_host* host_ = nullptr;  // null: cut
  Seen seen_;
};

int64_t steady_ms() noexcept;

using LinkRef = std::shared_ptr<Link>;

// The header of a message of ours: who sent it, its number, and what it is.
std::string header_value(uint64_t origin, uint64_t number, uint32_t kind, uint32_t flags, uint64_t exclude = 0);
struct Header {
  uint64_t origin = 0;
  uint64_t number = 0;
  uint32_t kind = WSB_TEXT;
  uint32_t flags = 0;
  uint64_t exclude = 0;  // a connection of the origin's
};
bool read_header(const char* value, Header& out);

inline constexpr char kHeader[] = "Wsbeat";

}  // namespace wsb::nats
