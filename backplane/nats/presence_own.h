// What this server puts into the buckets: that it lives, and who has joined here. A server is known by a random id, its incarnation: if it may have been
// taken for dead, or the buckets have lost it, it goes on under another.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "kv_key.h"
#include "wire.h"

namespace wsb::nats {

struct PresenceSettings {
  PresenceSettings(const std::string& prefix, int64_t its_ttl_ms, uint32_t its_replicas);

  std::string members;    // bucket: INSTANCE.NUMBER.TOPIC = member, and instances.INSTANCE for each that has keys there
  std::string instances;  // bucket: INSTANCE, put again every third of the time to live
  int64_t ttl_ms;
  uint32_t replicas;
  nlohmann::json bucket_config(const std::string& bucket, bool expires) const;
  void purge(Wire& wire, const std::string& key, const Wire::Answered& answered) const;
};

class PresenceOwn {
 public:
  // `post` runs work on the backplane's thread, unless all is over by then; `failed` is told why the buckets do not do.
  using Post = std::function<void(Wire::Work)>;
  using Failed = std::function<void(const std::string& why)>;
  PresenceOwn(WireRef wire, const PresenceSettings& settings, Post post, Failed failed);

  void join(std::string_view topic, std::string_view member, uint64_t number);
  void leave(uint64_t number);

  // The buckets are there (again): puts everything.
  void begin();
  // The connection or a bucket is gone.
  void stop();
  // A third of the time to live has passed.
  void refresh();
  // It is over: says so without waiting for answers.
  void resign();

  const std::string& id() const noexcept { return id_; }
  bool is_ready() const noexcept { return ready_; }
  bool was(const std::string& id) const { return ids_.count(id) != 0; }

 private:
  struct Member {
    std::string key;  // without the incarnation
    std::string name;
    bool sent = false;  // under the present incarnation
  };
  struct Work {
    uint64_t number = 0;  // of a member that has changed; 0: `purge`
    std::string purge;    // a key
    std::string removed;  // of a member that is gone: its key
  };

  void new_incarnation();
  void put_key();
  void key_answered(const Answer& answer);
  void put_listing();
  void announce();
  void pump();
  void carry_out(const Work& work);
  void done(const Work& work, const Answer& answer);
  void bury_former();
  std::string subject(const std::string& key) const { return kv_subject(settings_.members, key); }
  Wire::Answered here(std::function<void(const Answer&)> work);

  const WireRef wire_;
  const PresenceSettings settings_;
  const Post post_;
  const Failed failed_;
  std::string id_;
  std::set<std::string> ids_;     // all that there were
  std::set<std::string> former_;  // whose keys may still be there
  uint64_t revision_ = 0;         // of our key; 0: it has none
  uint64_t listing_ = 0;          // the sequence of our listing: a smaller one later is another stream's
  bool ready_ = false;
  uint64_t epoch_ = 0;  // answers to what was asked before are not listened to
  std::map<uint64_t, Member> members_;
  std::set<std::string> gone_;  // keys of members that have left, until that is acknowledged
  std::deque<Work> works_;
  size_t waiting_ = 0;                                      // for answers
  std::deque<std::pair<int64_t, std::string>> tombstones_;  // when, and the key
};

}  // namespace wsb::nats
