// Servers by process id, callbacks into vectors.
#include "support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace {

constexpr auto kPause = std::chrono::milliseconds(2);

int free_port() {
  const int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const bool bound = bind(sock, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                     getsockname(sock, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  close(sock);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

std::string program() {
  for (const char* path : {"/usr/sbin/nats-server", "/usr/bin/nats-server"}) {
    if (access(path, X_OK) == 0) return path;
  }
  throw std::runtime_error("no nats-server");
}

}  // namespace

void wait_for(const std::function<bool()>& holds, const char* what, int most_ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(most_ms);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) throw std::runtime_error(std::string("not in time: ") + what);
    std::this_thread::sleep_for(kPause);
  }
}

// --------------------------------------------------------------------------------------------------------------------- servers

NatsServer::NatsServer(std::vector<std::string> flags, bool jetstream) {
  char folder[] = "/tmp/wsbeat-nats-XXXXXX";
  if (mkdtemp(folder) == nullptr) throw std::runtime_error("mkdtemp");
  folder_ = folder;
  const int port = free_port();
  name_ = "n" + std::to_string(port);
  url_ = "nats://127.0.0.1:" + std::to_string(port);
  command_ = {program(), "-a", "127.0.0.1", "-p", std::to_string(port), "-n", name_, "-l", folder_ + "/log"};
  if (jetstream) command_.insert(command_.end(), {"-js", "-sd", folder_ + "/store"});
  command_.insert(command_.end(), flags.begin(), flags.end());
  start();
}

NatsServer::~NatsServer() {
  if (pid_ != 0) kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::vector<std::unique_ptr<NatsServer>> NatsServer::cluster() {
  std::vector<int> ports{free_port(), free_port(), free_port()};
  std::string routes;
  for (const int port : ports)
    routes += (routes.empty() ? "" : ",") + ("nats-route://127.0.0.1:" + std::to_string(port));
  std::vector<std::unique_ptr<NatsServer>> out;
  for (const int port : ports) {
    out.push_back(std::make_unique<NatsServer>(std::vector<std::string>{
        "--cluster_name", "test", "--cluster", "nats://127.0.0.1:" + std::to_string(port), "--routes", routes}));
  }
  wait_for(
      [&] {
        for (const auto& server : out) {
          if (server->log_has("Self is new JetStream cluster metadata leader")) return true;
        }
        return false;
      },
      "a leader");
  return out;
}

void NatsServer::start() {
  std::filesystem::remove(folder_ + "/log");
  std::vector<char*> arguments;
  for (std::string& word : command_) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  wait_for([&] { return log_has("Server is ready"); }, "nats-server");
}

void NatsServer::end(int number) {
  if (pid_ == 0) return;
  ::kill(pid_, SIGCONT);
  ::kill(pid_, number);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void NatsServer::stop() {
  end(SIGTERM);
}
void NatsServer::kill() {
  end(SIGKILL);
}
void NatsServer::freeze() {
  ::kill(pid_, SIGSTOP);
}
void NatsServer::thaw() {
  ::kill(pid_, SIGCONT);
}

void NatsServer::keep_store() const {
  std::filesystem::copy(folder_ + "/store", folder_ + "/kept", std::filesystem::copy_options::recursive);
}
void NatsServer::restore_store() const {
  std::filesystem::remove_all(folder_ + "/store");
  std::filesystem::rename(folder_ + "/kept", folder_ + "/store");
}

bool NatsServer::log_has(const std::string& text) const {
  std::ifstream file(folder_ + "/log");
  std::stringstream all;
  all << file.rdbuf();
  return all.str().find(text) != std::string::npos;
}

// -------------------------------------------------------------------------------------------------------------------- instances

Instance::Instance(const std::string& servers, const std::function<void(wsb_nats_options&)>& set) {
  wsb_nats_options options;
  wsb_nats_options_init(&options);
  options.servers = servers.c_str();
  options.durable = "d.>";
  if (set) set(options);
  char error[256] = "";
  if (wsb_nats_create(&options, &table_, error, sizeof error) != WSB_OK) throw std::runtime_error(error);
  host_.size = sizeof host_;
  host_.server = reinterpret_cast<wsb_server*>(this);
  host_.deliver = on_deliver;
  host_.changed = on_changed;
  host_.replayed = on_replayed;
  host_.resumed = on_resumed;
  if (table_.open(table_.self, &host_) != WSB_OK) throw std::runtime_error("open");
  open_ = true;
}

Instance::~Instance() {
  close();
  if (testing::Test::HasFailure()) std::cerr << "An instance was told:\n" << told_;
}

void Instance::close() {
  if (open_) table_.close(table_.self);
  open_ = false;
}

size_t Instance::store(const std::string& topic, const std::string& data, const std::string& key, uint32_t flags,
                       uint64_t exclude, uint32_t kind) {
  wsb_backplane_message message{};
  message.size = sizeof message;
  message.topic = topic.data();
  message.topic_length = topic.size();
  message.data = data.data();
  message.length = data.size();
  message.kind = kind;
  message.flags = flags;
  message.exclude = exclude;
  message.key = key.empty() ? nullptr : key.data();
  message.key_length = key.size();
  Pending* pending = nullptr;
  size_t number = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    number = pending_.size();
    pending_.push_back(std::make_unique<Pending>(Pending{this, {}}));
    pending = pending_.back().get();
  }
  const int result = table_.store(table_.self, &message, on_done, pending);
  if (result == WSB_OK) return number;
  const std::lock_guard<std::mutex> lock(mutex_);
  pending->outcome.result = result;
  pending->outcome.calls = 1;
  ++outcomes_;
  return number;
}

void Instance::on_done(void* context, int result, uint64_t sequence, int duplicate) {
  auto* const pending = static_cast<Pending*>(context);
  const std::lock_guard<std::mutex> lock(pending->instance->mutex_);
  ++pending->outcome.calls;
  pending->outcome.result = result;
  pending->outcome.sequence = sequence;
  pending->outcome.duplicate = duplicate;
  ++pending->instance->outcomes_;
}

Outcome Instance::outcome(size_t number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return pending_.at(number)->outcome;
}

Outcome Instance::stored(size_t number) {
  wait_for([&] { return outcome(number).calls != 0; }, "an outcome");
  return outcome(number);
}

void Instance::all_stored() {
  wait_for(
      [&] {
        const std::lock_guard<std::mutex> lock(mutex_);
        return outcomes_ == pending_.size();
      },
      "all outcomes", 40'000);
}

void Instance::replay(const std::string& pattern, uint64_t after, uint64_t ticket) {
  if (table_.replay(table_.self, pattern.data(), pattern.size(), after, ticket) != WSB_OK)
    throw std::runtime_error("replay");
}

void Instance::settle() {
  replay(">", UINT64_MAX, UINT64_MAX);
  (void)replayed(UINT64_MAX);
}

Replay Instance::replayed(uint64_t ticket) {
  wait_for([&] { return replayed_until_now(ticket).resumed; }, "a replay");
  return replayed_until_now(ticket);
}

Replay Instance::replayed_until_now(uint64_t ticket) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return replays_[ticket];
}

std::vector<Got> Instance::delivered() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return delivered_;
}

void Instance::wait_delivered(size_t count) {
  wait_for(
      [&] {
        const std::lock_guard<std::mutex> lock(mutex_);
        return delivered_.size() >= count;
      },
      "deliveries", 40'000);
}

uint64_t Instance::resumed_at_delivery(uint64_t ticket) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return resumed_at_[ticket];
}

bool Instance::was_told(const std::string& text) {
  return count_told(text) != 0;
}

size_t Instance::count_told(const std::string& text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t count = 0;
  for (size_t at = told_.find(text); at != std::string::npos; at = told_.find(text, at + 1)) ++count;
  return count;
}

namespace {

Got got_of(const wsb_backplane_message* message) {
  return {std::string(message->topic, message->topic_length),
          std::string(static_cast<const char*>(message->data), message->length),
          message->sequence,
          message->kind,
          message->flags,
          message->exclude};
}

}  // namespace

void Instance::on_deliver(wsb_server* self, const wsb_backplane_message* message) {
  auto* const instance = reinterpret_cast<Instance*>(self);
  if (instance->delivering_.fetch_add(1) != 0) abort();
  {
    const std::lock_guard<std::mutex> lock(instance->mutex_);
    instance->delivered_.push_back(got_of(message));
  }
  --instance->delivering_;
}

void Instance::on_changed(wsb_server* self, uint32_t /*state*/, const char* text) {
  auto* const instance = reinterpret_cast<Instance*>(self);
  const std::lock_guard<std::mutex> lock(instance->mutex_);
  instance->told_.append(text).append("\n");
}

int Instance::on_replayed(wsb_server* self, uint64_t ticket, const wsb_backplane_message* message) {
  auto* const instance = reinterpret_cast<Instance*>(self);
  const std::lock_guard<std::mutex> lock(instance->mutex_);
  Replay& replay = instance->replays_[ticket];
  const int result = instance->answer ? instance->answer(ticket, replay.got.size()) : WSB_OK;
  if (result == WSB_OK) replay.got.push_back(got_of(message));
  return result;
}

void Instance::on_resumed(wsb_server* self, uint64_t ticket, uint64_t sequence, int missed) {
  auto* const instance = reinterpret_cast<Instance*>(self);
  if (instance->delivering_.fetch_add(1) != 0) abort();
  {
    const std::lock_guard<std::mutex> lock(instance->mutex_);
    Replay& replay = instance->replays_[ticket];
    if (replay.resumed) abort();
    replay.resumed = true;
    replay.sequence = sequence;
    replay.missed = missed;
    instance->resumed_at_[ticket] = instance->delivered_.size();
  }
  --instance->delivering_;
}

// ----------------------------------------------------------------------------------------------------------------------- client

Client::Client(const std::string& url) {
  if (natsConnection_ConnectTo(&connection_, url.c_str()) != NATS_OK) throw std::runtime_error("client");
  if (natsConnection_JetStream(&js_, connection_, nullptr) != NATS_OK) throw std::runtime_error("client: JetStream");
}

Client::~Client() {
  jsCtx_Destroy(js_);
  natsConnection_Destroy(connection_);
}

void Client::publish(const std::string& subject, const std::string& data) {
  if (natsConnection_PublishString(connection_, subject.c_str(), data.c_str()) != NATS_OK ||
      natsConnection_Flush(connection_) != NATS_OK) {
    throw std::runtime_error("client: publish");
  }
}

void Client::delete_stream(const std::string& stream) {
  if (js_DeleteStream(js_, stream.c_str(), nullptr, nullptr) != NATS_OK) throw std::runtime_error("client: delete");
}

std::string Client::leader(const std::string& stream) {
  jsStreamInfo* info = nullptr;
  if (js_GetStreamInfo(&info, js_, stream.c_str(), nullptr, nullptr) != NATS_OK) return "";
  std::string out = info->Cluster != nullptr && info->Cluster->Leader != nullptr ? info->Cluster->Leader : "";
  jsStreamInfo_Destroy(info);
  return out;
}

void expect_in_order(const std::vector<Got>& got) {
  for (size_t at = 1; at < got.size(); ++at) ASSERT_LT(got[at - 1].sequence, got[at].sequence) << at;
}
