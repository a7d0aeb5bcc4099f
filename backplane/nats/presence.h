// Presence over NATS's key-value buckets: our own members in presence_own, those of others in presence_others. Everything but the calls that say so
// happens on the backplane's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "kv_key.h"
#include "presence_others.h"
#include "presence_own.h"
#include "wire.h"

namespace wsb::nats {

class Presence : public Wire::Listener {
 public:
  struct Tell {
    PresenceOthers::Tell presence;
    std::function<void(const std::string& text)> say;
  };
  static std::shared_ptr<Presence> start(WireRef wire, const PresenceSettings& settings, Tell tell);

  // Any thread; done a little later.
  void join(std::string_view topic, std::string_view member, uint64_t number);
  void leave(uint64_t number);
  void watch(std::string_view topic, uint64_t watch);
  void unwatch(uint64_t watch);

  // At the end: our members are gone for the others. What is sent still has to be flushed.
  void close();

  // Ours alone.
  using Life = std::shared_ptr<std::weak_ptr<Presence>>;
  Presence(WireRef wire, const PresenceSettings& settings, Tell tell, const Life& life);
  void connected() override;

 private:
  void use();
  void begin();
  void failed(const std::string& why);
  void tick();

  const WireRef wire_;
  const PresenceSettings settings_;
  const Tell tell_;
  const PresenceOwn::Post post_;
  PresenceOwn own_;
  PresenceOthers others_;
  bool used_ = false;     // nothing is asked of NATS before anybody joins or watches
  uint64_t attempt_ = 0;  // of using the buckets
  uint64_t ticks_ = 0;
  std::string complaint_;  // the last one, so that it is not repeated
};

}  // namespace wsb::nats
