// The writing thread. The descriptor may be a pipe, a file on a full disk or a terminal; none of them may hurt the server.
#include "line_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstring>

namespace tool {
namespace {

constexpr size_t kQueueLimitBytes = 16 * 1024 * 1024;
// A pipe that polls writable takes this much without blocking (POSIX, PIPE_BUF).
constexpr size_t kWriteBytes = PIPE_BUF;
constexpr int kPollMs = 100;
constexpr int kFinishPolls = 50;  // 5 s for a reader that does not read

}  // namespace

LineWriter::LineWriter(int fd, const char *name, std::string (*dropped)(uint64_t count))
    : fd_(fd), name_(name), dropped_line_(dropped) {}

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
  const bool idle = queued_.empty();
  if (dropped_ > 0) {
    queued_ += dropped_line_(dropped_);
    queued_ += '\n';
    dropped_ = 0;
  }
  queued_ += line;
  queued_ += '\n';
  if (idle) changed_.notify_one();
}

void LineWriter::finish() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    finishing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void LineWriter::run() {
  std::string lines;
  while (true) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return !queued_.empty() || finishing_; });
      if (queued_.empty()) return;
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
      report("its reader does not read");
      return false;
    }
    const ssize_t n = ::write(fd_, lines.data() + written, std::min(kWriteBytes, lines.size() - written));
    if (n >= 0) {
      written += static_cast<size_t>(n);
    } else if (errno != EINTR && errno != EAGAIN) {
      report(std::strerror(errno));
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

void LineWriter::report(const char *what) const {
  if (fd_ == STDERR_FILENO) return;
  std::fprintf(stderr, "wsbeat-server: cannot write %s: %s; going on without\n", name_, what);
}

}  // namespace tool
