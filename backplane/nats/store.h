// Publications to durable topics, each kept until the stream has it: sent again after a reconnect or when JetStream does not answer.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "durable.h"

namespace wsb::nats {

class Store {
 public:
  using Done = void (*)(void* context, int result, uint64_t sequence, int duplicate);

  explicit Store(Durable& durable) : durable_(durable) {}

  // Any thread. A wsb_error; `may_hold`: so many bytes may wait in all.
  int add(const wsb_backplane_message& message, uint64_t may_hold, Done done, void* context);
  uint64_t bytes() const noexcept { return bytes_; }

  // The connection was another one: what was sent is in doubt. On the backplane's thread.
  void pause();
  // The feed has read all that the stream held then: what has not come back was not stored. Any thread; does not wait.
  void resume();
  // The feed has read the publication with this number; has read up to this sequence. Not with the durable mutex.
  void came_back(uint64_t number, uint64_t sequence);
  void passed(uint64_t sequence);

  bool is_empty();
  // On the backplane's thread: the connection is about to be given up.
  void stop_listening();
  // Ends what waits; afterwards nothing is taken any more.
  void close();

 private:
  struct Publication {
    std::string subject;
    std::string header;
    std::string id;
    std::string data;
    Done done = nullptr;
    void* context = nullptr;
    bool keyed = false;
    uint32_t sent = 0;            // so often
    int64_t sent_ms = 0;          // of the steady clock, the last time
    uint64_t first_sequence = 0;  // JetStream calls it a duplicate of this one; whether that is itself, the feed tells
    uint64_t bytes() const noexcept { return subject.size() + header.size() + id.size() + data.size(); }
  };

  void wake();
  void pump();
  bool send(uint64_t number, Publication& publication);
  void listen();
  void take_answer(natsMsg* message);
  void answered(uint64_t number, const Answer& answer);
  void finish(uint64_t number, int result, uint64_t sequence, int duplicate);
  void try_again_later(const Answer& why);
  void check();
  void check_later();
  void complain(const std::string& text);

  Durable& durable_;
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> doubtful_{0};  // publications with a first_sequence

  std::mutex done_mutex_;  // held around `done`, so that close() can wait for it; before the next
  std::mutex mutex_;
  std::map<uint64_t, Publication> waiting_;  // by number, which is their order
  uint64_t last_number_ = 0;
  uint64_t next_ = 1;    // all before it were sent
  uint64_t on_way_ = 0;  // sent, not answered
  bool ready_ = false;
  bool pumping_ = false;   // pump() is on its way
  bool checking_ = false;  // check() is
  bool trying_again_ = false;
  bool closed_ = false;
  std::string complaint_;

  // The backplane's thread's own.
  const natsConnection* connection_ = nullptr;
  natsSubscription* answers_ = nullptr;
  std::string inbox_;
};

}  // namespace wsb::nats
