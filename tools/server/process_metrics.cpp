// From getrusage, getrlimit and /proc.
#include "process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tool {
namespace {

void append(std::string &out, const char *name, const char *type, const char *help, const std::string &value) {
  out +=
      std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n" + name + " " + value + "\n";
}

std::string decimal(double seconds) {
  char text[40];
  (void)std::snprintf(text, sizeof text, "%.2f", seconds);
  return text;
}

double seconds_of(const timeval &time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// -1 where /proc is not there.
int64_t count_descriptors() {
  DIR *const directory = opendir("/proc/self/fd");
  if (directory == nullptr) return -1;
  int64_t count = 0;
  while (const dirent *const entry = readdir(directory)) count += entry->d_name[0] != '.' ? 1 : 0;
  closedir(directory);
  return count - 1;  // the directory itself
}

// The first words of a file in /proc; "" if it cannot be read.
std::string read_line(const char *path) {
  std::FILE *const file = std::fopen(path, "re");
  if (file == nullptr) return {};
  char line[1024];
  const bool read = std::fgets(line, sizeof line, file) != nullptr;
  std::fclose(file);
  return read ? line : "";
}

int64_t resident_bytes() {
  long long pages = 0;
  const std::string line = read_line("/proc/self/statm");
  return std::sscanf(line.c_str(), "%*s %lld", &pages) == 1 ? pages * sysconf(_SC_PAGESIZE) : -1;
}

// Seconds since 1970, 0 if unknown: the system's start, and the process's in ticks after it (proc(5): field 22 of stat).
double start_time() {
  const std::string line = read_line("/proc/self/stat");
  const size_t name_end = line.rfind(')');
  unsigned long long ticks = 0;
  if (name_end == std::string::npos ||
      std::sscanf(line.c_str() + name_end,
                  ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &ticks) != 1) {
    return 0;
  }
  std::FILE *const file = std::fopen("/proc/stat", "re");
  if (file == nullptr) return 0;
  char text[4096];
  unsigned long long boot = 0;
  while (boot == 0 && std::fgets(text, sizeof text, file) != nullptr) {
    if (std::strncmp(text, "btime ", 6) == 0) boot = std::strtoull(text + 6, nullptr, 10);
  }
  std::fclose(file);
  return boot == 0 ? 0
                   : static_cast<double>(boot) + static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

void append_process_metrics(std::string &out) {
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    append(out, "process_cpu_seconds_total", "counter", "User and system time.",
           decimal(seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime)));
  }
  const int64_t open = count_descriptors();
  if (open >= 0) append(out, "process_open_fds", "gauge", "Open descriptors.", std::to_string(open));
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    append(out, "process_max_fds", "gauge", "Most descriptors that may be open.", std::to_string(limit.rlim_cur));
  }
  const int64_t resident = resident_bytes();
  if (resident >= 0)
    append(out, "process_resident_memory_bytes", "gauge", "Resident memory.", std::to_string(resident));
  static const double started = start_time();
  if (started > 0)
    append(out, "process_start_time_seconds", "gauge", "When the process began, in seconds since 1970.",
           decimal(started));
}

}  // namespace tool
