// Reads a JetStream stream reliably: each message once and in order, whatever becomes of consumers, connections and servers meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "wire.h"

namespace wsb::nats {

/*
 * libnats's own ordered consumers do not do: what overflows their queue is lost unnoticed, one that must start anew before its first message
 * starts at the stream's beginning, and each new start is a thread. So: a plain subscription, an ephemeral push consumer that we ask for
 * ourselves, and its numbers watched. Nothing here waits for the network.
 */
class StreamReader : public Wire::Listener, public std::enable_shared_from_this<StreamReader> {
 public:
  enum class From : uint8_t {
    kAfter,           // the first message after the sequence `after`
    kLastPerSubject,  // of each subject the newest, then all that come; needs a filter, and no window
    kNew              // what comes from now on
  };

  struct Settings {
    std::string stream;
    std::string filter;  // a subject, also with wildcards; "": all
    From from = From::kAfter;
    uint64_t after = 0;
    int64_t heartbeat_ms = 5000;  // after three of them without a sign it starts anew; at least 100
    // 0: messages come as fast as they can. Else at most so many that taken() has not been told of are on their way.
    uint32_t window = 0;
  };

  /*
   * On any thread, but never two at once. They hold what they need themselves: one call that had begun may still be under way when stop()
   * returns. They may call stop(), taken() and everything of Wire's that any thread may.
   */
  struct Handlers {
    // Each time that it begins (again), before any message: nothing matches up to `position` but what was told (0: not known), and `pending`
    // messages are there to be read. May be empty.
    std::function<void(uint64_t position, uint64_t pending)> started;
    // `pending`: so many more were there when JetStream sent this one. The message is valid during the call only.
    std::function<void(uint64_t sequence, uint64_t pending, natsMsg* message)> message;
    // Nothing matches up to this sequence but what was told. Now and then, when nothing else happens. May be empty.
    std::function<void(uint64_t sequence)> passed;
    // The stream has fewer messages than were read: it was made anew, or has lost its end. It goes on after `sequence`. May be empty.
    std::function<void(uint64_t sequence)> shortened;
    // It cannot read now, and tries again by itself. Each text once until it has worked. May be empty.
    std::function<void(const Answer& why)> failed;
  };

  static std::shared_ptr<StreamReader> start(WireRef wire, Settings settings, Handlers handlers);

  // Any thread, any number of times, without waiting. No call of a handler begins after it.
  void stop();
  // With a window: all up to this sequence is done with. Any thread.
  void taken(uint64_t sequence);

  // Ours alone.
  StreamReader(WireRef wire, Settings settings, Handlers handlers);
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;
  ~StreamReader() override;
  void connected() override;

 private:
  // One consumer and its subscription. `number` tells late signs of an earlier one apart; 0: there is none.
  struct Attempt {
    uint64_t number = 0;
    natsSubscription* subscription = nullptr;
    std::string consumer;         // its name; "": not known yet
    std::deque<MessageRef> held;  // what came before JetStream's answer to our wish
    uint64_t next = 1;            // its number of the next message
    int64_t heard_ms = 0;         // of the steady clock
  };

  // With the mutex, on the backplane's thread.
  void begin();
  void drop_attempt();
  void check();
  void acknowledge();
  void ask_leader();
  // With the mutex, on any thread.
  void again_later(const Answer& why);
  void again_now();
  void answered(const Answer& answer);
  bool is_doubtful(uint64_t last);
  void leader_answered(const Answer& answer);
  void take(natsMsg* message);
  void take_message(natsMsg* message);
  void take_control(natsMsg* message);
  void schedule_check();
  std::string wish(const std::string& inbox) const;
  // Does work with the mutex, unless it is stopped; afterwards or at once.
  void with_mutex(void (StreamReader::*work)());
  Wire::Work when_due(void (StreamReader::*work)());

  const WireRef wire_;
  const Settings settings_;
  const Handlers handlers_;
  std::atomic<bool> stopped_{false};
  std::atomic<uint64_t> taken_{0};
  std::atomic<uint32_t> taken_since_{0};  // the last acknowledgement

  std::mutex mutex_;  // held while handlers run, so that they come one after another
  Attempt attempt_;
  uint64_t attempts_ = 0;
  bool positioned_ = false;  // position_ is known
  uint64_t position_ = 0;    // all up to here was told
  int64_t short_since_ms_ =
      0;  // since then its leader says that the stream is shorter than what was read; 0: it does not
  std::string complaint_;
  std::map<uint64_t, std::string> replies_;  // with a window: where to say that a sequence was taken
  std::string last_reply_;
};

}  // namespace wsb::nats
