// What one idle connection takes in user space: the fields of our own structures, and what malloc really gave out for it.
#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "net/plain_socket.h"
#include "server/session.h"
#include "wsbeat/wsbeat.h"

namespace {

constexpr int kConnections = 2000;
std::atomic<uint32_t> open_count{0};

void on_open(const wsb_open_event * /*event*/, void * /*user*/) {
  ++open_count;
}

[[noreturn]] void die(const char *what) {
  std::perror(what);
  std::exit(1);
}

int open_one(uint32_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) die("connect");
  static const char kRequest[] =
      "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  char answer[512];
  if (write(fd, kRequest, sizeof kRequest - 1) < 0 || read(fd, answer, sizeof answer) < 12 ||
      std::memcmp(answer + 9, "101", 3) != 0)
    die("handshake");
  return fd;
}

void row(const char *what, double bytes) {
  std::printf("%-58s %7.0f\n", what, bytes);
}

}  // namespace

int main() {
  using namespace wsb;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  wsb_callbacks callbacks;
  wsb_callbacks_init(&callbacks);
  callbacks.on_open = on_open;
  wsb_server *server = nullptr;
  if (wsb_server_create(nullptr, &callbacks, &server) != WSB_OK || wsb_server_start(server) != WSB_OK)
    die(wsb_last_error());
  std::vector<int> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(open_one(wsb_server_port(server)));  // what is shared by all
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < kConnections; ++i) clients.push_back(open_one(wsb_server_port(server)));
  while (open_count < clients.size()) usleep(1000);
  usleep(200000);
  const double given = static_cast<double>(mallinfo2().uordblks - before) / kConnections;

  std::printf("bytes of one idle plain connection\n");
  row("Session (server): ids, timer, texts, accounts", sizeof(server::Session) - sizeof(core::Connection));
  row("Connection (core): state, deadlines",
      sizeof(core::Connection) - sizeof(core::Outbox) - sizeof(core::Heartbeat) - sizeof(core::Connection::Figures));
  row("  its outbox", sizeof(core::Outbox));
  row("  its heartbeat, with round-trip times", sizeof(core::Heartbeat));
  row("  its figures (wsb_conn_info)", sizeof(core::Connection::Figures));
  row("Assembler", sizeof(core::Assembler));
  row("PlainSocket (net)", sizeof(net::PlainSocket));
  row("texts: \"/\", no query, no subprotocol, \"127.0.0.1\"", 14);
  const double counted = sizeof(server::Session) + sizeof(core::Assembler) + sizeof(net::PlainSocket) + 14;
  row("sum", counted);
  row("given out by malloc, with its own heads and what lists hold", given);
  for (const int fd : clients) close(fd);
  wsb_server_destroy(server);
  return given <= 1792 ? 0 : 1;
}
