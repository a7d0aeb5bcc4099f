// The buckets, and what happens when they are there, are not there, or NATS is back.
#include "presence.h"

#include <utility>

#include "link.h"
#include "stream.h"

namespace wsb::nats {

namespace {

constexpr int64_t kAgainMs = 2000;
constexpr int64_t kChecksPerTtl = 12;
constexpr uint64_t kChecksPerRefresh = 4;  // so it is done every third of the time to live

}  // namespace

std::shared_ptr<Presence> Presence::start(WireRef wire, const PresenceSettings& settings, Tell tell) {
  const auto life = std::make_shared<std::weak_ptr<Presence>>();
  auto out = std::make_shared<Presence>(std::move(wire), settings, std::move(tell), life);
  *life = out;
  out->wire_->listen(out);
  out->post_([self = out.get()] { self->tick(); });
  return out;
}

// Work that is posted by then, or later, is dropped when this has ended.
Presence::Presence(WireRef wire, const PresenceSettings& settings, Tell tell, const Life& life)
    : wire_(std::move(wire)),
      settings_(settings),
      tell_(std::move(tell)),
      post_([wire = wire_, life](Wire::Work work) {
        wire->post([life, work = std::move(work)] {
          if (const auto self = life->lock()) work();
        });
      }),
      own_(wire_, settings_, post_, [this](const std::string& why) { failed(why); }),
      others_(wire_, settings_, own_, post_, tell_.presence) {}

void Presence::join(std::string_view topic, std::string_view member, uint64_t number) {
  post_([this, topic = std::string(topic), member = std::string(member), number] {
    own_.join(topic, member, number);
    use();
  });
}

void Presence::leave(uint64_t number) {
  post_([this, number] { own_.leave(number); });
}

void Presence::watch(std::string_view topic, uint64_t watch) {
  post_([this, topic = std::string(topic), watch] {
    others_.watch(topic, watch);
    use();
  });
}

void Presence::unwatch(uint64_t watch) {
  post_([this, watch] { others_.unwatch(watch); });
}

void Presence::connected() {
  if (used_) begin();
}

void Presence::use() {
  if (used_) return;
  used_ = true;
  if (wire_->is_connected()) begin();
}

// One bucket after the other, then what is to be put and read there.
void Presence::begin() {
  own_.stop();
  const uint64_t attempt = ++attempt_;
  const auto when_there = [this, attempt](const std::function<void()>& next) {
    return [this, post = post_, attempt, next](const Answer& answer) {
      post([this, attempt, next, answer] {
        if (attempt != attempt_) return;
        if (!answer.ok()) return failed(answer.error);
        next();
      });
    };
  };
  const auto use = [this] {
    if (!complaint_.empty()) tell_.say("presence is shared again");
    complaint_.clear();
    own_.begin();
    others_.begin();
  };
  ensure_stream(wire_, settings_.bucket_config(settings_.members, false), when_there([this, when_there, use] {
                  ensure_stream(wire_, settings_.bucket_config(settings_.instances, true), when_there(use));
                }));
}

// Meanwhile presence is this server's alone.
void Presence::failed(const std::string& why) {
  own_.stop();
  const uint64_t attempt = ++attempt_;
  if (wire_->is_connected() && why != complaint_) {
    tell_.say("presence is not shared with other servers: " + why);
    complaint_ = why;
  }
  wire_->later(kAgainMs, [post = post_, this, attempt] {
    post([this, attempt] {
      if (attempt == attempt_ && wire_->is_connected()) begin();
    });
  });
}

void Presence::tick() {
  const int64_t now_ms = steady_ms();
  others_.check(now_ms);
  if (++ticks_ % kChecksPerRefresh == 0) own_.refresh();
  wire_->later(settings_.ttl_ms / kChecksPerTtl, [post = post_, this] { post([this] { tick(); }); });
}

void Presence::close() {
  ++attempt_;
  own_.resign();
  others_.end();
}

}  // namespace wsb::nats
