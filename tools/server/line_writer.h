// Lines to a descriptor from many threads, without ever making them wait for its reader: a bounded queue and one writing thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace tool {

class LineWriter {
 public:
  // `dropped` makes the line that tells how many were dropped because the queue was full. `failed` hears, once and from the writing
  // thread, why nothing can be written any more.
  LineWriter(int fd, std::string (*dropped)(uint64_t count), std::function<void(const std::string &why)> failed);
  ~LineWriter();
  LineWriter(const LineWriter &) = delete;
  LineWriter &operator=(const LineWriter &) = delete;

  // Starts the thread. May throw std::system_error.
  void start();
  // Queues a line (given without its newline) from any thread; drops and counts it if the reader is too far behind.
  void write(const std::string &line);
  // Writes what is queued and `last` (if not empty, and even if the queue is full), for a bounded time if the reader does not read,
  // and ends the thread. Nothing may be written after it.
  void finish(const std::string &last = "");

 private:
  void run();
  bool write_out(const std::string &lines);
  bool wait_writable();
  void append(const std::string &line);

  const int fd_;
  std::string (*const dropped_line_)(uint64_t count);
  const std::function<void(const std::string &why)> report_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string queued_;
  uint64_t dropped_ = 0;
  bool failed_ = false;  // after a write error there is no reader to write for
  bool finishing_ = false;
  bool idle_ = false;  // the thread waits for a line, not for the end of its pause
  std::thread thread_;
};

}  // namespace tool
