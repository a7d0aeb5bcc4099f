// io_uring: multishot accept and receive into provided buffers, descriptors only in the ring's own table, and all that
// a turn has to say handed over in the one system call that also waits.
#include "uring.h"

#include <liburing.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "servers.h"
#include "stream.h"

namespace floor_of {

namespace {

constexpr unsigned kQueueEntries = 4096;
constexpr unsigned kDescriptors = 16384;
constexpr uint16_t kBuffers = 128;
constexpr size_t kBufferBytes = 32768;
constexpr int kGroup = 0;

// Bytes that are sent from, by any number of connections: a provided buffer, or what had to grow by several reads.
struct Block {
  int buffer = -1;
  std::unique_ptr<char[]> own;
  unsigned users = 0;
};

struct Part {
  Block *block;
  const char *data;
  size_t size;
};

struct Connection {
  int slot = -1;
  size_t place = 0;  // in the list of all
  bool ended = false;
  Stream stream;
  std::unique_ptr<char[]> kept;  // of what must grow by further reads
  size_t kept_size = 0, kept_room = 0;
  std::deque<Part> sending;  // the first is the kernel's
};

enum class Kind : uint64_t { kAccept, kReceive, kSend, kClose };
constexpr uint64_t kKinds = 7;  // the low bits of a pointer

class Server {
 public:
  Server(int listener, bool broadcast)
      : listener_(listener), broadcast_(broadcast), memory_(new char[kBuffers * kBufferBytes]), blocks_(kBuffers) {
    if (open_ring(&ring_) != nullptr) die("io_uring_setup");
    io_uring_register_ring_fd(&ring_);  // saves a little; older kernels have it not
    check(io_uring_register_files_sparse(&ring_, kDescriptors), "io_uring_register_files");
    const size_t bytes = kBuffers * sizeof(io_uring_buf);
    buffers_ = static_cast<io_uring_buf_ring *>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<uintptr_t>(buffers_);
    registration.ring_entries = kBuffers;
    registration.bgid = kGroup;
    check(io_uring_register_buf_ring(&ring_, &registration, 0), "io_uring_register_buf_ring");
    io_uring_buf_ring_init(buffers_);
    for (uint16_t i = 0; i < kBuffers; ++i) {
      blocks_[i].buffer = i;
      give_back(i);
    }
  }

  [[noreturn]] void run() {
    accept();
    for (;;) {
      const int result = io_uring_submit_and_wait(&ring_, 1);
      if (result < 0 && result != -EINTR && result != -EBUSY) check(result, "io_uring_enter");
      io_uring_cqe *done;
      unsigned head, count = 0;
      io_uring_for_each_cqe(&ring_, head, done) {
        ++count;
        on_done(*done);
      }
      io_uring_cq_advance(&ring_, count);
      while (!hungry_.empty() && free_ != 0) {
        receive(*hungry_.back());
        hungry_.pop_back();
      }
    }
  }

 private:
  static void check(int result, const char *what) {
    if (result >= 0) return;
    errno = -result;
    die(what);
  }

  char *memory_of(int buffer) const { return memory_.get() + static_cast<size_t>(buffer) * kBufferBytes; }

  void give_back(int buffer) {
    io_uring_buf_ring_add(buffers_, memory_of(buffer), kBufferBytes, static_cast<uint16_t>(buffer),
                          io_uring_buf_ring_mask(kBuffers), 0);
    io_uring_buf_ring_advance(buffers_, 1);
    ++free_;
  }

  io_uring_sqe *entry() {
    io_uring_sqe *entry = io_uring_get_sqe(&ring_);
    while (entry == nullptr) {
      io_uring_submit(&ring_);
      entry = io_uring_get_sqe(&ring_);
    }
    return entry;
  }

  static void name(io_uring_sqe *entry, Kind kind, Connection *connection) {
    io_uring_sqe_set_data64(entry, reinterpret_cast<uintptr_t>(connection) | static_cast<uint64_t>(kind));
  }

  void accept() {
    io_uring_sqe *const entry = this->entry();
    io_uring_prep_multishot_accept_direct(entry, listener_, nullptr, nullptr, 0);
    name(entry, Kind::kAccept, nullptr);
  }

  void receive(Connection &connection, unsigned hints = 0) {
    io_uring_sqe *const entry = this->entry();
    io_uring_prep_recv_multishot(entry, connection.slot, nullptr, 0, 0);
    entry->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    entry->ioprio = static_cast<uint16_t>(entry->ioprio | hints);
    entry->buf_group = kGroup;
    name(entry, Kind::kReceive, &connection);
  }

  void on_done(const io_uring_cqe &done) {
    auto *const connection = reinterpret_cast<Connection *>(done.user_data & ~kKinds);
    switch (static_cast<Kind>(done.user_data & kKinds)) {
      case Kind::kAccept:
        if (done.res >= 0) opened(done.res);
        if ((done.flags & IORING_CQE_F_MORE) == 0) accept();
        break;
      case Kind::kReceive:
        received(*connection, done);
        break;
      case Kind::kSend:
        sent(*connection, done.res);
        break;
      case Kind::kClose:
        break;
    }
  }

  void opened(int slot) {
    all_.push_back(std::make_unique<Connection>());
    Connection &connection = *all_.back();
    connection.slot = slot;
    connection.place = all_.size() - 1;
    receive(connection, IORING_RECVSEND_POLL_FIRST);  // the request is mostly not there yet
  }

  void received(Connection &connection, const io_uring_cqe &done) {
    const bool goes_on = (done.flags & IORING_CQE_F_MORE) != 0;
    if (done.res > 0) {
      --free_;
      take(connection, static_cast<int>(done.flags >> IORING_CQE_BUFFER_SHIFT), static_cast<size_t>(done.res));
      if (!goes_on) hungry_.push_back(&connection);
    } else if (done.res == -ENOBUFS) {
      hungry_.push_back(&connection);  // until there are buffers
    } else if (!goes_on) {
      connection.ended = true;
      end_if_unused(connection);
    }
  }

  void take(Connection &connection, int buffer, size_t size) {
    if (connection.kept_size == 0) {
      Block &block = blocks_[static_cast<size_t>(buffer)];
      const Taken taken = connection.stream.take(memory_of(buffer), size);
      keep(connection, taken);
      ++block.users;
      answer(connection, block, taken);
      drop(block);
      return;
    }
    if (connection.kept_room < connection.kept_size + size) grow(connection, 2 * (connection.kept_size + size));
    std::memcpy(connection.kept.get() + connection.kept_size, memory_of(buffer), size);
    give_back(buffer);
    auto *const block = new Block;
    block->users = 1;
    block->own = std::move(connection.kept);
    connection.kept_room = 0;
    const Taken taken = connection.stream.take(block->own.get(), connection.kept_size + size);
    if (taken.out_size == 0 && !taken.refused) {  // all of it is kept, where it is
      connection.kept = std::move(block->own);
      connection.kept_room = connection.kept_size + size;
      connection.kept_size = taken.rest_size;
      delete block;
      return;
    }
    keep(connection, taken);
    answer(connection, *block, taken);
    drop(*block);
  }

  static void grow(Connection &connection, size_t room) {
    auto larger = std::make_unique<char[]>(room);
    std::memcpy(larger.get(), connection.kept.get(), connection.kept_size);
    connection.kept = std::move(larger);
    connection.kept_room = room;
  }

  static void keep(Connection &connection, const Taken &taken) {
    connection.kept_size = taken.rest_size;
    if (taken.rest_size == 0) return;
    const size_t room = taken.want > kBufferBytes ? taken.want : kBufferBytes;
    if (connection.kept_room < room) {
      connection.kept.reset(new char[room]);
      connection.kept_room = room;
    }
    std::memcpy(connection.kept.get(), taken.rest, taken.rest_size);
  }

  void answer(Connection &connection, Block &block, const Taken &taken) {
    if (taken.refused) {
      shutdown(connection);
    } else if (taken.out_size != 0 && (!broadcast_ || taken.out[0] == 'H')) {
      send(connection, block, taken);
    } else if (taken.out_size != 0) {
      for (const auto &member : all_) {
        if (member->stream.open() && !member->ended) send(*member, block, taken);
      }
    }
  }

  void send(Connection &connection, Block &block, const Taken &taken) {
    ++block.users;
    connection.sending.push_back({&block, taken.out, taken.out_size});
    if (connection.sending.size() == 1) send_first(connection);
  }

  // The kernel waits for room itself.
  void send_first(Connection &connection) {
    const Part &part = connection.sending.front();
    io_uring_sqe *const entry = this->entry();
    io_uring_prep_send(entry, connection.slot, part.data, part.size, MSG_NOSIGNAL | MSG_WAITALL);
    entry->flags |= IOSQE_FIXED_FILE;
    name(entry, Kind::kSend, &connection);
  }

  void sent(Connection &connection, int result) {
    Part &part = connection.sending.front();
    if (result >= 0 && static_cast<size_t>(result) < part.size) {
      part.data += result;
      part.size -= static_cast<size_t>(result);
      send_first(connection);
      return;
    }
    drop(*part.block);
    connection.sending.pop_front();
    if (!connection.sending.empty()) {
      send_first(connection);
    } else if (connection.ended) {
      end_if_unused(connection);
    }
  }

  void drop(Block &block) {
    if (--block.users != 0) return;
    if (block.buffer >= 0) {
      give_back(block.buffer);
    } else {
      delete &block;
    }
  }

  void shutdown(Connection &connection) {
    io_uring_sqe *const entry = this->entry();
    io_uring_prep_shutdown(entry, connection.slot, 2);
    entry->flags |= IOSQE_FIXED_FILE;
    name(entry, Kind::kClose, nullptr);
  }

  void end_if_unused(Connection &connection) {
    if (!connection.sending.empty()) return;
    io_uring_sqe *const entry = this->entry();
    io_uring_prep_close_direct(entry, static_cast<unsigned>(connection.slot));
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    name(entry, Kind::kClose, nullptr);
    const size_t place = connection.place;
    if (place + 1 != all_.size()) {
      std::swap(all_[place], all_.back());
      all_[place]->place = place;
    }
    all_.pop_back();
  }

  const int listener_;
  const bool broadcast_;
  io_uring ring_{};
  io_uring_buf_ring *buffers_ = nullptr;
  std::unique_ptr<char[]> memory_;
  std::vector<Block> blocks_;
  size_t free_ = 0;  // buffers that the kernel has
  std::vector<std::unique_ptr<Connection>> all_;
  std::vector<Connection *> hungry_;  // to be received from anew
};

}  // namespace

// Kernels before 6.1 do without the flags.
const char *open_ring(io_uring *ring) {
  for (const unsigned more : {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0U}) {
    io_uring_params params{};
    params.flags = more | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = 4 * kQueueEntries;
    const int result = io_uring_queue_init_params(kQueueEntries, ring, &params);
    if (result >= 0) return nullptr;
    errno = -result;
    if (result != -EINVAL) break;
  }
  return std::strerror(errno);
}

const char *uring_missing() {
  io_uring ring;
  const char *problem = open_ring(&ring);
  if (problem == nullptr) io_uring_queue_exit(&ring);
  return problem;
}

void serve_uring(int listener, bool broadcast) {
  std::make_unique<Server>(listener, broadcast)->run();
}

}  // namespace floor_of
