// NATS servers of our own, and a host that records what a backplane tells it.
#pragma once

#include <nats/nats.h>
#include <sys/types.h>
#include <wsbeat/nats.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

// A nats-server on free ports of loopback, in a folder of its own; both end with the object.
class NatsServer {
 public:
  explicit NatsServer(std::vector<std::string> flags = {}, bool jetstream = true);
  NatsServer(const NatsServer&) = delete;
  NatsServer& operator=(const NatsServer&) = delete;
  ~NatsServer();

  // Three that know each other and have chosen a leader for JetStream.
  static std::vector<std::unique_ptr<NatsServer>> cluster();

  void start();
  void stop();    // asks it to end
  void kill();    // -9
  void freeze();  // it keeps its connections, and does nothing
  void thaw();
  // What JetStream has stored is put aside, and comes in its place again; while it does not run.
  void keep_store() const;
  void restore_store() const;
  const std::string& url() const { return url_; }
  const std::string& name() const { return name_; }
  bool log_has(const std::string& text) const;

 private:
  void end(int number);

  std::string folder_;
  std::string name_;
  std::string url_;
  std::vector<std::string> command_;
  pid_t pid_ = 0;
};

// Returns when it holds; fails the test if that takes too long.
void wait_for(const std::function<bool()>& holds, const char* what, int most_ms = 20'000);

struct Got {
  std::string topic;
  std::string data;
  uint64_t sequence = 0;
  uint32_t kind = 0;
  uint32_t flags = 0;
  uint64_t exclude = 0;
};

struct Outcome {
  int calls = 0;
  int result = -1;
  uint64_t sequence = 0;
  int duplicate = 0;
};

// One replay as the host sees it.
struct Replay {
  std::vector<Got> got;
  bool resumed = false;
  uint64_t sequence = 0;
  int missed = 0;
};

// A backplane, open, and its host.
class Instance {
 public:
  explicit Instance(const std::string& servers, const std::function<void(wsb_nats_options&)>& set = {});
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance();

  void close();
  wsb_backplane& table() { return table_; }
  // Returns when what is stored from now on will be delivered here.
  void settle();
  bool is_up() { return table_.state(table_.self) == WSB_BACKPLANE_UP; }

  // The number of the publication, from 0; its outcome comes later.
  size_t store(const std::string& topic, const std::string& data, const std::string& key = "", uint32_t flags = 0,
               uint64_t exclude = 0, uint32_t kind = WSB_TEXT);
  Outcome outcome(size_t number);
  // Waits for it.
  Outcome stored(size_t number);
  void all_stored();

  void replay(const std::string& pattern, uint64_t after, uint64_t ticket);
  Replay replayed(uint64_t ticket);  // waits until it has resumed
  Replay replayed_until_now(uint64_t ticket);
  // What `replayed` answers, by ticket and how many came so far.
  std::function<int(uint64_t ticket, size_t count)> answer;

  std::vector<Got> delivered();
  void wait_delivered(size_t count);
  uint64_t resumed_at_delivery(uint64_t ticket);  // how many had been delivered when it resumed
  bool was_told(const std::string& text);
  size_t count_told(const std::string& text);

 private:
  static void on_deliver(wsb_server* self, const wsb_backplane_message* message);
  static void on_changed(wsb_server* self, uint32_t state, const char* text);
  static int on_replayed(wsb_server* self, uint64_t ticket, const wsb_backplane_message* message);
  static void on_resumed(wsb_server* self, uint64_t ticket, uint64_t sequence, int missed);
  static void on_done(void* context, int result, uint64_t sequence, int duplicate);

  struct Pending {
    Instance* instance;
    Outcome outcome;
  };

  wsb_backplane table_{};
  wsb_backplane_host host_{};
  bool open_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Pending>> pending_;
  size_t outcomes_ = 0;
  std::vector<Got> delivered_;
  std::map<uint64_t, Replay> replays_;
  std::map<uint64_t, uint64_t> resumed_at_;
  std::string told_;
  std::atomic<int> delivering_{0};
};

// A plain NATS client, for what others do.
class Client {
 public:
  explicit Client(const std::string& url);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();
  void publish(const std::string& subject, const std::string& data);
  void delete_stream(const std::string& stream);
  std::string leader(const std::string& stream);  // "": none now
  jsCtx* js() { return js_; }

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* js_ = nullptr;
};

// Every message once and in order.
void expect_in_order(const std::vector<Got>& got);
