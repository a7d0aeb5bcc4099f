// What the same costs when io_uring does many in one system call.
#include "uring.h"

#include <liburing.h>

#include <cerrno>

#include "calls.h"
#include "servers.h"

namespace floor_of {

namespace {

// Hands over what is prepared and takes all its results, in one system call.
void enter(io_uring &ring, int wanted) {
  const int result = io_uring_submit_and_wait(&ring, kPairs);
  if (result < 0) {
    errno = -result;
    die("io_uring_enter");
  }
  io_uring_cqe *done;
  unsigned head, count = 0;
  io_uring_for_each_cqe(&ring, head, done) {
    ++count;
    if (done->res == wanted) continue;
    errno = done->res < 0 ? -done->res : EIO;
    die("io_uring");
  }
  io_uring_cq_advance(&ring, count);
}

}  // namespace

void time_uring_calls() {
  const Pairs pairs;
  const char bytes[kMessageBytes] = {};
  io_uring ring;
  if (const char *problem = open_ring(&ring)) {
    std::fprintf(stderr, "floor: no io_uring: %s\n", problem);
    return;
  }
  const auto nothing = [&] {
    for (int i = 0; i < kPairs; ++i) io_uring_prep_nop(io_uring_get_sqe(&ring));
    enter(ring, 0);
  };
  const auto send_all = [&] {
    for (const int fd : pairs.near) io_uring_prep_send(io_uring_get_sqe(&ring), fd, bytes, sizeof bytes, MSG_NOSIGNAL);
    enter(ring, kMessageBytes);
  };
  print_each("io_uring: nothing, 64 times in one system call", nothing, [] {});
  print_each("io_uring: send of 64 bytes, 64 times in one system call", send_all, [&] { pairs.drain(); });
  io_uring_queue_exit(&ring);
}

}  // namespace floor_of
