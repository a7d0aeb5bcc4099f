// Answers that are not given where a request is carried out, but later and perhaps on another thread: none is lost to a full send queue.
#pragma once

#include <wsbeat/wsbeat.h>

#include <deque>
#include <mutex>
#include <string>

namespace tool {

class LateAnswers {
 public:
  LateAnswers(wsb_server *server, wsb_conn conn) : server_(server), conn_(conn) {}

  // From any thread. Keeps it if the queue is full; on_drain then follows.
  void send(std::string text);

  // In on_drain. True if none is left.
  bool drain();

  // True while some are kept: then no more requests should be read.
  bool waiting() const;

 private:
  bool drain_locked();

  wsb_server *const server_;
  const wsb_conn conn_;
  mutable std::mutex mutex_;
  std::deque<std::string> waiting_;
};

}  // namespace tool
