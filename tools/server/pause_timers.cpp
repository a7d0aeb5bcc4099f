// The timer thread resumes under the lock, so it can never undo a pause that its worker begins meanwhile.
#include "pause_timers.h"

namespace tool {

using Clock = std::chrono::steady_clock;

void PauseTimers::start(wsb_server *server) {
  thread_ = std::thread([this, server] { run(server); });
}

void PauseTimers::finish() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    finishing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void PauseTimers::pause_for(wsb_server *server, Peer &peer, std::chrono::milliseconds duration) {
  const std::lock_guard<std::mutex> lock(mutex_);
  peer.timed = true;
  due_.erase({peer.resume_at, &peer});
  peer.resume_at = Clock::now() + duration;
  due_.insert({peer.resume_at, &peer});
  peer.paused_by_timer = true;
  wsb_conn_pause(server, peer.conn);
  changed_.notify_one();
}

void PauseTimers::pause_for_backpressure(wsb_server *server, Peer &peer) {
  if (!peer.timed) {
    peer.paused_by_backpressure = true;
    wsb_conn_pause(server, peer.conn);
    return;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  peer.paused_by_backpressure = true;
  wsb_conn_pause(server, peer.conn);
}

void PauseTimers::end_backpressure(wsb_server *server, Peer &peer) {
  bool read_again = true;
  if (peer.timed) {
    const std::lock_guard<std::mutex> lock(mutex_);
    peer.paused_by_backpressure = false;
    read_again = !peer.paused_by_timer;
  } else {
    peer.paused_by_backpressure = false;
  }
  // Not under the lock: only this thread pauses this connection, and resuming may deliver its next message at once.
  if (read_again) wsb_conn_resume(server, peer.conn);
}

void PauseTimers::forget(Peer &peer) {
  if (!peer.timed) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  due_.erase({peer.resume_at, &peer});
}

void PauseTimers::run(wsb_server *server) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!finishing_) {
    if (due_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto [time, peer] = *due_.begin();
    if (time > Clock::now()) {
      changed_.wait_until(lock, time);
      continue;
    }
    due_.erase(due_.begin());
    peer->paused_by_timer = false;
    if (!peer->paused_by_backpressure) wsb_conn_resume(server, peer->conn);
  }
}

}  // namespace tool
