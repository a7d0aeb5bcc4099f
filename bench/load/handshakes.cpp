// Handshakes a second: TCP, TLS if asked for, upgrade, and away. A reset frees the client's port at once.
#include "link.h"
#include "stats.h"
#include "workloads.h"

namespace load {

namespace {

class Handshakes final : public Workload {
 public:
  explicit Handshakes(const Options &options) : options_(options), window_(options.server_pid) {}

  void run() {
    Engine engine(options_);
    std::vector<std::unique_ptr<Link>> links;
    for (uint32_t i = 0; i < options_.connections; ++i) {
      links.push_back(std::make_unique<Link>(engine, *this));
      begin(*links.back());
    }
    run_for(engine, options_.warmup_s);
    window_.begin();
    run_for(engine, options_.seconds);
    window_.print("handshakes");
  }

  // Not closed here, since the link is in the middle of its reading.
  void on_open(Link &link) override {
    window_.latency.record(now_ns() - link.sent_ns.front());
    ++window_.messages;
    opened_.push_back(&link);
  }
  void on_messages(Link & /*link*/, uint32_t /*count*/) override {}

 private:
  void begin(Link &link) {
    link.connect();
    link.sent_ns.push_back(now_ns());
  }

  void run_for(Engine &engine, double seconds) {
    const uint64_t end = now_ns() + static_cast<uint64_t>(seconds * 1e9);
    while (now_ns() < end) {
      engine.turn(10);
      for (Link *link : opened_) {
        link->reset();
        begin(*link);
      }
      opened_.clear();
    }
  }

  const Options &options_;
  Window window_;
  std::vector<Link *> opened_;
};

}  // namespace

void run_handshakes(const Options &options) {
  Handshakes(options).run();
}

}  // namespace load
