// epoll_wait, accept4, epoll_ctl, recv, send, close: one send for what one read has brought, right after it.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "servers.h"
#include "stream.h"

namespace floor_of {

namespace {

constexpr int kEvents = 512;
constexpr size_t kReadBytes = 65536;

struct Connection {
  int fd = -1;
  size_t place = 0;  // in the list of all
  bool waits_for_room = false;
  Stream stream;
  std::unique_ptr<char[]> kept;  // of what must grow by further reads
  size_t kept_size = 0, kept_room = 0;
  std::string owed;  // what the socket did not take
};

class Server {
 public:
  Server(int listener, bool broadcast)
      : listener_(listener), broadcast_(broadcast), poller_(epoll_create1(EPOLL_CLOEXEC)) {
    if (poller_ < 0) die("epoll_create1");
    watch(EPOLL_CTL_ADD, listener_, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    epoll_event events[kEvents];
    for (;;) {
      const int count = epoll_wait(poller_, events, kEvents, -1);
      if (count < 0 && errno != EINTR) die("epoll_wait");
      for (int i = 0; i < count; ++i) {
        if (events[i].data.ptr == nullptr) {
          accept();
        } else {
          on_event(*static_cast<Connection *>(events[i].data.ptr), events[i].events);
        }
      }
      gone_.clear();
    }
  }

 private:
  void watch(int operation, int fd, uint32_t events, Connection *connection) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = connection;
    if (epoll_ctl(poller_, operation, fd, &event) < 0) die("epoll_ctl");
  }

  // One in a turn: a second call would mostly find none.
  void accept() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    all_.push_back(std::make_unique<Connection>());
    Connection &connection = *all_.back();
    connection.fd = fd;
    connection.place = all_.size() - 1;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, &connection);
  }

  void on_event(Connection &connection, uint32_t events) {
    if (connection.fd < 0) return;
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
      end(connection);  // a reset says so without a read
      return;
    }
    if ((events & EPOLLOUT) != 0) pay(connection);
    if ((events & EPOLLIN) != 0) read(connection);
  }

  void read(Connection &connection) {
    const bool grows = connection.kept_size != 0;
    char *const data = grows ? connection.kept.get() : shared_;
    const size_t have = grows ? connection.kept_size : 0;
    const ssize_t got = recv(connection.fd, data + have, (grows ? connection.kept_room : sizeof shared_) - have, 0);
    if (got <= 0) {
      if (got == 0 || errno != EAGAIN) end(connection);
      return;
    }
    const Taken taken = connection.stream.take(data, have + static_cast<size_t>(got));
    if (taken.refused) {
      end(connection);
      return;
    }
    if (taken.out_size != 0) answer(connection, taken);
    keep(connection, taken);
  }

  // The answer to the upgrade goes to its sender alone.
  void answer(Connection &connection, const Taken &taken) {
    if (!broadcast_ || taken.out[0] == 'H') {
      send(connection, taken.out, taken.out_size);
      return;
    }
    for (const auto &member : all_) {
      if (member->stream.open()) send(*member, taken.out, taken.out_size);
    }
  }

  static void keep(Connection &connection, const Taken &taken) {
    connection.kept_size = taken.rest_size;
    if (taken.rest_size == 0) return;
    const size_t room = taken.want > kReadBytes ? taken.want : kReadBytes;
    if (connection.kept_room < room) {
      auto larger = std::make_unique<char[]>(room);
      std::memcpy(larger.get(), taken.rest, taken.rest_size);
      connection.kept = std::move(larger);
      connection.kept_room = room;
    } else {
      std::memmove(connection.kept.get(), taken.rest, taken.rest_size);
    }
  }

  void send(Connection &connection, const char *data, size_t size) {
    ssize_t sent = 0;
    if (connection.owed.empty()) sent = ::send(connection.fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return;  // its end comes as an event
    const size_t taken = sent > 0 ? static_cast<size_t>(sent) : 0;
    if (taken == size) return;
    connection.owed.append(data + taken, size - taken);
    if (connection.waits_for_room) return;
    connection.waits_for_room = true;  // and is not read from until then
    watch(EPOLL_CTL_MOD, connection.fd, EPOLLOUT, &connection);
  }

  void pay(Connection &connection) {
    const ssize_t sent = ::send(connection.fd, connection.owed.data(), connection.owed.size(), MSG_NOSIGNAL);
    if (sent > 0) connection.owed.erase(0, static_cast<size_t>(sent));
    if (!connection.owed.empty()) return;
    connection.waits_for_room = false;
    watch(EPOLL_CTL_MOD, connection.fd, EPOLLIN, &connection);
  }

  // It stays in memory until the turn ends: another event may name it.
  void end(Connection &connection) {
    close(connection.fd);
    connection.fd = -1;
    const size_t place = connection.place;
    gone_.push_back(std::move(all_[place]));
    if (place + 1 != all_.size()) {
      all_[place] = std::move(all_.back());
      all_[place]->place = place;
    }
    all_.pop_back();
  }

  const int listener_;
  const bool broadcast_;
  const int poller_;
  std::vector<std::unique_ptr<Connection>> all_, gone_;
  char shared_[kReadBytes];
};

}  // namespace

void serve_epoll(int listener, bool broadcast) {
  std::make_unique<Server>(listener, broadcast)->run();
}

}  // namespace floor_of
