// A day in small, the same work for every server: talkers at a fixed rate, visitors that come and go, bursts, and readers too slow for
// what they ask for. Latency is the talkers'.
#include <cerrno>

#include "link.h"
#include "stats.h"
#include "workloads.h"

namespace load {

namespace {

constexpr uint32_t kTalkers = 200;
constexpr double kTalkersPerSecond = 2000;
constexpr size_t kTalkBytes = 256;
constexpr double kVisitsPerSecond = 50;
constexpr uint32_t kVisitMessages = 8;
constexpr size_t kVisitBytes = 1024;
constexpr uint32_t kBursters = 10;
constexpr double kBurstsPerSecond = 10;  // of one burster each
constexpr uint32_t kBurstMessages = 16;
constexpr size_t kBurstBytes = 16384;
constexpr uint32_t kSlow = 8;
constexpr size_t kSlowBytes = 4096;
constexpr uint64_t kSlowAhead = 4 << 20;  // bytes that a slow reader has sent and not yet got back, at most
constexpr double kSlowReadsPerSecond = 10;
constexpr int kSlowReceiveBuffer = 16384;

// Counts what is due at an even pace.
class Pace {
 public:
  explicit Pace(double per_second) : per_second_(per_second), began_(now_ns()) {}
  // When the next is due, if it is by now; else 0.
  uint64_t next(uint64_t now) {
    const uint64_t due = began_ + static_cast<uint64_t>(static_cast<double>(count_) * 1e9 / per_second_);
    if (due > now) return 0;
    ++count_;
    return due;
  }
  uint64_t count() const { return count_; }

 private:
  double per_second_;
  uint64_t began_;
  uint64_t count_ = 0;
};

class Talkers final : public Workload {
 public:
  explicit Talkers(Window &window) : window_(window) {}
  void on_messages(Link &link, uint32_t count) override {
    const uint64_t now = now_ns();
    for (; count > 0; --count, ++window_.messages) {
      window_.latency.record(now > link.sent_ns.front() ? now - link.sent_ns.front() : 0);
      link.sent_ns.pop_front();
    }
  }

 private:
  Window &window_;
};

class Visitors final : public Workload {
 public:
  Visitors(Window &window, const Pattern &pattern) : window_(window), pattern_(pattern) {}
  void on_open(Link &link) override { link.send_messages(pattern_, kVisitMessages); }
  void on_messages(Link &link, uint32_t count) override {
    window_.messages += count;
    for (; count > 0; --count) link.sent_ns.push_back(0);
    if (link.sent_ns.size() == kVisitMessages) link.send_close();
  }
  void on_end(Link & /*link*/) override { ++visits; }
  uint64_t visits = 0;

 private:
  Window &window_;
  const Pattern &pattern_;
};

class Counting final : public Workload {
 public:
  explicit Counting(Window &window) : window_(window) {}
  void on_messages(Link &link, uint32_t count) override {
    window_.messages += count;
    total += count;
    link.set_reading(!slow);
    for (; count > 0 && !link.sent_ns.empty(); --count) link.sent_ns.pop_front();
  }
  bool slow = false;
  uint64_t total = 0;

 private:
  Window &window_;
};

class Mixed {
 public:
  explicit Mixed(const Options &options)
      : options_(options),
        window_(options.server_pids),
        engine_(options),
        talk_(make_pattern(options, kTalkBytes, 1)),
        visit_(make_pattern(options, kVisitBytes, kVisitMessages)),
        burst_(make_pattern(options, kBurstBytes, 1)),
        slow_(make_pattern(options, kSlowBytes, 1)),
        talkers_(window_),
        visitors_(window_, visit_),
        bursters_(window_),
        slow_readers_(window_) {}

  void run() {
    talking_ = engine_.open_all(talkers_, kTalkers);
    bursting_ = engine_.open_all(bursters_, kBursters);
    for (uint32_t i = 0; i < kSlow; ++i) {
      reading_slowly_.push_back(std::make_unique<Link>(engine_, slow_readers_));
      reading_slowly_.back()->connect_small(kSlowReceiveBuffer);
    }
    while (reading_slowly_.back()->idle() || !all_open()) engine_.turn(10);
    slow_readers_.slow = true;
    window_.begin();
    act();
    window_.print("mixed", ",\"visits\":" + std::to_string(visitors_.visits) +
                               ",\"slow_messages\":" + std::to_string(slow_readers_.total));
  }

 private:
  bool all_open() const {
    for (const auto &link : reading_slowly_) {
      if (!link->open()) return false;
    }
    return true;
  }

  void act() {
    Pace talk(kTalkersPerSecond);
    Pace visits(kVisitsPerSecond);
    Pace bursts(kBurstsPerSecond);
    Pace slow_reads(kSlowReadsPerSecond);
    const uint64_t end = now_ns() + static_cast<uint64_t>(options_.seconds * 1e9);
    for (uint64_t now = now_ns(); now < end; now = now_ns()) {
      while (const uint64_t due = talk.next(now)) {
        Link &link = *talking_[talk.count() % kTalkers];
        link.sent_ns.push_back(due);
        link.send_messages(talk_, 1);
      }
      while (visits.next(now) != 0) visitor().connect();
      while (bursts.next(now) != 0) bursting_[bursts.count() % kBursters]->send_messages(burst_, kBurstMessages);
      while (slow_reads.next(now) != 0) turn_slow_readers();
      engine_.turn(0);
    }
  }

  // One read of each, and as much more sent as it may be ahead.
  void turn_slow_readers() {
    for (const auto &link : reading_slowly_) {
      while (link->sent_ns.size() * kSlowBytes < kSlowAhead && link->owed() == 0) {
        link->sent_ns.push_back(0);
        link->send_messages(slow_, 1);
      }
      link->set_reading(true);
    }
  }

  // One that has gone, or a new one.
  Link &visitor() {
    for (const auto &link : visiting_) {
      if (link->idle()) return *link;
    }
    visiting_.push_back(std::make_unique<Link>(engine_, visitors_));
    return *visiting_.back();
  }

  const Options &options_;
  Window window_;
  Engine engine_;
  const Pattern talk_, visit_, burst_, slow_;
  Talkers talkers_;
  Visitors visitors_;
  Counting bursters_;
  Counting slow_readers_;
  std::vector<std::unique_ptr<Link>> talking_, bursting_, reading_slowly_, visiting_;
};

}  // namespace

void run_mixed(const Options &options) {
  Mixed(options).run();
}

}  // namespace load
