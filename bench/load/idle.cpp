// Connections that only answer pings.
#include <poll.h>
#include <unistd.h>

#include <cstdio>

#include "link.h"
#include "stats.h"
#include "workloads.h"

namespace load {

namespace {

class Idle final : public Workload {
 public:
  void on_messages(Link & /*link*/, uint32_t /*count*/) override {}
  void on_end(Link & /*link*/) override { ++lost; }
  uint64_t lost = 0;
};

bool input_ended() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char byte;
  return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

}  // namespace

void run_idle(const Options &options) {
  Idle workload;
  Engine engine(options);
  const auto links = engine.open_all(workload, options.connections);
  Window window(options.server_pids);
  window.begin();
  std::printf("{\"workload\":\"idle\",\"open\":%zu}\n", links.size());
  std::fflush(stdout);
  while (!input_ended()) engine.turn(50);
  uint64_t pings = 0;
  for (const auto &link : links) pings += link->pings();
  window.print("idle", ",\"pings\":" + std::to_string(pings) + ",\"lost\":" + std::to_string(workload.lost));
}

}  // namespace load
