// The connections that a broadcast reaches, across all workers.
#pragma once

#include <wsbeat/wsbeat.h>

#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

namespace tool {

class Registry {
 public:
  using Snapshot = std::shared_ptr<const std::vector<wsb_conn>>;

  void add(wsb_conn conn) {
    const std::lock_guard<std::mutex> lock(mutex_);
    members_.insert(conn);
    snapshot_.reset();
  }

  void remove(wsb_conn conn) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (members_.erase(conn) != 0) snapshot_.reset();
  }

  // Made again only after a change, so that sends need neither the lock nor a copy.
  Snapshot snapshot() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (snapshot_ == nullptr) snapshot_ = std::make_shared<std::vector<wsb_conn>>(members_.begin(), members_.end());
    return snapshot_;
  }

 private:
  std::mutex mutex_;
  std::unordered_set<wsb_conn> members_;
  Snapshot snapshot_;
};

}  // namespace tool
