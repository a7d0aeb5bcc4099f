// One such server, also in a process of its own, for tests that kill it.
#include "presence_support.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace {

Peer& of(wsb_server* self) {
  return *reinterpret_cast<Peer*>(self);
}

}  // namespace

Peer::Peer(const std::string& servers, uint32_t ttl_ms, const std::string& prefix) {
  wsb_nats_options options;
  wsb_nats_options_init(&options);
  options.servers = servers.c_str();
  options.prefix = prefix.c_str();
  options.presence_ttl_ms = ttl_ms;
  char error[256] = "";
  if (wsb_nats_create(&options, &table_, error, sizeof error) != WSB_OK) {
    ADD_FAILURE() << error;
    std::abort();
  }
  host_.size = sizeof host_;
  host_.server = reinterpret_cast<wsb_server*>(this);
  host_.deliver = on_deliver;
  host_.changed = on_changed;
  host_.presence = on_presence;
  if (table_.open(table_.self, &host_) != WSB_OK) std::abort();
}

void Peer::close() {
  if (!open_) return;
  open_ = false;
  table_.close(table_.self);
}

uint64_t Peer::join(const std::string& topic, const std::string& member) {
  const uint64_t number = ++last_number_;
  EXPECT_EQ(table_.join(table_.self, topic.data(), topic.size(), member.data(), member.size(), number), WSB_OK);
  return number;
}

void Peer::leave(const std::string& topic, uint64_t number) {
  EXPECT_EQ(table_.leave(table_.self, topic.data(), topic.size(), number), WSB_OK);
}

uint64_t Peer::watch(const std::string& topic) {
  const uint64_t number = ++last_number_;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    names_[number];
  }
  EXPECT_EQ(table_.watch(table_.self, topic.data(), topic.size(), number), WSB_OK);
  return number;
}

void Peer::unwatch(uint64_t watch) {
  EXPECT_EQ(table_.unwatch(table_.self, watch), WSB_OK);
}

std::multiset<std::string> Peer::names(uint64_t watch) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return names_[watch];
}

std::vector<std::string> Peer::history(uint64_t watch) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return history_[watch];
}

size_t Peer::count_told(const std::string& text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t count = 0;
  for (size_t at = told_.find(text); at != std::string::npos; at = told_.find(text, at + 1)) ++count;
  return count;
}

void Peer::on_deliver(wsb_server* /*self*/, const wsb_backplane_message* /*message*/) {}

void Peer::on_changed(wsb_server* self, uint32_t /*state*/, const char* text) {
  Peer& peer = of(self);
  const std::lock_guard<std::mutex> lock(peer.mutex_);
  peer.told_.append(text).append("\n");
}

void Peer::on_presence(wsb_server* self, uint64_t watch, const char* member, size_t length, int present) {
  Peer& peer = of(self);
  const std::string name(member, length);
  const std::lock_guard<std::mutex> lock(peer.mutex_);
  const auto names = peer.names_.find(watch);
  if (names == peer.names_.end()) {
    ++peer.faults_;
    return;
  }
  peer.history_[watch].push_back((present != 0 ? "+" : "-") + name);
  if (present != 0) {
    names->second.insert(name);
    return;
  }
  const auto found = names->second.find(name);
  if (found == names->second.end()) {
    ++peer.faults_;
  } else {
    names->second.erase(found);
  }
}

// ------------------------------------------------------------------------------------------------------------------ processes

PeerProcess::PeerProcess(const std::string& servers, uint32_t ttl_ms, const std::string& member) : pid_(fork()) {
  if (pid_ != 0) return;
  const std::string ttl = std::to_string(ttl_ms);
  execl("/proc/self/exe", "presence_test", "peer", servers.c_str(), ttl.c_str(), member.c_str(), nullptr);
  _exit(127);
}

void PeerProcess::kill() {
  if (pid_ <= 0) return;
  (void)::kill(pid_, SIGKILL);
  (void)waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void PeerProcess::freeze() {
  (void)::kill(pid_, SIGSTOP);
}

void PeerProcess::thaw() {
  (void)::kill(pid_, SIGCONT);
}

void be_a_peer(const std::string& servers, uint32_t ttl_ms, const std::string& member) {
  Peer peer(servers, ttl_ms);
  (void)peer.join("room", member);
  while (getppid() != 1) (void)::sleep(1);  // not longer than the tests
  std::_Exit(0);
}
