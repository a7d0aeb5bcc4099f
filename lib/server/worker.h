// One thread with its event loop and its connections. In worker.cpp (life and turns), worker_transport.cpp (what the loop
// reports), worker_handshake.cpp (requests), worker_api.cpp (calls of the application, from this thread or another), worker_topics.cpp,
// worker_durable.cpp, worker_presence.cpp, worker_stop.cpp.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/buffer.h"
#include "core/handshake.h"
#include "core/registry.h"
#include "core/request.h"
#include "core/topic_trie.h"
#include "core/transport.h"
#include "core/wheel.h"
#include "net/listener.h"
#include "net/loop.h"
#include "server/context.h"
#include "server/durable.h"
#include "server/metrics.h"
#include "server/session.h"

namespace wsb::server {

// A call of another thread, carried out by the worker.
struct Command {
  enum class Kind : uint8_t {
    kSend,
    kPublish,
    kReplayed,
    kResumed,
    kOweDrain,
    kSlowConsumer,
    kPing,
    kClose,
    kAbort,
    kPause,
    kResume,
    kHeartbeat,
    kAuthenticate,
    kEventsReleased
  };
  Kind kind = Kind::kSend;
  uint64_t conn = 0;
  uint32_t code = 0;                  // kClose
  uint64_t ticket = 0;                // kResumed
  core::BufferRef buffer;             // kSend, kPublish, kReplayed: a framed message
  std::vector<uint64_t> receivers;    // kPublish
  std::string text;                   // kPing: payload; kClose: reason; kReplayed: the subscription
  core::HeartbeatSettings heartbeat;  // kHeartbeat
};

class Worker;

// One message of send_many.
struct Posting {
  Worker* worker = nullptr;  // null: there is nothing (more) to do
  uint64_t conn = 0;
  core::BufferRef message;
  int result = 0;
};

class Worker final : public core::TransportEvents {
 public:
  Worker(Context& context, uint32_t index);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // -- life, on the worker's own thread
  // Throws net::NetError. Takes its listening descriptor if it succeeds.
  void open(net::Listeners& listeners, const net::LoopConfig& config);
  // Until a stop order has been carried out.
  void run();
  // Undoes open(); no session is left.
  void close() noexcept;
  // The worker whose thread this is, null elsewhere.
  static Worker* current() noexcept;

  // -- any thread: WSB_OK or a wsb_error
  int send(uint64_t id, core::Opcode opcode, const void* data, size_t n);
  int send_message(uint64_t id, core::Buffer* message);
  // Sends those that are for this worker, in order, and marks them as done.
  void send_many(Posting* postings, size_t count);
  int ping(uint64_t id, const void* data, size_t n);
  int close_connection(uint64_t id, uint32_t code, std::string_view reason);
  int abort_connection(uint64_t id);
  int order(uint64_t id, Command::Kind kind, const core::HeartbeatSettings* heartbeat = nullptr);
  int64_t buffered_amount(uint64_t id);
  int set_user(uint64_t id, void* user);
  void* user(uint64_t id);
  int info(uint64_t id, wsb_conn_info& out);
  int64_t text(uint64_t id, uint32_t which, char* buffer, size_t capacity);
  // With a wish (else null) there is a replay to be ordered.
  int subscribe(uint64_t id, std::string_view pattern, core::TopicTrie::Change& change, const ResumeWish* wish,
                ReplayOrder* order);
  // `forgotten`: the ticket of a replay that nobody wants any more.
  int unsubscribe(uint64_t id, std::string_view pattern, core::TopicTrie::Change& change, uint64_t& forgotten);
  int subscriptions(uint64_t id, std::vector<std::string>& out);
  void publish(const Publication& publication, PublishCounts& counts);
  // Durable messages, and replays by their tickets.
  bool has_live_receivers(std::string_view topic);
  // Never at the same time as resumed(). Who has fallen behind is put into `orders`.
  void deliver_durable(const Publication& publication, uint64_t sequence, PublishCounts& counts,
                       std::vector<ReplayOrder>& orders);
  // WSB_OK, FULL or CLOSED; if it is `wanted` (else it is left out), to be made for `target` and posted.
  int offer_replayed(uint64_t ticket, const DurableMessage& message, ReplayTarget& target, bool& wanted);
  int post_replayed(uint64_t ticket, core::BufferRef message);
  void resumed(uint64_t ticket, uint64_t sequence, bool missed);
  bool is_replay_wanted(uint64_t ticket);
  // The backplane did not begin it: the connection of one that fell behind is closed,
  void replay_failed(uint64_t ticket);
  // and a new subscription ends.
  void cancel_subscription(uint64_t ticket, core::TopicTrie::Change& change);
  // Presence. Counts a join or watch, if it is new, of an open connection: WSB_OK, CLOSED or LIMIT.
  int enter_presence(uint64_t id, bool is_new);
  int leave_presence(uint64_t id);
  bool is_there(uint64_t id);
  // Those whose full queue refused it are added to `behind`.
  void send_to(const std::vector<uint64_t>& ids, core::Buffer& message, std::vector<uint64_t>& behind);
  // It is told when there is room again, or closed as too slow.
  void has_fallen_behind(uint64_t id, bool can_catch_up);
  void list_connections(std::vector<uint64_t>& out);
  void add_metrics(MetricsSum& sum);
  // Of queue delivery: the application has released these events of one connection.
  void events_released(uint64_t id, uint32_t events, uint64_t bytes);
  void stop(const StopOrder& order);
  // False: not running.
  bool use_credentials(std::shared_ptr<const net::Credentials> credentials);
  void wait_for_credentials();

  // -- for sessions and deliveries, on the worker's thread
  Context& context() noexcept { return context_; }
  uint32_t index() const noexcept { return index_; }
  WorkerMetrics& metrics() noexcept { return metrics_; }
  core::BufferPool& pool() noexcept { return pool_; }
  core::TimeUs now() noexcept { return loop_->now(); }
  void mark_dirty(Session& session);
  void closed(Session& session, const core::CloseInfo& info);
  // The message that is being delivered on this thread, for sending on without a copy, if these are its bytes; else null.
  static core::BufferRef share_delivered(core::Opcode opcode, const void* data, size_t n) noexcept;
  // Whose message is being delivered; null: nobody's.
  void set_delivering(Session* session) noexcept { delivering_ = session; }
  bool in_callback() const noexcept { return callback_depth_ != 0; }
  // Ends reported meanwhile are told afterwards, so that no callback runs inside another.
  class CallbackScope {
   public:
    CallbackScope() noexcept : worker_(current()) {
      if (worker_ != nullptr) ++worker_->callback_depth_;
    }
    ~CallbackScope() {
      if (worker_ != nullptr) --worker_->callback_depth_;
    }
    CallbackScope(const CallbackScope&) = delete;
    CallbackScope& operator=(const CallbackScope&) = delete;

   private:
    Worker* worker_;
  };

  // How a stop went.
  struct StopCounts {
    uint64_t clean = 0;
    uint64_t aborted = 0;
  };
  StopCounts stop_counts() const noexcept { return stop_counts_; }

 private:
  bool wants_proxy_header(const core::PeerAddress& peer) const noexcept override;
  bool on_accepted(core::Transport& transport, core::PeerAddress peer, bool tls) override;
  void on_proxy_header(core::Transport& old, core::Transport& next, core::PeerAddress client) noexcept override;
  void on_bad_proxy_header(core::Transport& transport, const char* why) override;
  void on_bytes(core::Transport& transport, uint8_t* bytes, size_t n) override;
  core::Place place_for_bytes(core::Transport& transport, size_t least) override;
  void on_writable(core::Transport& transport) override;
  void on_ended(core::Transport& transport) override;
  void on_turn() override;
  void on_alarm(core::TimeUs now, core::TimeUs late_us) override;
  void on_wake() override;
  void on_log(uint32_t level, const std::string& text) override;

  // Runs `work`; when memory runs out in it, the session is aborted.
  template <typename Work>
  void guarded(Session& session, Work&& work) noexcept {
    try {
      work();
    } catch (const std::exception& error) {
      give_up(session, error.what());
    }
  }
  void give_up(Session& session, const char* why) noexcept;

  void settle(Session& session);
  bool flush(Session& session);
  void let_last_bytes_pass(Session& session);
  void end(Session& session);
  void schedule(Session& session);
  void count_queue(Session& session) noexcept;
  void heed_heartbeat(const core::HeartbeatSettings& heartbeat) noexcept;
  uint16_t next_phase(uint32_t interval_ms, core::TimeUs now) noexcept;
  void on_session_time(Session& session, core::TimeUs now);
  void tell_late_close(Session& session) noexcept;
  void tell_closed(Session& session, const core::CloseInfo& info) noexcept;
  void leave_limits(Session& session) noexcept;
  void destroy(Session& session) noexcept;
  void give_back_memory() noexcept;

  void take_head(Session& session, uint8_t* bytes, size_t n);
  void head_timed_out(Session& session);
  void refuse_proxy_header(Session& session, const char* why);
  void serve(Session& session, const core::Request& request, uint8_t* rest, size_t rest_bytes);
  void serve_http(Session& session, const core::Request& request, const std::string& peer);
  void serve_websocket(Session& session, const core::Request& request, const std::string& peer, uint8_t* rest,
                       size_t rest_bytes);
  void refuse(Session& session, const core::Refusal& refusal, const std::string& peer, bool head_only);
  void tell_refused(uint32_t status, uint32_t refusal, const std::string& peer);
  uint32_t enter_limits(const std::string& peer);
  bool admit(Session& session, const core::Request& request, core::Handshake& verdict, const std::string& peer);
  void open_session(Session& session, const std::string& answer, const core::Handshake& verdict, bool authenticated);

  bool is_own_thread() const noexcept { return current() == this; }
  Session* find(uint64_t id) const noexcept { return static_cast<Session*>(registry_.find(id)); }
  // Calls `use(session)` if the connection exists, under the gate where needed; else returns `missing`.
  template <typename Result, typename Use>
  Result with_session(uint64_t id, Result missing, Use&& use);
  static size_t ping_frame_bytes(size_t payload) noexcept;
  void post(Command command);  // under the gate
  void wake_once() noexcept;   // under the gate
  int send_from_elsewhere(uint64_t id, core::BufferRef message);
  uint64_t waiting_bytes(const Session& session) const noexcept;
  bool is_full_for(const Session& session, const core::Buffer& message) const noexcept;
  int admit_from_elsewhere(Session& session, const core::Buffer& message);
  void post_send(Session& session, core::BufferRef message);
  int refuse_from_elsewhere(Session& session);
  int post_message(uint64_t id, core::BufferRef message);
  void drop_oldest_inflight(Session& session, size_t needed);
  Session* find_with_gate(uint64_t id) const noexcept;
  std::vector<Session*> receivers_of(const Publication& publication);
  void publish_from_elsewhere(const Publication& publication, PublishCounts& counts);
  void post_to_all(const std::vector<Session*>& receivers, core::Buffer& message, PublishCounts& counts,
                   std::vector<Session*>* behind);
  void hand_out(Command& command);
  void drop_subscriptions(Session& session, std::vector<std::string>& wanted_no_more) noexcept;
  void end_presence(Session& session) noexcept;
  ReplayOrder begin_replay(Session& session, std::string_view pattern, uint64_t after, bool tell);
  uint64_t end_replay(Session& session, std::string_view pattern) noexcept;
  std::unique_ptr<ReplaysByPattern> end_replays(Session& session) noexcept;
  void withdraw_replayed(Session& session, std::string_view pattern) noexcept;
  void drop_ticket(const Replay& replay, uint64_t ReplayTickets::*which) noexcept;
  Replay* find_replay(uint64_t ticket) noexcept;
  void fall_behind(Session& session, std::string_view topic, uint64_t sequence, std::vector<ReplayOrder>& orders);
  void give_up_lagging(Session& session);
  void tell_resumed(Session& session, uint64_t ticket);
  void apply(Session& session, Command& command);
  int result_of(core::Connection::Result result) noexcept;
  int sent(core::Connection::Result result) noexcept;

  void begin_stop(StopOrder order);
  void on_stop_time(core::TimeUs now);
  void close_due(core::TimeUs now);
  void abort_all();
  void check_stopped();
  void schedule_stop() noexcept;

  Context& context_;
  const uint32_t index_;
  std::unique_ptr<net::Loop> loop_;
  core::Registry registry_;
  core::Wheel wheel_;
  core::BufferPool pool_;
  core::BufferCache cache_;
  Session* delivering_ = nullptr;
  WorkerMetrics metrics_;
  std::vector<Session*> sessions_;
  size_t most_sessions_ = 0;  // since buffers were last given back
  std::vector<Session*> dirty_;
  std::vector<Session*> settling_;
  core::Request request_;   // keeps its memory between requests
  uint64_t own_calls_ = 0;  // of send_many on this worker's thread
  core::TimeUs stalled_us_ = 0;
  core::TimeUs stall_threshold_us_ = core::kNever;
  uint16_t phase_;
  uint32_t callback_depth_ = 0;
  bool alarm_changed_ = false;

  SessionTimer stop_timer_;
  std::optional<StopOrder> stopping_;
  std::vector<uint64_t> to_close_;  // in order
  size_t closed_so_far_ = 0;
  core::TimeUs stop_began_ = 0;
  core::TimeUs linger_until_ = core::kNever;
  StopCounts stop_counts_;
  std::atomic<uint64_t> refused_elsewhere_{0};  // sends of other threads that found the queue full
  std::atomic<uint64_t> dropped_elsewhere_{0};  // messages dropped before the worker took them

  std::mutex gate_;  // guards what follows, and the registry against lookups of other threads
  std::condition_variable credentials_taken_;
  std::vector<Command> mailbox_;
  std::vector<Command> taken_;
  uint64_t mailbox_number_ = 1;  // how many there have been
  uint64_t other_calls_ = 0;     // of send_many on other threads
  std::optional<StopOrder> new_stop_;
  std::shared_ptr<const net::Credentials> new_credentials_;
  CloseCounts close_counts_;
  core::TopicTrie trie_;
  std::unordered_map<uint64_t, Replay> replays_;  // by ticket
  uint64_t replays_begun_ = 0;
  bool awake_ = false;         // a wake is under way
  bool sending_many_ = false;  // one wake follows for all
  bool open_ = false;          // between open() and close()
};

}  // namespace wsb::server
