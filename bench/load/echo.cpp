// Echo: a fixed number of messages in flight, or a fixed rate.
#include <cerrno>

#include "link.h"
#include "stats.h"
#include "workloads.h"

namespace load {

namespace {

constexpr size_t kMostBehind = 100000;  // messages of one connection: the server cannot hold the rate

class Echo final : public Workload {
 public:
  explicit Echo(const Options &options)
      : options_(options), pattern_(make_pattern(options, options.size, options.depth)), window_(options.server_pids) {}

  void run() {
    Engine engine(options_);
    const auto links = engine.open_all(*this, options_.connections);
    if (options_.rate == 0) {
      for (const auto &link : links) send(*link, options_.depth, now_ns());
      engine.run_for(options_.warmup_s);
      window_.begin();
      engine.run_for(options_.seconds);
    } else {
      keep_rate(engine, links, options_.warmup_s);
      window_.begin();
      keep_rate(engine, links, options_.seconds);
    }
    window_.print("echo", options_.rate != 0 ? ",\"rate\":" + std::to_string(options_.rate) : "");
  }

  void on_messages(Link &link, uint32_t count) override {
    const uint64_t now = now_ns();
    for (uint32_t i = 0; i < count; ++i) {
      window_.latency.record(now > link.sent_ns.front() ? now - link.sent_ns.front() : 0);
      link.sent_ns.pop_front();
    }
    window_.messages += count;
    if (options_.rate == 0) send(link, count, now);
  }

 private:
  void send(Link &link, uint32_t count, uint64_t due) {
    link.sent_ns.insert(link.sent_ns.end(), count, due);
    link.send_messages(pattern_, count);
  }

  // Messages are due at even distances, on one connection after the other, whether the earlier ones have come back or not.
  void keep_rate(Engine &engine, const std::vector<std::unique_ptr<Link>> &links, double seconds) {
    const uint64_t began = now_ns();
    const auto total = static_cast<uint64_t>(seconds * options_.rate);
    for (uint64_t sent = 0; sent < total;) {
      const uint64_t now = now_ns();
      while (sent < total) {
        const uint64_t due = began + static_cast<uint64_t>(static_cast<double>(sent) * 1e9 / options_.rate);
        if (due > now) break;
        Link &link = *links[sent % links.size()];
        errno = 0;
        if (link.sent_ns.size() > kMostBehind) die("the server does not hold this rate");
        send(link, 1, due);
        ++sent;
      }
      engine.turn(0);  // a sleep would add its own lateness
    }
  }

  const Options &options_;
  const Pattern pattern_;
  Window window_;
};

}  // namespace

void run_echo(const Options &options) {
  Echo(options).run();
}

}  // namespace load
