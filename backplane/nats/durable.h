// Durable topics: the stream, and what its parts share. Publications go by the store, come back by the feed, and again by replays.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "durable_topics.h"
#include "link.h"
#include "stream.h"
#include "wire.h"

namespace wsb::nats {

class Feed;
class Replays;
class Store;

// A message as the stream has it.
struct Kept {
  uint64_t sequence = 0;
  std::string topic;
  std::string data;
  uint32_t kind = WSB_TEXT;
  uint32_t flags = 0;
  uint64_t exclude = 0;
  uint64_t own_number = 0;  // if this server published it; 0: another

  wsb_backplane_message given() const noexcept;
  size_t bytes() const noexcept { return sizeof(Kept) + topic.size() + data.size(); }
};

class Durable : public Wire::Listener, public std::enable_shared_from_this<Durable> {
 public:
  Durable(LinkRef link, WireRef wire, std::shared_ptr<const DurableTopics> topics, DurableSettings settings);
  Durable(const Durable&) = delete;
  Durable& operator=(const Durable&) = delete;
  ~Durable() override;
  void start();
  void connected() override;
  // Of the backplane's thread, after its last round: nobody is called any more but who waits for a publication.
  void close();

  // --- For the parts.
  // False: it is no message of a topic.
  bool read(natsMsg* message, uint64_t sequence, Kept& out) const;
  // The stream is not there, or not as it should be: looks again.
  void look_again();
  void say(const std::string& text) const { link->say(text); }

  const LinkRef link;
  const WireRef wire;
  const std::shared_ptr<const DurableTopics> shared_topics;
  const DurableTopics& topics;
  const DurableSettings settings;
  // Held around everything of the feed and the replays, and around the host's `deliver`, `replayed` and `resumed` of durable messages. While it is
  // held nobody may be told by say(), and no reader may be begun or restarted; stop() and post() are fine.
  std::mutex mutex;
  const std::unique_ptr<Feed> feed;
  const std::unique_ptr<Replays> replays;
  const std::unique_ptr<Store> store;

 private:
  void ensure();
  void ensured(const Answer& answer, uint64_t round);

  // The backplane's thread's own.
  uint64_t round_ = 0;  // of connections
  std::atomic<bool> looking_{false};
  std::string complaint_;
};

}  // namespace wsb::nats
