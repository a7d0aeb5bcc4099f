// One table of flags.
#include "options.h"

#include <getopt.h>

#include <cstdio>
#include <cstdlib>

namespace load {

namespace {

constexpr uint32_t kMaxDepth = 4096;

void usage(FILE *out) {
  std::fputs(
      "usage: load WORKLOAD --port N [options]\n"
      "Keeps a WebSocket server busy from one thread and prints one JSON object with the result.\n"
      "workloads\n"
      "  echo          every message comes back; the next is sent then, or at --rate\n"
      "  handshakes    connects, upgrades and goes away with a reset, --connections at a time\n"
      "  visits        the same with one message, its echo and a Close that is answered\n"
      "  fanout        one connection sends, all --connections others and itself get it; then the next\n"
      "  idle          answers pings until standard input ends; prints a line when all are open and one at the end\n"
      "  mixed         a day in small: steady talkers, visitors, bursts and slow readers\n"
      "options\n"
      "  --host ADDRESS      IPv4 address of the server (127.0.0.1)\n"
      "  --port N            its port\n"
      "  --path PATH         request path (/)\n"
      "  --tls               over TLS; the certificate is not checked\n"
      "  --deflate           offers permessage-deflate and sends compressed messages\n"
      "  --connections N     WebSockets (64)\n"
      "  --depth N           echo: messages in flight on each, 1 to 4096 (1)\n"
      "  --size BYTES        payload of one message (64)\n"
      "  --text              text with characters of one to four bytes (binary)\n"
      "  --rate N            echo: messages a second in all, latency from when each was due\n"
      "  --warmup SECONDS    not measured (0.5)\n"
      "  --seconds SECONDS   measured (3)\n"
      "  --server-pid PID    also prints that process's CPU time over the measured window; may be repeated: their "
      "sum\n",
      out);
}

double number(const char *name, const char *text, double least, double most) {
  char *end;
  const double value = std::strtod(text, &end);
  if (*text != 0 && *end == 0 && value >= least && value <= most) return value;
  std::fprintf(stderr, "load: --%s wants a number from %.0f to %.0f\n", name, least, most);
  std::exit(2);
}

}  // namespace

Options parse(int argc, char **argv) {
  static const option kNames[] = {{"host", required_argument, nullptr, 'h'},
                                  {"port", required_argument, nullptr, 'p'},
                                  {"path", required_argument, nullptr, 'a'},
                                  {"tls", no_argument, nullptr, 'T'},
                                  {"deflate", no_argument, nullptr, 'D'},
                                  {"connections", required_argument, nullptr, 'c'},
                                  {"depth", required_argument, nullptr, 'd'},
                                  {"size", required_argument, nullptr, 's'},
                                  {"text", no_argument, nullptr, 't'},
                                  {"rate", required_argument, nullptr, 'r'},
                                  {"warmup", required_argument, nullptr, 'w'},
                                  {"seconds", required_argument, nullptr, 'n'},
                                  {"server-pid", required_argument, nullptr, 'P'},
                                  {"help", no_argument, nullptr, 'H'},
                                  {nullptr, 0, nullptr, 0}};
  Options options;
  int index = 0;
  for (int which; (which = getopt_long(argc, argv, "", kNames, &index)) != -1;) {
    const char *name = kNames[index].name;
    switch (which) {
      case 'h':
        options.host = optarg;
        break;
      case 'a':
        options.path = optarg;
        break;
      case 'T':
        options.tls = true;
        break;
      case 'D':
        options.deflate = true;
        break;
      case 't':
        options.text = true;
        break;
      case 'p':
        options.port = static_cast<uint16_t>(number(name, optarg, 1, 65535));
        break;
      case 'c':
        options.connections = static_cast<uint32_t>(number(name, optarg, 1, 1e6));
        break;
      case 'd':
        options.depth = static_cast<uint32_t>(number(name, optarg, 1, kMaxDepth));
        break;
      case 's':
        options.size = static_cast<size_t>(number(name, optarg, 0, 1 << 26));
        break;
      case 'r':
        options.rate = number(name, optarg, 1, 1e9);
        break;
      case 'w':
        options.warmup_s = number(name, optarg, 0, 3600);
        break;
      case 'n':
        options.seconds = number(name, optarg, 0.1, 3600);
        break;
      case 'P':
        options.server_pids.push_back(static_cast<long>(number(name, optarg, 1, 1 << 30)));
        break;
      case 'H':
        usage(stdout);
        std::exit(0);
      default:
        usage(stderr);
        std::exit(2);
    }
  }
  if (optind + 1 != argc || options.port == 0) {
    usage(stderr);
    std::exit(2);
  }
  options.workload = argv[optind];
  return options;
}

}  // namespace load
