// Each key is put until it is acknowledged; what a key of a gone member leaves behind is purged after a while.
#include "presence_own.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <random>
#include <utility>

#include "link.h"

namespace wsb::nats {

namespace {

constexpr size_t kMostWaiting = 256;
constexpr int64_t kAgainMs = 500;
// A reader that has to begin anew goes on where it was within this time, and must still find what it missed.
constexpr int64_t kTombstoneMs = 60'000;
// Readers may see the end of a former incarnation and the beginning of the next in any order; meanwhile both are there.
constexpr int64_t kOverlapMs = 1000;
constexpr uint32_t kWrongLastSequence = 10071;  // JetStream's code
constexpr int64_t kNsPerMs = 1'000'000;
constexpr int64_t kDuplicatesMs = 120'000;

const char kOperation[] = "KV-Operation";
const char kExpected[] = "Nats-Expected-Last-Subject-Sequence";

std::string random_id() {
  std::random_device device;
  char text[20];
  (void)std::snprintf(text, sizeof text, "%08x%08x", device(), device());
  return text;
}

}  // namespace

PresenceSettings::PresenceSettings(const std::string& prefix, int64_t its_ttl_ms, uint32_t its_replicas)
    : members(kv_bucket(prefix, "presence")),
      instances(kv_bucket(prefix, "instances")),
      ttl_ms(its_ttl_ms),
      replicas(its_replicas) {}

// As NATS's own clients make a bucket.
nlohmann::json PresenceSettings::bucket_config(const std::string& bucket, bool expires) const {
  return {{"name", kv_stream(bucket)},
          {"subjects", {kv_subject(bucket, ">")}},
          {"retention", "limits"},
          {"discard", "new"},
          {"storage", "memory"},
          {"max_msgs_per_subject", 1},
          {"max_age", expires ? ttl_ms * kNsPerMs : 0},
          {"duplicate_window", (expires ? std::min(ttl_ms, kDuplicatesMs) : kDuplicatesMs) * kNsPerMs},
          {"num_replicas", replicas},
          {"allow_rollup_hdrs", true},
          {"deny_delete", true}};
}

void PresenceSettings::purge(Wire& wire, const std::string& key, const Wire::Answered& answered) const {
  const nlohmann::json wish{{"filter", kv_subject(members, key)}};
  wire.ask("$JS.API.STREAM.PURGE." + kv_stream(members), wish.dump(), answered);
}

PresenceOwn::PresenceOwn(WireRef wire, const PresenceSettings& settings, Post post, Failed failed)
    : wire_(std::move(wire)), settings_(settings), post_(std::move(post)), failed_(std::move(failed)) {
  new_incarnation();
}

// Answers come on any thread, and may be those of an earlier connection.
Wire::Answered PresenceOwn::here(std::function<void(const Answer&)> work) {
  return [this, post = post_, epoch = epoch_, work = std::move(work)](const Answer& answer) {
    post([this, epoch, work, answer] {
      if (epoch == epoch_) work(answer);
    });
  };
}

void PresenceOwn::new_incarnation() {
  if (!id_.empty()) former_.insert(id_);
  id_ = random_id();
  ids_.insert(id_);
  revision_ = 0;
  for (auto& [number, member] : members_) member.sent = false;
  gone_.clear();  // with all that is left of the former
  tombstones_.clear();
}

// -------------------------------------------------------------------------------------------------------------------- members

void PresenceOwn::join(std::string_view topic, std::string_view name, uint64_t number) {
  members_[number] = {std::to_string(number) + "." + kv_key(topic), std::string(name), false};
  if (!ready_) return;
  works_.push_back({number, {}, {}});
  pump();
}

void PresenceOwn::leave(uint64_t number) {
  const auto found = members_.find(number);
  if (found == members_.end()) return;
  if (found->second.sent) {
    std::string key = id_ + "." + found->second.key;
    gone_.insert(key);
    if (ready_) works_.push_back({number, {}, std::move(key)});
  }
  members_.erase(found);
  pump();
}

void PresenceOwn::pump() {
  while (ready_ && waiting_ < kMostWaiting && !works_.empty()) {
    const Work work = std::move(works_.front());
    works_.pop_front();
    carry_out(work);
  }
}

void PresenceOwn::carry_out(const Work& work) {
  const auto answered = [this](const Work& of) { return here([this, of](const Answer& answer) { done(of, answer); }); };
  if (!work.purge.empty()) {
    ++waiting_;
    settings_.purge(*wire_, work.purge, answered(work));
    return;
  }
  if (!work.removed.empty()) {
    ++waiting_;
    wire_->ask(subject(work.removed), "", answered(work), {{kOperation, "DEL"}});
    return;
  }
  const auto found = members_.find(work.number);
  if (found == members_.end()) return;  // gone before it was put
  ++waiting_;
  found->second.sent = true;
  wire_->ask(subject(id_ + "." + found->second.key), found->second.name, answered(work));
}

void PresenceOwn::done(const Work& work, const Answer& answer) {
  --waiting_;
  if (!answer.ok()) {
    wire_->later(kAgainMs, [post = post_, epoch = epoch_, this, work] {
      post([this, epoch, work] {
        if (epoch != epoch_) return;
        works_.push_back(work);
        pump();
      });
    });
    return;
  }
  if (!work.removed.empty() && gone_.erase(work.removed) != 0)
    tombstones_.emplace_back(steady_ms() + kTombstoneMs, work.removed);
  pump();
}

// ----------------------------------------------------------------------------------------------------------------------- alive

void PresenceOwn::begin() {
  stop();
  put_key();
}

void PresenceOwn::stop() {
  ++epoch_;
  ready_ = false;
  waiting_ = 0;
  works_.clear();
}

// Only if nobody else has touched it: whoever finds us dead does.
void PresenceOwn::put_key() {
  wire_->ask(kv_subject(settings_.instances, id_), "", here([this](const Answer& answer) { key_answered(answer); }),
             {{kExpected, std::to_string(revision_)}});
}

void PresenceOwn::key_answered(const Answer& answer) {
  if (answer.err_code == kWrongLastSequence) {
    new_incarnation();
    return begin();
  }
  if (!answer.ok()) return failed_(answer.error);
  revision_ = number_of(answer.json, "seq");
  if (ready_) return;
  ready_ = true;
  announce();
}

void PresenceOwn::put_listing() {
  wire_->ask(subject("instances." + id_), "", here([this](const Answer& answer) {
               if (!answer.ok()) return failed_(answer.error);
               const uint64_t sequence = number_of(answer.json, "seq");
               const bool lost = sequence < listing_;
               listing_ = sequence;
               if (lost) announce();
             }));
}

void PresenceOwn::announce() {
  put_listing();
  for (const auto& [number, member] : members_) works_.push_back({number, {}, {}});
  for (const std::string& key : gone_) works_.push_back({0, {}, key});
  pump();
  bury_former();
}

void PresenceOwn::refresh() {
  if (!ready_) return;
  put_key();
  put_listing();
  const int64_t now_ms = steady_ms();
  while (!tombstones_.empty() && tombstones_.front().first <= now_ms) {
    works_.push_back({0, std::move(tombstones_.front().second), {}});
    tombstones_.pop_front();
  }
  pump();
}

// When the present one is there as a whole.
void PresenceOwn::bury_former() {
  if (former_.empty()) return;
  wire_->later(kOverlapMs, [post = post_, epoch = epoch_, this] {
    post([this, epoch] {
      if (epoch != epoch_ || !ready_) return;
      if (!works_.empty() || waiting_ != 0) return bury_former();
      for (const std::string& id : former_) {
        (void)wire_->send(kv_subject(settings_.instances, id), "", "", {{kOperation, "DEL"}});
        works_.push_back({0, id + ".>", {}});
        works_.push_back({0, "instances." + id, {}});
      }
      former_.clear();
      pump();
    });
  });
}

void PresenceOwn::resign() {
  if (!ready_) return;
  (void)wire_->send(kv_subject(settings_.instances, id_), "", "", {{kOperation, "DEL"}});
  const auto nobody = [](const Answer& /*answer*/) {};
  settings_.purge(*wire_, id_ + ".>", nobody);
  settings_.purge(*wire_, "instances." + id_, nobody);
  stop();
}

}  // namespace wsb::nats
