// Nodes of the tasks that end something are made when it begins, so that the end never needs memory.
#include "core/presence_table.h"

#include <algorithm>

#include "core/utf8.h"

namespace wsb::core {

using Kind = PresenceTask::Kind;

struct PresenceTable::Member {
  const std::string* name = nullptr;  // the key
  size_t here = 0;                    // connections of this server that joined as this
  size_t elsewhere = 0;               // of others
  Tasks gone;                         // one that tells its leaving
  size_t count() const noexcept { return here + elsewhere; }
};

struct PresenceTable::Topic {
  explicit Topic(std::string_view its_name) : name(its_name) {}
  const std::string name;
  std::unordered_map<std::string, Member> members;
  std::unordered_set<uint64_t> watchers;
  uint64_t watch = 0;  // its number at the backplane; 0: it does not watch
  Tasks end_of_watch;  // one, while `watch` is set
  Tasks tasks;
  bool held = false;
};

struct PresenceTable::Join {
  Topic* topic;
  Member* member;
  Tasks end;  // one that tells the backplane, if there is that
};

struct PresenceTable::Conn {
  std::vector<Join> joins;
  std::vector<Topic*> watches;
  std::unique_ptr<std::set<std::pair<Topic*, std::string>>> owed;

  auto find_join(const Topic& topic) noexcept {
    return std::find_if(joins.begin(), joins.end(), [&](const Join& join) { return join.topic == &topic; });
  }
  bool empty() const noexcept { return joins.empty() && watches.empty(); }
};

namespace {

constexpr size_t kKept = 16;  // buckets for which no smaller table is made

PresenceTable::Tasks one(Kind kind, uint64_t number, std::string_view member, bool present) {
  PresenceTable::Tasks out;
  out.push_back({kind, present, number, std::string(member)});
  return out;
}

template <typename Map>
void shrink(Map& map) noexcept {
  if (map.bucket_count() <= kKept || map.size() * 8 > map.bucket_count()) return;
  try {
    map.rehash(0);
  } catch (const std::bad_alloc&) {  // it stays large
  }
}

// Takes an element out of a list whose order says nothing.
template <typename T>
void take_out(std::vector<T>& list, typename std::vector<T>::iterator at) noexcept {
  if (at != list.end() - 1) *at = std::move(list.back());
  list.pop_back();
}

}  // namespace

const char* member_fault(std::string_view member) noexcept {
  if (member.empty()) return "the name is empty";
  if (member.size() > kMaxMemberBytes) return "the name is longer than 255 bytes";
  if (std::any_of(member.begin(), member.end(),
                  [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }))
    return "the name has a control character";
  return is_valid_utf8(member) ? nullptr : "the name is not UTF-8";
}

PresenceTable::PresenceTable(bool crosses) noexcept : crosses_(crosses) {}

PresenceTable::~PresenceTable() = default;

// ------------------------------------------------------------------------------------------------------------ finding, making

PresenceTable::Topic* PresenceTable::find(std::string_view name) const noexcept {
  const auto found = topics_.find(name);
  return found != topics_.end() ? found->second.get() : nullptr;
}

PresenceTable::Topic& PresenceTable::topic_of(std::string_view name) {
  if (Topic* found = find(name)) return *found;
  auto made = std::make_unique<Topic>(name);
  Topic& topic = *made;
  topics_.emplace(topic.name, std::move(made));
  return topic;
}

PresenceTable::Conn* PresenceTable::find(uint64_t conn) const noexcept {
  const auto found = conns_.find(conn);
  return found != conns_.end() ? found->second.get() : nullptr;
}

PresenceTable::Conn& PresenceTable::conn_of(uint64_t conn) {
  if (Conn* found = find(conn)) return *found;
  return *conns_.emplace(conn, std::make_unique<Conn>()).first->second;
}

void PresenceTable::prune(Topic& topic) noexcept {
  if (topic.held || !topic.tasks.empty() || !topic.members.empty() || !topic.watchers.empty()) return;
  const auto found = topics_.find(topic.name);
  const std::unique_ptr<Topic> last = std::move(found->second);  // its name is the key
  topics_.erase(found);
  shrink(topics_);
}

void PresenceTable::prune(uint64_t conn, const Conn& entry) noexcept {
  if (!entry.empty()) return;
  conns_.erase(conn);
  shrink(conns_);
}

PresenceTable::Member& PresenceTable::member_of(Topic& topic, std::string_view name) {
  const auto [at, is_new] = topic.members.try_emplace(std::string(name));
  Member& member = at->second;
  if (!is_new) return member;
  try {
    member.gone = one(Kind::kChange, 0, name, false);
  } catch (...) {
    topic.members.erase(at);
    throw;
  }
  member.name = &at->first;
  return member;
}

// `tell` holds one task for a member that is new.
void PresenceTable::came(Topic& topic, Member& member, Tasks& tell) noexcept {
  if (member.count() != 1) return;
  ++present_;
  if (!topic.watchers.empty()) topic.tasks.splice(topic.tasks.end(), tell);
}

// After it was counted down.
void PresenceTable::left(Topic& topic, Member& member) noexcept {
  if (member.count() != 0) return;
  --present_;
  if (!topic.watchers.empty()) topic.tasks.splice(topic.tasks.end(), member.gone);
  topic.members.erase(topic.members.find(*member.name));
  shrink(topic.members);
}

// -------------------------------------------------------------------------------------------------------------------- joining

PresenceTable::Topic* PresenceTable::join(uint64_t conn, std::string_view name, std::string_view member_name) {
  Topic& topic = topic_of(name);
  try {
    Conn& entry = conn_of(conn);
    try {
      entry.joins.reserve(entry.joins.size() + 1);
      const auto before = entry.find_join(topic);
      const bool replaces = before != entry.joins.end();
      if (replaces && *before->member->name == member_name) return nullptr;
      const uint64_t number = last_number_ + 1;
      Tasks tell = one(Kind::kChange, 0, member_name, true);
      Tasks begin = crosses_ ? one(Kind::kJoin, number, member_name, true) : Tasks();
      Tasks end = crosses_ ? one(Kind::kLeave, number, {}, false) : Tasks();
      Member& member = member_of(topic, member_name);
      // From here on nothing needs memory.
      if (replaces) {
        end_join(topic, *before);
        take_out(entry.joins, before);
      }
      last_number_ = number;
      ++member.here;
      ++joined_;
      came(topic, member, tell);
      topic.tasks.splice(topic.tasks.end(), begin);
      entry.joins.push_back({&topic, &member, std::move(end)});
      return &topic;
    } catch (...) {
      prune(conn, entry);
      throw;
    }
  } catch (...) {
    prune(topic);
    throw;
  }
}

void PresenceTable::end_join(Topic& topic, Join& join) noexcept {
  --joined_;
  --join.member->here;
  left(topic, *join.member);
  topic.tasks.splice(topic.tasks.end(), join.end);
}

PresenceTable::Topic* PresenceTable::leave(uint64_t conn, std::string_view name) noexcept {
  Topic* const topic = find(name);
  Conn* const entry = find(conn);
  if (topic == nullptr || entry == nullptr) return nullptr;
  const auto join = entry->find_join(*topic);
  if (join == entry->joins.end()) return nullptr;
  end_join(*topic, *join);
  take_out(entry->joins, join);
  prune(conn, *entry);
  return topic;
}

bool PresenceTable::has_joined(uint64_t conn, std::string_view name) const noexcept {
  Topic* const topic = find(name);
  Conn* const entry = find(conn);
  return topic != nullptr && entry != nullptr && entry->find_join(*topic) != entry->joins.end();
}

// ------------------------------------------------------------------------------------------------------------------- watching

PresenceTable::Topic* PresenceTable::watch(uint64_t conn, std::string_view name) {
  if (is_watching(conn, name)) return nullptr;
  Topic& topic = topic_of(name);
  const bool crosses = crosses_ && topic.watch == 0;
  const uint64_t number = last_number_ + 1;
  try {
    Tasks begin = crosses ? one(Kind::kWatch, number, {}, true) : Tasks();
    Tasks end = crosses ? one(Kind::kUnwatch, number, {}, false) : Tasks();
    Conn& entry = conn_of(conn);
    try {
      entry.watches.reserve(entry.watches.size() + 1);
      if (crosses) watches_.emplace(number, &topic);
      topic.watchers.insert(conn);
    } catch (...) {
      watches_.erase(number);
      prune(conn, entry);
      throw;
    }
    entry.watches.push_back(&topic);
    ++watching_;
    if (crosses) {
      last_number_ = number;
      topic.watch = number;
      topic.end_of_watch.swap(end);
      topic.tasks.splice(topic.tasks.end(), begin);
    }
  } catch (...) {
    prune(topic);
    throw;
  }
  return &topic;
}

void PresenceTable::end_watch(uint64_t conn, Topic& topic) noexcept {
  --watching_;
  topic.watchers.erase(conn);
  shrink(topic.watchers);
  if (!topic.watchers.empty() || topic.watch == 0) return;
  watches_.erase(topic.watch);
  shrink(watches_);
  topic.watch = 0;
  topic.tasks.splice(topic.tasks.end(), topic.end_of_watch);
  // Those elsewhere are not known without a watch.
  for (auto at = topic.members.begin(); at != topic.members.end();) {
    at->second.elsewhere = 0;
    if (at->second.here != 0) {
      ++at;
      continue;
    }
    --present_;
    at = topic.members.erase(at);
  }
  shrink(topic.members);
}

PresenceTable::Topic* PresenceTable::unwatch(uint64_t conn, std::string_view name) noexcept {
  Topic* const topic = find(name);
  Conn* const entry = find(conn);
  if (topic == nullptr || entry == nullptr) return nullptr;
  const auto watch = std::find(entry->watches.begin(), entry->watches.end(), topic);
  if (watch == entry->watches.end()) return nullptr;
  take_out(entry->watches, watch);
  if (entry->owed) {
    auto& owed = *entry->owed;
    auto at = owed.lower_bound({topic, std::string()});
    while (at != owed.end() && at->first == topic) at = owed.erase(at);
    if (owed.empty()) entry->owed.reset();
  }
  end_watch(conn, *topic);
  prune(conn, *entry);
  return topic;
}

bool PresenceTable::is_watching(uint64_t conn, std::string_view name) const noexcept {
  Topic* const topic = find(name);
  return topic != nullptr && topic->watchers.count(conn) != 0;
}

PresenceTable::Topic* PresenceTable::drop_one(uint64_t conn) noexcept {
  Conn* const entry = find(conn);
  if (entry == nullptr) return nullptr;
  Topic* topic = nullptr;
  if (!entry->watches.empty()) {  // first, so that it is not told of its own leaving
    topic = entry->watches.back();
    entry->watches.pop_back();
    entry->owed.reset();
    end_watch(conn, *topic);
  } else {
    Join& last = entry->joins.back();
    topic = last.topic;
    end_join(*topic, last);
    entry->joins.pop_back();
  }
  prune(conn, *entry);
  return topic;
}

PresenceTable::Topic* PresenceTable::elsewhere(uint64_t watch, std::string_view name, bool present) {
  const auto found = watches_.find(watch);
  if (found == watches_.end()) return nullptr;
  Topic& topic = *found->second;
  if (present) {
    Tasks tell = one(Kind::kChange, 0, name, true);
    Member& member = member_of(topic, name);
    ++member.elsewhere;
    came(topic, member, tell);
    return &topic;
  }
  const auto member = topic.members.find(std::string(name));
  if (member == topic.members.end() || member->second.elsewhere == 0) return nullptr;
  --member->second.elsewhere;
  left(topic, member->second);
  return &topic;
}

// ----------------------------------------------------------------------------------------------------------------- catching up

bool PresenceTable::owe(uint64_t conn, Topic& topic, std::string_view member, size_t most) {
  Conn* const entry = find(conn);
  if (entry == nullptr || topic.watchers.count(conn) == 0) return true;
  if (!entry->owed) entry->owed = std::make_unique<std::set<std::pair<Topic*, std::string>>>();
  if (entry->owed->size() >= most) return false;
  entry->owed->emplace(&topic, member);  // if it throws the set may be empty
  return true;
}

size_t PresenceTable::owing_topics(uint64_t conn) const noexcept {
  const Conn* const entry = find(conn);
  if (entry == nullptr || !entry->owed) return 0;
  size_t count = 0;
  const Topic* last = nullptr;
  for (const auto& owed : *entry->owed) {
    count += owed.first != last ? 1 : 0;
    last = owed.first;
  }
  return count;
}

PresenceTable::Topic* PresenceTable::catch_up(uint64_t conn) {
  Conn* const entry = find(conn);
  if (entry == nullptr || !entry->owed || entry->owed->empty()) return nullptr;
  auto& owed = *entry->owed;
  Topic* const topic = owed.begin()->first;
  while (!owed.empty() && owed.begin()->first == topic) {
    topic->tasks.push_back({Kind::kCatchUp, false, conn, owed.begin()->second});
    owed.erase(owed.begin());
  }
  if (owed.empty()) entry->owed.reset();
  return topic;
}

// ----------------------------------------------------------------------------------------------------------------------- tasks

PresenceTable::Tasks PresenceTable::take_task(Topic& topic) noexcept {
  Tasks out;
  if (!topic.tasks.empty()) out.splice(out.begin(), topic.tasks, topic.tasks.begin());
  return out;
}

bool PresenceTable::hold(Topic& topic) noexcept {
  if (topic.held) return false;
  topic.held = true;
  return true;
}

void PresenceTable::release(Topic& topic) noexcept {
  topic.held = false;
  prune(topic);
}

const std::string& PresenceTable::name(const Topic& topic) noexcept {
  return topic.name;
}

void PresenceTable::copy_watchers(const Topic& topic, std::vector<uint64_t>& out) {
  out.assign(topic.watchers.begin(), topic.watchers.end());
}

bool PresenceTable::is_present(const Topic& topic, const std::string& member) noexcept {
  return topic.members.count(member) != 0;
}

std::vector<std::string> PresenceTable::members(std::string_view name) const {
  std::vector<std::string> out;
  const Topic* const topic = find(name);
  if (topic == nullptr) return out;
  out.reserve(topic->members.size());
  for (const auto& [member, counts] : topic->members) out.push_back(member);
  return out;
}

}  // namespace wsb::core
