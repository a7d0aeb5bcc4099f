// The load client: N WebSockets on one thread and one epoll.
#include <cstdio>

#include "workloads.h"

int main(int argc, char **argv) {
  const load::Options options = load::parse(argc, argv);
  static const struct {
    const char *name;
    void (*run)(const load::Options &);
  } kWorkloads[] = {{"echo", load::run_echo},     {"handshakes", load::run_handshakes},
                    {"visits", load::run_visits}, {"fanout", load::run_fanout},
                    {"idle", load::run_idle},     {"mixed", load::run_mixed}};
  for (const auto &workload : kWorkloads) {
    if (options.workload != workload.name) continue;
    workload.run(options);
    return 0;
  }
  std::fprintf(stderr, "load: no workload \"%s\"\n", options.workload.c_str());
  return 2;
}
