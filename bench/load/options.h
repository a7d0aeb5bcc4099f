// The command line of the load client.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace load {

struct Options {
  std::string workload;
  std::string host = "127.0.0.1";
  std::string path = "/";
  uint16_t port = 0;
  bool tls = false;
  bool deflate = false;
  bool text = false;
  uint32_t connections = 64;
  uint32_t depth = 1;
  size_t size = 64;
  double rate = 0;  // messages a second over all connections; 0: as fast as the echoes come
  double warmup_s = 0.5;
  double seconds = 3.0;
  std::vector<long> server_pids;
};

// Ends the process on --help and on what it does not understand.
Options parse(int argc, char **argv);

}  // namespace load
