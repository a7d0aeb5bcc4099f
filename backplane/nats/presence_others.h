// Who is on the watched topics elsewhere, read from the buckets: which servers live, and their members. Told to our server as they come and go.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "presence_own.h"
#include "stream_reader.h"
#include "wire.h"

namespace wsb::nats {

class PresenceOthers {
 public:
  using Tell = std::function<void(uint64_t watch, const std::string& member, bool present)>;
  PresenceOthers(WireRef wire, const PresenceSettings& settings, const PresenceOwn& own, PresenceOwn::Post post,
                 Tell tell);
  ~PresenceOthers();
  PresenceOthers(const PresenceOthers&) = delete;
  PresenceOthers& operator=(const PresenceOthers&) = delete;

  void watch(std::string_view topic, uint64_t watch);
  void unwatch(uint64_t watch);

  // The buckets are there (again). What was known before and is not found again in a while is gone.
  void begin();
  // Nothing more is told.
  void end();
  // Often enough, within the time to live, that deaths are noticed.
  void check(int64_t now_ms);

 private:
  // A key of a topic's members, as read.
  struct Entry {
    std::string member;
    uint64_t round = 0;  // of the reading that found it
    bool told = false;
  };
  using Key = std::pair<std::string, std::string>;  // incarnation, number
  struct Watch {
    std::string topic;  // as in keys
    std::shared_ptr<StreamReader> reader;
    uint64_t round = 0;
    std::map<Key, Entry> entries;
  };
  struct Instance {
    int64_t seen_ms = 0;  // when its key was last read, or the first of its members
    bool alive = false;
  };
  struct Read {
    std::string key;
    std::string value;
    bool removed = false;
    bool last = false;  // of what was there when reading began
  };
  using Take = std::function<void(const Read& read)>;

  std::shared_ptr<StreamReader> read(const std::string& bucket, const std::string& filter, const Take& take);
  void begin(uint64_t number, Watch& watch);
  void take_member(uint64_t number, uint64_t round, const Read& read);
  void take_instance(const Read& read);
  void take_listing(const Read& read);
  void sweep(uint64_t number, uint64_t round);
  void set_alive(const std::string& id, bool alive);
  void forget(const std::string& id);
  void erase(uint64_t number, std::map<Key, Entry>& entries, std::map<Key, Entry>::iterator entry);
  void tell(uint64_t number, Entry& entry, bool present);
  bool is_cleaner() const;
  void clean(int64_t now_ms);

  const WireRef wire_;
  const PresenceSettings settings_;
  const PresenceOwn& own_;
  const PresenceOwn::Post post_;
  const Tell tell_;
  bool begun_ = false;
  uint64_t rounds_ = 0;
  int64_t checked_ms_ = 0;
  std::shared_ptr<StreamReader> instance_reader_;
  std::shared_ptr<StreamReader> listing_reader_;
  std::map<uint64_t, Watch> watches_;
  std::map<std::string, Instance> instances_;
  std::map<std::string, int64_t> listed_;  // incarnations that may have keys; since when that is known
};

}  // namespace wsb::nats
