// Handshakes a second: TCP, TLS if asked for, upgrade, and away with a reset, which frees the client's port at once; or whole visits: one
// message and its echo, then a Close that the server answers.
#include "link.h"
#include "stats.h"
#include "workloads.h"

namespace load {

namespace {

class Handshakes final : public Workload {
 public:
  Handshakes(const Options &options, bool whole_visits)
      : options_(options),
        whole_visits_(whole_visits),
        pattern_(make_pattern(options, options.size, 1)),
        window_(options.server_pids) {}

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
    window_.print(options_.workload.c_str());
  }

  void on_open(Link &link) override {
    if (whole_visits_) {
      link.send_messages(pattern_, 1);
    } else {
      done(link);
    }
  }
  void on_messages(Link &link, uint32_t /*count*/) override { link.send_close(); }
  void on_end(Link &link) override {
    if (!whole_visits_) Workload::on_end(link);
    done(link);
  }

 private:
  void begin(Link &link) {
    link.connect();
    link.began_ns = now_ns();
  }

  // Not begun anew here, since the link may be in the middle of its reading.
  void done(Link &link) {
    window_.latency.record(now_ns() - link.began_ns);
    ++window_.messages;
    done_.push_back(&link);
  }

  void run_for(Engine &engine, double seconds) {
    const uint64_t end = now_ns() + static_cast<uint64_t>(seconds * 1e9);
    while (now_ns() < end) {
      engine.turn(10);
      for (Link *link : done_) {
        if (!link->idle()) link->reset();
        begin(*link);
      }
      done_.clear();
    }
  }

  const Options &options_;
  const bool whole_visits_;
  const Pattern pattern_;
  Window window_;
  std::vector<Link *> done_;
};

}  // namespace

void run_handshakes(const Options &options) {
  Handshakes(options, false).run();
}
void run_visits(const Options &options) {
  Handshakes(options, true).run();
}

}  // namespace load
