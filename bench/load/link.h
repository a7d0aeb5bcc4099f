// One WebSocket as its client sees it: connects, upgrades, sends prebuilt frames and counts the frames that come back, so that it costs
// much less than the server it measures.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "options.h"

struct ssl_st;
struct ssl_ctx_st;

namespace load {

class Link;

// Frames to send, one after another.
struct Pattern {
  std::string bytes;
  size_t frame_bytes = 0;
};

// `repeat` masked frames of one message of options.size bytes.
Pattern make_pattern(const Options &options, size_t size, uint32_t repeat);

// What a workload does about its links.
class Workload {
 public:
  virtual void on_open(Link & /*link*/) {}
  // `count` messages came to their end.
  virtual void on_messages(Link &link, uint32_t count) = 0;
  // The server has ended it (also by a Close); for most this is a failure.
  virtual void on_end(Link &link);

 protected:
  ~Workload() = default;
};

// The epoll and what all links share.
class Engine {
 public:
  explicit Engine(const Options &options);
  ~Engine();
  Engine(const Engine &) = delete;
  Engine &operator=(const Engine &) = delete;

  // Waits at most so long (0: not at all) and handles what has come.
  void turn(int timeout_ms);
  void run_for(double seconds);
  // Opens `count` links, some at a time, and returns when all are open.
  std::vector<std::unique_ptr<Link>> open_all(Workload &workload, uint32_t count);

  const Options &options;
  int poller;
  ssl_ctx_st *tls = nullptr;
  std::string request;
  std::string input;  // one read of any link
};

class Link {
 public:
  Link(Engine &engine, Workload &workload) : engine_(engine), workload_(workload) {}
  ~Link();
  Link(const Link &) = delete;
  Link &operator=(const Link &) = delete;

  // Begins, or begins anew after reset().
  void connect();
  // `receive_buffer` bytes of kernel memory instead of the kernel's choice.
  void connect_small(int receive_buffer);
  void send_messages(const Pattern &pattern, uint64_t count);
  // A Close after what is owed.
  void send_close();
  // Goes away with a reset.
  void reset();
  void set_reading(bool reading);
  bool open() const { return phase_ == Phase::kOpen; }
  bool idle() const { return phase_ == Phase::kNone; }
  uint64_t owed() const { return owed_; }
  uint64_t pings() const { return pings_; }

  std::deque<uint64_t> sent_ns;  // when each message in flight was due
  uint64_t began_ns = 0;         // for the workload

 private:
  friend class Engine;
  enum class Phase : uint8_t { kNone, kConnecting, kTls, kUpgrading, kOpen };

  void on_event(uint32_t events);
  void watch();
  void begin_upgrade();
  void shake_hands();
  void read();
  void on_head(const char *data, size_t length);
  void on_frames(const uint8_t *data, size_t length);
  bool take_header(const uint8_t *&data, const uint8_t *end, uint32_t &complete);
  void end_control();
  void flush();
  long send_some(const char *data, size_t length);
  void ended();

  Engine &engine_;
  Workload &workload_;
  int fd_ = -1;
  int receive_buffer_ = 0;
  ssl_st *ssl_ = nullptr;
  Phase phase_ = Phase::kNone;
  bool wants_write_ = false;
  bool reading_ = true;
  bool counts_ = false;   // the current frame ends a data message
  bool control_ = false;  // it is a control frame
  uint8_t have_ = 0;      // of its header
  uint8_t header_[10] = {};
  uint64_t skip_ = 0;  // of its payload, still to come
  const Pattern *pattern_ = nullptr;
  uint64_t position_ = 0;  // bytes sent, in the endless repetition of the pattern
  uint64_t owed_ = 0;      // bytes of it to send
  uint64_t pings_ = 0;
  std::string head_;         // the handshake's answer so far
  std::string payload_;      // of a control frame
  std::string control_out_;  // goes out at a frame's end
};

}  // namespace load
