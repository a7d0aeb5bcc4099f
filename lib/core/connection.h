// One connection from its first byte to its last, without sockets, threads or clock: handshake time, messages, heartbeat, close, queue.
// Bytes and times come in as arguments; what to write lies in the outbox; what happened goes to ConnectionEvents.
// In connection_in.cpp (bytes in), _out.cpp (queueing and writing), _time.cpp (deadlines), _close.cpp (how it ends).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/app_beat.h"
#include "core/assembler.h"
#include "core/counter.h"
#include "core/deflate.h"
#include "core/heartbeat.h"
#include "core/outbox.h"
#include "core/time.h"
#include "core/transport.h"

namespace wsb::core {

// The same for all connections of a server.
struct ConnectionConfig {
  AssemblerLimits limits;
  HeartbeatSettings heartbeat;
  DeflateConfig deflate;
  size_t deflate_threshold_bytes = 256;
  size_t max_queue_bytes = 1 << 20;
  uint32_t slow_consumer = 0;  // WSB_SLOW_*
  uint32_t handshake_timeout_ms = 10000;
  uint32_t close_timeout_ms = 5000;
  uint32_t auth_timeout_ms = 0;  // 0: off, as the next three
  uint32_t idle_timeout_ms = 0;
  uint32_t message_timeout_ms = 60000;
  uint32_t max_messages_per_second = 0;
  uint32_t app_beat_ms = 0;
  bool streaming = false;
};

struct CloseInfo {
  uint32_t code = 1006;    // received
  uint32_t code_sent = 0;  // 0: none
  std::string reason;      // received
  uint32_t initiator = 0;  // WSB_INITIATOR_*
  uint32_t cause = 0;      // WSB_CAUSE_*
  bool clean = false;
};

class Connection;

class ConnectionEvents {
 public:
  virtual void on_message(Connection& connection, bool text, const uint8_t* data, size_t n) = 0;
  virtual void on_fragment(Connection& connection, const EventData& piece) = 0;
  // `heartbeat`: answers our ping. rtt_us 0: unknown.
  virtual void on_pong(Connection& connection, const uint8_t* data, size_t n, bool heartbeat, uint32_t rtt_us) = 0;
  virtual void on_drain(Connection& connection) = 0;
  // Exactly once for each opened connection, and its last event but on_dropped.
  virtual void on_closed(Connection& connection, const CloseInfo& info) = 0;
  // Messages that were queued and will never leave. Before on_closed if they are dropped by then; what stands before a Close of ours
  // that ends the connection by itself (fail) may still leave, and is told later if it does not.
  virtual void on_dropped(Connection& connection, size_t messages) = 0;
  virtual Unread unread(Connection& connection) = 0;

 protected:
  ~ConnectionEvents() = default;
};

class Connection {
 public:
  // Results of the functions that queue; the C API maps them.
  enum class Result : uint8_t { kOk, kClosed, kFull, kTooBig, kNoMemory };

  // Control frames that wait; beyond it pings of the application are refused.
  static constexpr size_t kMaxControlQueueBytes = 64 * 1024;

  enum class State : uint8_t {
    kHandshake,  // the request has not been answered
    kOpen,
    kDraining,  // our Close is queued behind data
    kClosing,   // our Close has left; theirs is awaited
    kReplying,  // their Close came; our answer is queued
    kEnding,    // on_closed was reported, or nobody needs it; flush, FIN, wait for theirs
    kDead,      // end the transport now
  };

  Connection(const ConnectionConfig& config, BufferPool& pool, TimeUs now) noexcept;
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // -- the handshake's end
  // Queues the 101 answer and begins. `phase` spreads heartbeats.
  bool open(std::string_view answer, const DeflateParams& deflate, bool authenticated, uint16_t phase, TimeUs now);
  // The client asked for application beats: one goes out now, behind the answer, then one every interval. False without memory.
  bool start_app_beat(uint32_t interval_ms, uint16_t phase, TimeUs now);
  // Queues another answer (nothing if empty) and ends without any event.
  void answer_and_end(std::string_view answer, TimeUs now);
  // Undoes open(): dead, and no event tells of it.
  void give_up() noexcept;

  // -- in
  // Takes bytes of frames (unmasked in place). What reading() forbids to take now is kept and taken by the next call, also with n = 0.
  void receive(uint8_t* bytes, size_t n, TimeUs now, ConnectionEvents& events);
  // Where the next bytes for receive() had best be put, if at least that many of a frame are missing; empty: anywhere.
  Place place_for_bytes(size_t least) noexcept {
    return state_ == State::kOpen && assembler_ && pending_input_.empty() ? assembler_->place(least) : Place{};
  }
  // The transport has ended, by whatever means.
  void transport_ended(ConnectionEvents& events);
  void pause() noexcept { set_paused(true); }
  void resume() noexcept { set_paused(false); }
  bool paused() const noexcept { return paused_; }
  void set_queue_blocked(bool blocked) noexcept { queue_blocked_ = blocked; }
  // Whether bytes should be read from the transport now; keeps the heartbeat's suspension in step.
  bool reading(TimeUs now) noexcept;
  bool has_pending_input() const noexcept { return !pending_input_.empty(); }

  // -- out
  Result send(Opcode opcode, const void* data, size_t n, ConnectionEvents& events, TimeUs now);
  Result send_message(Buffer* message, ConnectionEvents& events, TimeUs now);
  // The queue is full and the policy is to close: with 1013.
  void close_slow_consumer(ConnectionEvents& events, TimeUs now);
  // A message of another thread, accepted there: queued whatever the limit (policy close and drop oldest still apply, unless it is `patient`).
  Result send_accepted(BufferRef message, ConnectionEvents& events, TimeUs now, bool patient = false);
  // A sender was refused: on_drain is owed, at once if there is room again.
  void owe_drain(ConnectionEvents& events);
  Result ping(const void* data, size_t n, TimeUs now);
  // During on_message: the delivered message for sending on, if these are its bytes; else null.
  BufferRef share_message(Opcode opcode, const void* data, size_t n) noexcept {
    return assembler_ ? assembler_->share_message(opcode, data, n) : BufferRef();
  }
  const Outbox& outbox() const noexcept { return outbox_; }
  // What waits to be written, without the rest of the 101 answer and of a beat, which are none of the application's.
  size_t queued_bytes() const noexcept { return outbox_.bytes() - answer_left_ - beat_left(); }
  // `n` bytes of the outbox were written. `stalled_us`: see Heartbeat.
  void wrote(size_t n, TimeUs now, TimeUs stalled_us, ConnectionEvents& events);

  // -- close
  // `cause` is WSB_CAUSE_LOCAL_CLOSE or why the server itself closes. kClosed if it is not open.
  Result close(uint32_t code, std::string_view reason, uint32_t cause, TimeUs now);
  // Without a Close and without waiting; also ends what is closing. `cause` counts only if it was not closing yet.
  void abort(uint32_t cause, ConnectionEvents& events);
  // Nothing more will be written: shut the transport's output down (once).
  bool take_shutdown() noexcept;
  bool dead() const noexcept { return state_ == State::kDead; }
  // kDead only: the peer should see a reset.
  bool wants_reset() const noexcept { return reset_; }

  // -- time
  void on_time(TimeUs now, TimeUs stalled_us, ConnectionEvents& events);
  TimeUs next_due() const noexcept;
  void set_heartbeat(const HeartbeatSettings& settings, uint16_t phase, TimeUs now) noexcept;
  void set_authenticated() noexcept;

  State state() const noexcept { return static_cast<State>(shared_state_.get()); }
  bool reported() const noexcept { return reported_; }
  const HeartbeatSettings& heartbeat_settings() const noexcept { return heartbeat_.settings(); }
  const DeflateParams* deflate() const noexcept { return deflate_.get(); }

  // For information, readable from any thread while the connection exists.
  struct Figures {
    Counter64 bytes_in, bytes_out, messages_in, messages_out, queued_bytes, control_bytes;
    Counter64 opened_at, heard_at, message_at;
    Counter32 app_beat_ms;  // 0: not asked for
    Counter8 authenticated, paused;
  };
  const Figures& figures() const noexcept { return figures_; }
  const Heartbeat::Figures& heartbeat_figures() const noexcept { return heartbeat_.figures(); }

 private:
  struct AppPing {
    std::vector<uint8_t> payload;
    uint64_t position = 0;  // of the control stream, when it has left
    TimeUs left_at = 0;     // 0: still queued
  };
  enum class Admission : uint8_t { kYes, kFull, kTooBig, kClosed };

  void enter(State state) noexcept { shared_state_.set(static_cast<uint8_t>(state_ = state)); }
  void set_paused(bool paused) noexcept { figures_.paused.set((paused_ = paused) ? 1 : 0); }
  bool takes_input() const noexcept;
  void look_for_close(ConnectionEvents& events);
  void process(uint8_t* bytes, size_t n, TimeUs now, ConnectionEvents& events);
  bool dispatch(Event event, const EventData& data, TimeUs now, ConnectionEvents& events);
  void count_message_in(TimeUs now);
  void fill_tokens(TimeUs now) noexcept;
  void end_throttle(TimeUs now) noexcept;
  void answer_ping(const EventData& data, ConnectionEvents& events);
  void on_pong_frame(const EventData& data, TimeUs now, ConnectionEvents& events);
  void on_close_frame(const EventData& data, TimeUs now, ConnectionEvents& events);
  void on_stream_error(TimeUs now, ConnectionEvents& events);
  bool has_room(size_t framed) const noexcept;
  void make_room(size_t framed, ConnectionEvents& events, TimeUs now);
  Admission admit(size_t payload, size_t framed, ConnectionEvents& events, TimeUs now);
  bool queue_data(Opcode opcode, const void* data, size_t n);
  bool queue_compressed(Opcode opcode, const void* data, size_t n);
  bool queue_message(BufferRef message);
  Result queued(bool ok, TimeUs now) noexcept;
  void publish_queue() noexcept {
    figures_.queued_bytes.set(queued_bytes());
    figures_.control_bytes.set(outbox_.control_bytes());
  }
  void maybe_drained(ConnectionEvents& events);
  void mark_pings_left(TimeUs now, TimeUs stalled_us);
  size_t beat_left() const noexcept {
    return app_beat_ ? app_beat_->waiting_bytes(outbox_.control_sent_position()) : 0;
  }
  bool queue_beat();
  void on_beat_due(TimeUs now);
  void on_heartbeat_due(TimeUs now, TimeUs stalled_us, bool reading_now, ConnectionEvents& events);
  void drop_queue(ConnectionEvents& events);
  void tell_dropped(size_t messages, ConnectionEvents& events);
  // Queues a Close behind what is queued already, reports the end and lets TCP end without waiting for an answer.
  void fail(uint32_t code, std::string_view reason, uint32_t cause, TimeUs now, ConnectionEvents& events);
  void report(uint32_t code, std::string_view reason, bool clean, uint32_t initiator, uint32_t cause,
              ConnectionEvents& events);
  std::string_view peer_reason() const noexcept {
    return peer_reason_ ? std::string_view(*peer_reason_) : std::string_view();
  }
  void begin_ending(TimeUs now) noexcept;
  void die(bool reset, ConnectionEvents& events);
  void on_state_deadline(ConnectionEvents& events);
  bool on_limits_due(TimeUs now, ConnectionEvents& events);
  TimeUs idle_due() const noexcept;

  const ConnectionConfig& config_;
  Outbox outbox_;
  Heartbeat heartbeat_;
  std::unique_ptr<Assembler> assembler_;
  std::unique_ptr<DeflateParams> deflate_;
  std::unique_ptr<Deflater> deflater_;
  std::unique_ptr<std::vector<AppPing>> app_pings_;
  std::unique_ptr<AppBeat> app_beat_;  // null for everyone who did not ask
  std::vector<uint8_t> pending_input_;
  std::unique_ptr<std::string> peer_reason_;
  Figures figures_;
  TimeUs state_deadline_ = kNever;  // handshake, draining, closing, replying, ending
  TimeUs auth_deadline_ = kNever;
  TimeUs message_deadline_ = kNever;
  TimeUs deaf_since_ = kNever;  // kNever: input is taken; else the message deadline stands still
  TimeUs throttled_until_ = 0;  // 0: not throttled
  TimeUs tokens_at_ = 0;        // when the bucket of the message rate was last filled
  size_t answer_left_ = 0;      // of the 101 answer, in the outbox
  uint64_t ping_position_ = 0;  // where the queued heartbeat ping ends in the control stream; 0: none
  uint32_t tokens_ = 0;
  uint32_t cause_ = 0;  // why we close
  uint16_t code_sent_ = 0;
  uint16_t code_received_ = 0;  // kReplying
  Counter8 shared_state_;
  State state_ = State::kHandshake;
  bool paused_ = false;
  bool queue_blocked_ = false;
  bool drain_owed_ = false;
  bool reported_ = false;
  bool processing_ = false;
  bool shutdown_done_ = false;
  bool reset_ = false;
};

}  // namespace wsb::core
