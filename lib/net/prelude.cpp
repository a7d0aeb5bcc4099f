// Never takes more than the header: what waits is looked at first, and then only what belongs to the header is read.
#include "net/prelude.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "core/proxy_header.h"
#include "net/socket.h"

namespace wsb::net {

void Prelude::begin(std::unique_ptr<Socket> socket) noexcept {
  const int fd = socket->descriptor();
  auto* prelude = new (std::nothrow) Prelude(socket->loop());
  if (prelude == nullptr || uv_poll_init(&prelude->loop_.loop, &prelude->poll_, fd) != 0) {
    delete prelude;
    ::close(fd);
    socket->closed();
    return;
  }
  socket->set_prelude(prelude);
  prelude->socket_ = std::move(socket);
  prelude->poll_.data = prelude;
  uv_poll_start(&prelude->poll_, UV_READABLE, [](uv_poll_t* handle, int status, int /*events*/) {
    auto* self = static_cast<Prelude*>(handle->data);
    try {
      if (status == 0) return self->readable();
    } catch (const std::bad_alloc&) {  // ends it, as an error does
    }
    self->end();
  });
}

void Prelude::end() noexcept {
  const std::unique_ptr<Socket> socket = leave();
  ::close(socket->descriptor());
  socket->closed();
}

std::unique_ptr<Socket> Prelude::leave() noexcept {
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_),
           [](uv_handle_t* handle) { delete static_cast<Prelude*>(handle->data); });
  socket_->set_prelude(nullptr);
  return std::move(socket_);
}

void Prelude::readable() {
  char bytes[core::kMostProxyHeaderBytes];
  const ssize_t n = ::recv(socket_->descriptor(), bytes, sizeof bytes - seen_.size(), MSG_PEEK | MSG_DONTWAIT);
  if (n > 0) return take({bytes, static_cast<size_t>(n)});
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n == 0 && !seen_.empty()) return fail("PROXY header cut off");
  end();  // also of a proxy that only looked whether someone listens
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
  Loop::Impl& loop = loop_;
  std::unique_ptr<Socket> socket = leave();
  loop.events.on_proxy_header(*socket, std::move(client));
  loop.give_to_lws(std::move(socket));
}

void Prelude::consume(size_t n) noexcept {
  char bytes[core::kMostProxyHeaderBytes];
  (void)::recv(socket_->descriptor(), bytes, n, MSG_DONTWAIT);
}

void Prelude::fail(const char* why) {
  uv_poll_stop(&poll_);
  loop_.events.on_bad_proxy_header(*socket_, why);
}

}  // namespace wsb::net
