// A server's part of presence over NATS: a backplane, and a host that counts who is told to be there.
#pragma once

#include <wsbeat/nats.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

class Peer {
 public:
  Peer(const std::string& servers, uint32_t ttl_ms, const std::string& prefix = "wsbeat");
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { close(); }
  void close();

  // Numbers, as the server gives them.
  uint64_t join(const std::string& topic, const std::string& member);
  void leave(const std::string& topic, uint64_t number);
  uint64_t watch(const std::string& topic);
  void unwatch(uint64_t watch);

  // Who is there elsewhere, each as often as joined.
  std::multiset<std::string> names(uint64_t watch);
  // "+name" and "-name" in order.
  std::vector<std::string> history(uint64_t watch);
  size_t count_told(const std::string& text);
  bool is_up() { return table_.state(table_.self) == WSB_BACKPLANE_UP; }
  // What was never to happen: going without having come, or a watch that is not known.
  int faults() const { return faults_; }

 private:
  static void on_deliver(wsb_server* self, const wsb_backplane_message* message);
  static void on_changed(wsb_server* self, uint32_t state, const char* text);
  static void on_presence(wsb_server* self, uint64_t watch, const char* member, size_t length, int present);

  wsb_backplane table_{};
  wsb_backplane_host host_{};
  bool open_ = true;
  std::atomic<uint64_t> last_number_{0};
  std::atomic<int> faults_{0};
  std::mutex mutex_;
  std::map<uint64_t, std::multiset<std::string>> names_;
  std::map<uint64_t, std::vector<std::string>> history_;
  std::string told_;
};

// Another process with a Peer that has joined "room" as `member`; killed at the end.
class PeerProcess {
 public:
  PeerProcess(const std::string& servers, uint32_t ttl_ms, const std::string& member);
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;
  ~PeerProcess() { kill(); }
  void kill();  // -9
  void freeze();
  void thaw();

 private:
  int pid_;
};

// The main program of that process: never returns.
[[noreturn]] void be_a_peer(const std::string& servers, uint32_t ttl_ms, const std::string& member);
