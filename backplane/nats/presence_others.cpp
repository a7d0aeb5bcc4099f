// A member counts while its key is there and its server lives. The two come from different streams, in any order.
#include "presence_others.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "link.h"

namespace wsb::nats {

namespace {

constexpr int64_t kMostSweepMs = 5000;
// Of the time to live: a check that comes so much later than the last one says that this process stood still.
constexpr int64_t kStallPart = 4;
// So many times to live after its last sign the keys of a dead server are purged, and it is forgotten.
constexpr int64_t kBurialTtls = 2;

bool is_removal(natsMsg* message) {
  const char* operation = nullptr;
  if (natsMsgHeader_Get(message, "KV-Operation", &operation) != NATS_OK) return false;
  return std::strcmp(operation, "DEL") == 0 || std::strcmp(operation, "PURGE") == 0;
}

std::string_view take_token(std::string_view& rest) {
  const size_t dot = std::min(rest.find('.'), rest.size());
  const std::string_view token = rest.substr(0, dot);
  rest.remove_prefix(std::min(dot + 1, rest.size()));
  return token;
}

}  // namespace

PresenceOthers::PresenceOthers(WireRef wire, const PresenceSettings& settings, const PresenceOwn& own,
                               PresenceOwn::Post post, Tell tell)
    : wire_(std::move(wire)), settings_(settings), own_(own), post_(std::move(post)), tell_(std::move(tell)) {}

PresenceOthers::~PresenceOthers() {
  end();
}

// --------------------------------------------------------------------------------------------------------------------- reading

std::shared_ptr<StreamReader> PresenceOthers::read(const std::string& bucket, const std::string& filter,
                                                   const Take& take) {
  StreamReader::Settings settings;
  settings.stream = kv_stream(bucket);
  settings.filter = kv_subject(bucket, filter);
  settings.from = StreamReader::From::kLastPerSubject;
  StreamReader::Handlers handlers;
  const size_t before_key = kv_subject(bucket, "").size();
  handlers.started = [post = post_, take](uint64_t /*last*/, uint64_t pending) {
    if (pending != 0) return;
    post([take] {
      Read nothing;
      nothing.last = true;
      take(nothing);
    });
  };
  handlers.message = [post = post_, take, before_key](uint64_t /*sequence*/, uint64_t pending, natsMsg* message) {
    Read read;
    read.key = std::string(natsMsg_GetSubject(message)).substr(before_key);
    read.value.assign(natsMsg_GetData(message), static_cast<size_t>(natsMsg_GetDataLength(message)));
    read.removed = is_removal(message);
    read.last = pending == 0;
    post([take, read] { take(read); });
  };
  // The bucket was made anew: what was read of the former is not there any more.
  handlers.shortened = [this, post = post_, round = rounds_](uint64_t /*sequence*/) {
    post([this, round] {
      if (begun_ && round == rounds_) begin();
    });
  };
  return StreamReader::start(wire_, settings, handlers);
}

void PresenceOthers::begin() {
  begun_ = true;
  const uint64_t round = ++rounds_;
  const auto current = [this, round](void (PresenceOthers::*take)(const Read&)) {
    return [this, round, take](const Read& of) {
      if (round == rounds_ && !of.key.empty()) (this->*take)(of);
    };
  };
  if (instance_reader_) instance_reader_->stop();
  if (listing_reader_) listing_reader_->stop();
  listed_.clear();
  instance_reader_ = read(settings_.instances, "*", current(&PresenceOthers::take_instance));
  listing_reader_ = read(settings_.members, "instances.*", current(&PresenceOthers::take_listing));
  for (auto& [number, watch] : watches_) begin(number, watch);
}

void PresenceOthers::begin(uint64_t number, Watch& watch) {
  const uint64_t round = ++watch.round;
  if (watch.reader) watch.reader->stop();
  watch.reader = read(settings_.members, "*.*." + watch.topic,
                      [this, number, round](const Read& of) { take_member(number, round, of); });
}

void PresenceOthers::end() {
  begun_ = false;
  if (instance_reader_) instance_reader_->stop();
  if (listing_reader_) listing_reader_->stop();
  for (auto& [number, watch] : watches_) {
    if (watch.reader) watch.reader->stop();
  }
  watches_.clear();
}

void PresenceOthers::watch(std::string_view topic, uint64_t number) {
  Watch& made = watches_[number];
  made.topic = kv_key(topic);
  if (begun_) begin(number, made);
}

void PresenceOthers::unwatch(uint64_t number) {
  const auto found = watches_.find(number);
  if (found == watches_.end()) return;
  if (found->second.reader) found->second.reader->stop();
  watches_.erase(found);
}

// --------------------------------------------------------------------------------------------------------------------- members

void PresenceOthers::tell(uint64_t number, Entry& entry, bool present) {
  if (entry.told == present) return;
  entry.told = present;
  tell_(number, entry.member, present);
}

void PresenceOthers::erase(uint64_t number, std::map<Key, Entry>& entries, std::map<Key, Entry>::iterator entry) {
  tell(number, entry->second, false);
  entries.erase(entry);
}

void PresenceOthers::take_member(uint64_t number, uint64_t round, const Read& read) {
  const auto found = watches_.find(number);
  if (found == watches_.end() || found->second.round != round) return;
  Watch& watch = found->second;
  if (!read.key.empty()) {
    std::string_view rest = read.key;
    const std::string id(take_token(rest));
    const Key key{id, std::string(take_token(rest))};
    if (own_.was(id)) {  // our server knows them itself
    } else if (read.removed) {
      const auto entry = watch.entries.find(key);
      if (entry != watch.entries.end()) erase(number, watch.entries, entry);
    } else {
      const auto [instance, is_new] = instances_.try_emplace(id);
      if (is_new) instance->second.seen_ms = steady_ms();
      Entry& entry = watch.entries[key];
      if (entry.member != read.value) tell(number, entry, false);
      entry.member = read.value;
      entry.round = round;
      if (instance->second.alive) tell(number, entry, true);
    }
  }
  if (!read.last) return;
  // Others put theirs again too when NATS has started anew; those who do are not gone meanwhile.
  const int64_t delay_ms = std::min(kMostSweepMs, settings_.ttl_ms / 2);
  wire_->later(delay_ms,
               [post = post_, this, number, round] { post([this, number, round] { sweep(number, round); }); });
}

void PresenceOthers::sweep(uint64_t number, uint64_t round) {
  const auto found = watches_.find(number);
  if (found == watches_.end() || found->second.round != round) return;
  auto& entries = found->second.entries;
  for (auto entry = entries.begin(); entry != entries.end();) {
    const auto next = std::next(entry);
    if (entry->second.round != round) erase(number, entries, entry);
    entry = next;
  }
}

// --------------------------------------------------------------------------------------------------------------------- servers

void PresenceOthers::take_instance(const Read& read) {
  if (read.removed) return forget(read.key);
  instances_[read.key].seen_ms = steady_ms();
  set_alive(read.key, true);
}

void PresenceOthers::set_alive(const std::string& id, bool alive) {
  Instance& instance = instances_[id];
  if (instance.alive == alive) return;
  instance.alive = alive;
  for (auto& [number, watch] : watches_) {
    auto entry = watch.entries.lower_bound({id, std::string()});
    for (; entry != watch.entries.end() && entry->first.first == id; ++entry) tell(number, entry->second, alive);
  }
}

void PresenceOthers::forget(const std::string& id) {
  instances_.erase(id);
  for (auto& [number, watch] : watches_) {
    auto entry = watch.entries.lower_bound({id, std::string()});
    while (entry != watch.entries.end() && entry->first.first == id) {
      const auto next = std::next(entry);
      erase(number, watch.entries, entry);
      entry = next;
    }
  }
}

void PresenceOthers::check(int64_t now_ms) {
  const int64_t late_ms = checked_ms_ == 0 ? 0 : now_ms - checked_ms_;
  checked_ms_ = now_ms;
  if (late_ms > settings_.ttl_ms / kStallPart) {  // what came meanwhile has not been read yet
    for (auto& [id, instance] : instances_) instance.seen_ms += late_ms;
    for (auto& [id, since_ms] : listed_) since_ms += late_ms;
  }
  std::vector<std::string> dead;
  std::vector<std::string> forgotten;
  for (const auto& [id, instance] : instances_) {
    const int64_t silent_ms = now_ms - instance.seen_ms;
    if (silent_ms > kBurialTtls * settings_.ttl_ms) {
      forgotten.push_back(id);
    } else if (silent_ms > settings_.ttl_ms && instance.alive) {
      dead.push_back(id);
    }
  }
  for (const std::string& id : dead) set_alive(id, false);
  for (const std::string& id : forgotten) forget(id);
  clean(now_ms);
}

// -------------------------------------------------------------------------------------------------------------------- cleaning

void PresenceOthers::take_listing(const Read& read) {
  const std::string id = read.key.substr(read.key.find('.') + 1);
  if (read.removed) {
    listed_.erase(id);
  } else {
    listed_.try_emplace(id, steady_ms());
  }
}

// One of those that live is enough: the first.
bool PresenceOthers::is_cleaner() const {
  const auto first =
      std::find_if(instances_.begin(), instances_.end(), [](const auto& instance) { return instance.second.alive; });
  return own_.is_ready() && first != instances_.end() && first->first == own_.id();
}

// Its key is ended first: if it lives after all it finds that, and comes back under another id.
void PresenceOthers::clean(int64_t now_ms) {
  if (!is_cleaner()) return;
  for (auto at = listed_.begin(); at != listed_.end();) {
    const std::string& id = at->first;
    const auto instance = instances_.find(id);
    const int64_t last_ms = instance != instances_.end() ? std::max(instance->second.seen_ms, at->second) : at->second;
    const bool alive = instance != instances_.end() && instance->second.alive;
    if (alive || own_.was(id) || now_ms - last_ms <= kBurialTtls * settings_.ttl_ms) {
      ++at;
      continue;
    }
    (void)wire_->send(kv_subject(settings_.instances, id), "", "", {{"KV-Operation", "DEL"}});
    settings_.purge(*wire_, id + ".>", [wire = wire_, settings = settings_, id](const Answer& answer) {
      if (!answer.ok()) return;  // whoever reads the listing anew tries again
      wire->post([wire, settings, id] { settings.purge(*wire, "instances." + id, [](const Answer& /*answer*/) {}); });
    });
    at = listed_.erase(at);
  }
}

}  // namespace wsb::nats
