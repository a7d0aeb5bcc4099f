// A worker's end: closes spread over time, what is left aborted at the deadline, then the loop stopped.
#include <algorithm>
#include <utility>

#include "server/worker.h"

namespace wsb::server {

namespace {
// When every connection has been told of, sockets that only wait for the peer's FIN or answer HTTP get this long.
constexpr core::TimeUs kLingerUs = 250'000;
}  // namespace

void Worker::stop(const StopOrder& order) {
  const std::lock_guard<std::mutex> lock(gate_);
  if (!open_) return;
  if (!new_stop_) {
    new_stop_ = order;
  } else {
    new_stop_->deadline = std::min(new_stop_->deadline, order.deadline);
    new_stop_->at_once = new_stop_->at_once || order.at_once;
  }
  wake_once();
}

void Worker::begin_stop(StopOrder order) {
  if (stopping_) {
    stopping_->deadline = std::min(stopping_->deadline, order.deadline);
    stopping_->at_once = stopping_->at_once || order.at_once;
  } else {
    // Peers whose connect has succeeded are answered, and those with an answer under way are heard.
    stopping_ = std::move(order);
    stop_began_ = loop_->now();
    try {
      list_connections(to_close_);
    } catch (const std::bad_alloc&) {
      stopping_->at_once = true;
    }
    loop_->stop_listening();
  }
  on_stop_time(loop_->now());
}

void Worker::on_stop_time(core::TimeUs now) {
  if (stopping_->at_once || now >= stopping_->deadline || now >= linger_until_) {
    abort_all();
  } else {
    close_due(now);
    schedule_stop();
  }
}

// The i-th of n connections is closed i/n of the spread after the beginning.
void Worker::close_due(core::TimeUs now) {
  const size_t n = to_close_.size();
  while (closed_so_far_ < n && now >= stop_began_ + stopping_->spread_us * closed_so_far_ / n) {
    Session* session = find(to_close_[closed_so_far_++]);
    if (session == nullptr) continue;
    mark_dirty(*session);
    guarded(*session,
            [&] { (void)session->conn.close(stopping_->code, stopping_->reason, WSB_CAUSE_SERVER_STOP, now); });
  }
}

void Worker::abort_all() {
  for (Session* session : sessions_) {
    mark_dirty(*session);
    guarded(*session, [&] { session->conn.abort(WSB_CAUSE_SERVER_STOP, *session); });
  }
}

void Worker::schedule_stop() noexcept {
  core::TimeUs due = std::min(stopping_->deadline, linger_until_);
  if (closed_so_far_ < to_close_.size()) {
    due = std::min(due, stop_began_ + stopping_->spread_us * closed_so_far_ / to_close_.size());
  }
  wheel_.schedule(stop_timer_, due);
  alarm_changed_ = true;
}

// At the end of each turn while stopping.
void Worker::check_stopped() {
  if (sessions_.empty()) {
    loop_->stop();
  } else if (registry_.size() == 0 && linger_until_ == core::kNever) {
    linger_until_ = loop_->now() + kLingerUs;
    schedule_stop();
  }
}

}  // namespace wsb::server
