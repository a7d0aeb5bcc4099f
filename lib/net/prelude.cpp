// Never takes more than the header: what waits is looked at first, and then only what belongs to the header is read.
#include "net/prelude.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "core/proxy_header.h"
#include "net/plain_socket.h"
#include "net/tls_socket.h"

namespace wsb::net {

void Prelude::begin(Loop::Impl& loop, int fd, core::PeerAddress peer) {
  auto* prelude = new Prelude(loop, fd);
  if (!loop.watch(EPOLL_CTL_ADD, fd, EPOLLIN, prelude)) {
    delete prelude;
    throw std::bad_alloc();  // or its like: the kernel cannot watch one more
  }
  bool accepted = false;
  try {
    accepted = loop.events.on_accepted(*prelude, std::move(peer), loop.config.tls.enabled());
  } catch (const std::bad_alloc&) {  // not accepted, then
  }
  if (accepted) return;
  ::close(fd);
  delete prelude;
}

void Prelude::ready(uint32_t /*events*/) {
  try {
    readable();
    return;
  } catch (const std::bad_alloc&) {  // ends it, as an error does
  }
  finish();
}

void Prelude::end(core::Ending ending) {
  const linger at_once{1, 0};
  if (ending == core::Ending::kReset) (void)::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  finish();
}

void Prelude::finish() noexcept {
  ::close(fd_);
  loop_.events.on_ended(*this);
  delete this;
}

void Prelude::readable() {
  char bytes[core::kMostProxyHeaderBytes];
  const ssize_t n = ::recv(fd_, bytes, sizeof bytes - seen_.size(), MSG_PEEK | MSG_DONTWAIT);
  if (n > 0) return take({bytes, static_cast<size_t>(n)});
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n == 0 && !seen_.empty()) return fail("PROXY header cut off");
  finish();  // also of a proxy that only looked whether someone listens
}

void Prelude::take(std::string_view waiting) {
  const size_t before = seen_.size();
  seen_ += waiting;
  core::ProxyHeader header;
  const char* why = "";
  switch (core::parse_proxy_header(seen_, header, why)) {
    case core::ProxyHeaderResult::kNeedMore:
      consume(waiting.size());
      return;
    case core::ProxyHeaderResult::kBad:
      fail(why);
      return;
    case core::ProxyHeaderResult::kOk:
      break;
  }
  core::PeerAddress client;
  if (header.source) client = {core::format_ip(*header.source), header.source_port};
  consume(header.bytes - before);
  if (loop_.config.tls.enabled()) {
    hand_on(std::make_unique<TlsSocket>(loop_, fd_), std::move(client));
  } else {
    hand_on(std::make_unique<PlainSocket>(loop_, fd_), std::move(client));
  }
}

template <typename Next>
void Prelude::hand_on(std::unique_ptr<Next> next, core::PeerAddress&& client) noexcept {
  (void)loop_.watch(EPOLL_CTL_DEL, fd_, 0, nullptr);  // a descriptor has one watcher at a time
  loop_.events.on_proxy_header(*this, *next, std::move(client));
  loop_.serve(std::move(next));
  delete this;
}

void Prelude::consume(size_t n) noexcept {
  char bytes[core::kMostProxyHeaderBytes];
  (void)::recv(fd_, bytes, n, MSG_DONTWAIT);
}

void Prelude::fail(const char* why) {
  (void)loop_.watch(EPOLL_CTL_DEL, fd_, 0, nullptr);
  loop_.events.on_bad_proxy_header(*this, why);
}

}  // namespace wsb::net
