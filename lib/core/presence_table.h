// Who is on which topic, who watches it, and what of that is still to be told, in order for each topic. Not synchronised; calls nobody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace wsb::core {

constexpr size_t kMaxMemberBytes = 255;

// What is wrong with a member's name, for people; null: nothing.
const char* member_fault(std::string_view member) noexcept;

struct PresenceTask {
  enum class Kind : uint8_t {
    kChange,   // to all that watch: `member` came or left
    kCatchUp,  // to the connection `number`, which missed a change: where `member` is now
    // To the backplane, of the join or watch `number`:
    kJoin,
    kLeave,
    kWatch,
    kUnwatch
  };
  Kind kind = Kind::kChange;
  bool present = false;
  uint64_t number = 0;
  std::string member;
};

class PresenceTable {
 public:
  using Tasks = std::list<PresenceTask>;
  struct Topic;

  // `crosses`: there is a backplane to be told.
  explicit PresenceTable(bool crosses) noexcept;
  ~PresenceTable();
  PresenceTable(const PresenceTable&) = delete;
  PresenceTable& operator=(const PresenceTable&) = delete;
  void set_crosses() noexcept { crosses_ = true; }

  // Each gives the topic whose tasks are to be carried out, null if nothing has changed (there before, or not there). What throws
  // std::bad_alloc has changed nothing.
  Topic* join(uint64_t conn, std::string_view topic, std::string_view member);
  Topic* leave(uint64_t conn, std::string_view topic) noexcept;
  Topic* watch(uint64_t conn, std::string_view topic);
  Topic* unwatch(uint64_t conn, std::string_view topic) noexcept;
  // Ends one join or watch, whichever, of a connection that has any; null: it has none (any more).
  Topic* drop_one(uint64_t conn) noexcept;
  // From the backplane; a watch that has ended is not known.
  Topic* elsewhere(uint64_t watch, std::string_view member, bool present);
  bool has_joined(uint64_t conn, std::string_view topic) const noexcept;
  bool is_watching(uint64_t conn, std::string_view topic) const noexcept;

  // A watcher could not be told of a change. False: there are `most` such members already. Who does not watch (any more) is owed nothing.
  bool owe(uint64_t conn, Topic& topic, std::string_view member, size_t most);
  // So many topics owe something to a connection.
  size_t owing_topics(uint64_t conn) const noexcept;
  // Makes tasks of what one topic owes to a connection; null: no topic owes it anything.
  Topic* catch_up(uint64_t conn);

  // Takes the first task; a list of one, or empty.
  static Tasks take_task(Topic& topic) noexcept;
  // While it is held a topic stays where it is, even if nobody is there. False: it is held, and whoever holds it takes the tasks.
  static bool hold(Topic& topic) noexcept;
  void release(Topic& topic) noexcept;
  static const std::string& name(const Topic& topic) noexcept;
  static void copy_watchers(const Topic& topic, std::vector<uint64_t>& out);
  static bool is_present(const Topic& topic, const std::string& member) noexcept;

  std::vector<std::string> members(std::string_view topic) const;
  size_t topics() const noexcept { return topics_.size(); }
  size_t present() const noexcept { return present_; }
  size_t joined() const noexcept { return joined_; }
  size_t watching() const noexcept { return watching_; }

 private:
  struct Conn;
  struct Join;
  struct Member;

  Topic& topic_of(std::string_view name);
  Topic* find(std::string_view name) const noexcept;
  Conn* find(uint64_t conn) const noexcept;
  Conn& conn_of(uint64_t conn);
  void prune(Topic& topic) noexcept;
  void prune(uint64_t conn, const Conn& entry) noexcept;
  Member& member_of(Topic& topic, std::string_view name);
  void came(Topic& topic, Member& member, Tasks& tell) noexcept;
  void left(Topic& topic, Member& member) noexcept;
  void end_join(Topic& topic, Join& join) noexcept;
  void end_watch(uint64_t conn, Topic& topic) noexcept;

  bool crosses_;
  uint64_t last_number_ = 0;
  size_t present_ = 0;
  size_t joined_ = 0;
  size_t watching_ = 0;
  std::unordered_map<std::string_view, std::unique_ptr<Topic>> topics_;  // keys lie in the topics
  std::unordered_map<uint64_t, std::unique_ptr<Conn>> conns_;
  std::unordered_map<uint64_t, Topic*> watches_;  // those that the backplane knows
};

}  // namespace wsb::core
