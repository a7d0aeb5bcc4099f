// Fan-out: one message in, one to everybody, the next when all have it. A delivery counts as a message.
#include "link.h"
#include "stats.h"
#include "workloads.h"

namespace load {

namespace {

class Fanout final : public Workload {
 public:
  explicit Fanout(const Options &options)
      : options_(options), pattern_(make_pattern(options, options.size, 1)), window_(options.server_pids) {}

  void run() {
    Engine engine(options_);
    const auto links = engine.open_all(*this, options_.connections + 1);
    publisher_ = links.front().get();
    publish();
    engine.run_for(options_.warmup_s);
    window_.begin();
    engine.run_for(options_.seconds);
    window_.print("fanout");
  }

  void on_messages(Link & /*link*/, uint32_t count) override {
    window_.latency.record(now_ns() - sent_at_);
    window_.messages += count;
    delivered_ += count;
    if (delivered_ > options_.connections) publish();
  }

 private:
  void publish() {
    delivered_ = 0;
    sent_at_ = now_ns();
    publisher_->send_messages(pattern_, 1);
  }

  const Options &options_;
  const Pattern pattern_;
  Window window_;
  Link *publisher_ = nullptr;
  uint64_t sent_at_ = 0;
  uint64_t delivered_ = 0;
};

}  // namespace

void run_fanout(const Options &options) {
  Fanout(options).run();
}

}  // namespace load
