// The writing thread. The descriptor may be a pipe, a file on a full disk or a terminal; none of them may hurt the server.
#include "line_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <system_error>
#include <utility>

namespace tool {
namespace {

constexpr size_t kQueueLimitBytes = 16 * 1024 * 1024;
// A pipe that polls writable takes this much without blocking (POSIX, PIPE_BUF).
constexpr size_t kWriteBytes = PIPE_BUF;
// After each write, so that many lines cost one wake of the thread and one write. A line that comes alone does not wait.
constexpr std::chrono::milliseconds kPause{5};
constexpr int kPollMs = 100;
constexpr int kFinishPolls = 50;  // 5 s for a reader that does not read

}  // namespace

LineWriter::LineWriter(int fd, std::string (*dropped)(uint64_t count),
                       std::function<void(const std::string &why)> failed)
    : fd_(fd), dropped_line_(dropped), report_(std::move(failed)) {}

LineWriter::~LineWriter() {
  finish();
}

void LineWriter::start() {
  thread_ = std::thread([this] { run(); });
}

void LineWriter::write(const std::string &line) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failed_) return;
  if (queued_.size() + line.size() >= kQueueLimitBytes) {
    ++dropped_;
    return;
  }
  append(line);
  if (!idle_) return;
  idle_ = false;
  changed_.notify_one();
}

// Under the lock.
void LineWriter::append(const std::string &line) {
  if (dropped_ > 0) {
    queued_ += dropped_line_(dropped_);
    queued_ += '\n';
    dropped_ = 0;
  }
  queued_ += line;
  queued_ += '\n';
}

void LineWriter::finish(const std::string &last) {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!last.empty() && !failed_) append(last);
    finishing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void LineWriter::run() {
  std::string lines;
  std::chrono::milliseconds pause{0};
  while (true) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait_for(lock, pause, [this] { return finishing_; });
      idle_ = queued_.empty();
      changed_.wait(lock, [this] { return !queued_.empty() || finishing_; });
      if (queued_.empty()) return;
      pause = kPause;
      lines.clear();
      lines.swap(queued_);
    }
    if (!write_out(lines)) {
      const std::lock_guard<std::mutex> lock(mutex_);
      failed_ = true;
      queued_.clear();
    }
  }
}

bool LineWriter::write_out(const std::string &lines) {
  size_t written = 0;
  while (written < lines.size()) {
    if (!wait_writable()) {
      report_("its reader does not read");
      return false;
    }
    const ssize_t n = ::write(fd_, lines.data() + written, std::min(kWriteBytes, lines.size() - written));
    if (n >= 0) {
      written += static_cast<size_t>(n);
    } else if (errno != EINTR && errno != EAGAIN) {
      report_(std::generic_category().message(errno));
      return false;
    }
  }
  return true;
}

// Waits for the reader as long as the program runs, and for a bounded time once it ends.
bool LineWriter::wait_writable() {
  for (int polls = 0; polls < kFinishPolls;) {
    pollfd waiting = {fd_, POLLOUT, 0};
    if (::poll(&waiting, 1, kPollMs) != 0) return true;  // an error or a hang-up shows itself in write
    const std::lock_guard<std::mutex> lock(mutex_);
    if (finishing_) ++polls;
  }
  return false;
}

}  // namespace tool
