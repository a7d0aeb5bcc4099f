// Presence across the workers and beyond: who is on a topic, and telling those that watch it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/presence_table.h"
#include "server/context.h"

namespace wsb::server {

class Worker;

class Presence {
 public:
  using Workers = std::vector<std::unique_ptr<Worker>>;
  // `workers` may be filled later.
  Presence(Context& context, const Workers& workers) noexcept : context_(context), workers_(workers), table_(false) {}
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;

  // The backplane has presence. Before the server starts.
  void cross() noexcept { table_.set_crosses(); }

  // Any thread; each a wsb_error. The names are well-formed.
  int join(uint64_t id, std::string_view topic, std::string_view member);
  int leave(uint64_t id, std::string_view topic);
  int watch(uint64_t id, std::string_view topic);
  int unwatch(uint64_t id, std::string_view topic);
  std::vector<std::string> members(std::string_view topic);
  // From the backplane.
  void elsewhere(uint64_t watch, std::string_view member, bool present);

  // On the connection's worker, without its gate: it ends; it has room again for what it could not be told.
  void drop(uint64_t id) noexcept;
  void drained(uint64_t id) noexcept;

  void add_metrics(wsb_metrics& totals);

 private:
  using Table = core::PresenceTable;
  using Lock = std::unique_lock<std::mutex>;

  Worker* worker_of(uint64_t id) const noexcept;
  void settle(Table::Topic& topic, Lock& lock) noexcept;
  void carry_out(Table::Topic& topic, const core::PresenceTask& task, Lock& lock);
  void tell(Table::Topic& topic, const std::string& member, bool present, const std::vector<uint64_t>& receivers,
            Lock& lock);
  void owe(Table::Topic& topic, const std::string& member, const std::vector<uint64_t>& behind, Lock& lock);
  core::BufferRef make_message(const std::string& topic, const std::string& member, bool present) const;
  std::vector<uint64_t> send(core::Buffer& message, const std::vector<uint64_t>& receivers) const;
  void tell_backplane(const std::string& topic, const core::PresenceTask& task) noexcept;

  Context& context_;
  const Workers& workers_;
  std::mutex
      mutex_;  // of what follows; taken before a worker's gate, not held over any call of the application or the backplane
  core::PresenceTable table_;
  uint64_t joins_ = 0;
  uint64_t leaves_ = 0;
};

}  // namespace wsb::server
