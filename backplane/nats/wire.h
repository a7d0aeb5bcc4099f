// What the parts of the backplane have of its thread, the only one that writes to NATS: work for it, timers, subscriptions, questions to JetStream.
#pragma once

#include <nats/nats.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wsb::nats {

struct DestroyMessage {
  void operator()(natsMsg* message) const noexcept { natsMsg_Destroy(message); }
};
using MessageRef = std::unique_ptr<natsMsg, DestroyMessage>;

// An answer of JetStream's: what it said, or why there is none.
struct Answer {
  nlohmann::json json;    // an object; null if there is no answer
  std::string error;      // "" if it says yes
  uint32_t code = 0;      // of the error, as HTTP's: 4xx will not change by itself, 503 may; 0 if nobody answered
  uint32_t err_code = 0;  // JetStream's own
  bool ok() const noexcept { return error.empty(); }
};

// Reads an answer's message; any thread.
Answer read_answer(natsMsg* message);

// What a text begins with; 0 if that is no number.
uint64_t number_in(std::string_view text);

// A member of what JetStream says; 0 or "" if it is not there or of another kind.
uint64_t number_of(const nlohmann::json& object, const char* name);
std::string text_of(const nlohmann::json& object, const char* name);
const nlohmann::json& object_of(const nlohmann::json& object, const char* name);

class Wire : public std::enable_shared_from_this<Wire> {
 public:
  using Work = std::function<void()>;
  using Headers = std::vector<std::pair<std::string, std::string>>;
  using Take = std::function<void(MessageRef message)>;
  using Answered = std::function<void(const Answer& answer)>;

  // Whoever wants to know when NATS is there: for the first time, or again. On the backplane's thread.
  struct Listener {
    virtual ~Listener() = default;
    virtual void connected() = 0;
  };

  // --- Any thread; never waits. What was given before close() and has not begun by then is dropped, and so is what is given later.
  void post(Work work);
  void later(int64_t delay_ms, Work work);
  void listen(std::weak_ptr<Listener> listener);
  /*
   * Ends a subscription (null: nothing) and lets go of it, but not at once: libnats 3.4's reading thread goes on using one that it has looked up,
   * without a reference of its own, while others end it. So it is kept until that thread has come to another message, or has ended.
   */
  void unsubscribe(natsSubscription* subscription) noexcept;

  // --- On the backplane's thread only.
  // Null: there is none. It may just be away, and be back by itself: what is sent meanwhile is lost or late.
  natsConnection* connection() const noexcept { return connection_; }
  bool is_connected() const noexcept;
  // False: it could not be sent.
  bool send(const std::string& subject, const std::string& reply, std::string_view data, const Headers& headers = {});
  // Hands each message of the subject to `take`, on NATS's thread. Null: it could not be done.
  natsSubscription* subscribe(const std::string& subject, Take take);
  // `answered` is called once, on NATS's thread or on this one, within some seconds; not after close().
  void ask(const std::string& subject, std::string_view data, Answered answered, const Headers& headers = {});
  static std::string new_inbox();

  // --- For the backplane.
  // `wake` makes its thread call run().
  explicit Wire(Work wake) : wake_(std::move(wake)) {}
  // What is due; the time when something is due next (of steady_ms), or INT64_MAX.
  int64_t run();
  bool has_work();                       // or a timer that is due before what run() has told
  void use(natsConnection* connection);  // null: it is given up, and connection_closed() follows
  void connection_closed();              // nothing is read from it any more
  void tell_connected();
  void close();

 private:
  struct Question {
    Answered answered;
    int64_t until_ms = 0;
  };

  // A subscription, and how many messages had been read when it had ended.
  struct Ended {
    uint64_t read_count = 0;
    natsSubscription* subscription = nullptr;
  };

  void take_answer(natsMsg* message);
  void answer_late_ones();
  void look_at_ended();
  uint64_t read_count() const;
  void let_go_before(uint64_t read_count);
  bool next_due(int64_t now_ms, Work& out);

  const Work wake_;
  std::mutex mutex_;
  bool closed_ = false;
  std::deque<Work> works_;
  std::multimap<int64_t, Work> timers_;
  int64_t told_due_ms_ = INT64_MAX;  // by run()
  std::vector<std::weak_ptr<Listener>> listeners_;
  std::map<uint64_t, Question> questions_;
  uint64_t last_question_ = 0;
  bool reads_ = false;        // a connection's reading thread may run
  std::vector<Ended> ended_;  // it may still use them

  // The thread's own.
  static constexpr size_t kMostEnded = 256;
  size_t most_ended_ = kMostEnded;  // of ended_: beyond it the reading thread is asked for a sign
  natsConnection* connection_ = nullptr;
  natsSubscription* answers_ = nullptr;
  std::string answers_inbox_;
};

using WireRef = std::shared_ptr<Wire>;

}  // namespace wsb::nats
