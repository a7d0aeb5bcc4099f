// What single system calls cost.
#include "calls.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "servers.h"

namespace floor_of {

namespace {

void receive_one(int fd) {
  char bytes[kMessageBytes];
  if (recv(fd, bytes, sizeof bytes, MSG_WAITALL) != kMessageBytes) die("recv");
}

void send_one(int fd) {
  const char bytes[kMessageBytes] = {};
  if (::send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) != kMessageBytes) die("send");
}

}  // namespace

Pairs::Pairs() {
  const int listener = listen_on(0, true);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_of(listener));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int one = 1;
  for (int i = 0; i < kPairs; ++i) {
    near[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (near[i] < 0 || connect(near[i], reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) die("connect");
    setsockopt(near[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    far[i] = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (far[i] < 0) die("accept4");
  }
  close(listener);
}

Pairs::~Pairs() {
  for (int i = 0; i < kPairs; ++i) {
    close(near[i]);
    close(far[i]);
  }
}

void Pairs::drain() const {
  for (const int fd : far) receive_one(fd);
}

void time_calls() {
  const Pairs pairs;
  const auto send_all = [&] {
    for (const int fd : pairs.near) send_one(fd);
  };
  std::printf("microseconds each, the median of batches of %d\n", kPairs);
  const auto empty = [] {
    for (int i = 0; i < kPairs; ++i) syscall(SYS_getppid);
  };
  print_each("an empty system call (getppid)", empty, [] {});
  print_each("send of 64 bytes over loopback", send_all, [&] { pairs.drain(); });
  // As in an echo: what has come is not acknowledged by a packet of its own.
  const auto answer_all = [&] {
    for (const int fd : pairs.far) {
      receive_one(fd);
      send_one(fd);
    }
  };
  send_all();
  print_each("recv of 64 bytes, and send of as many back", answer_all, [&] {
    for (const int fd : pairs.near) receive_one(fd);
    send_all();
  });
}

}  // namespace floor_of
