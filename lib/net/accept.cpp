// Accepting sockets, each of which then looks after itself or is handed to lws; backing off when descriptors run out.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "core/proxy.h"
#include "net/errors.h"
#include "net/loop_impl.h"
#include "net/plain_socket.h"
#include "net/prelude.h"
#include "net/tls_socket.h"
#include "wsbeat/wsbeat.h"

namespace wsb::net {

namespace {

constexpr int kAcceptsPerTurn = 128;
constexpr int kMostBacklog = 65536;               // wsb_config's limit: no more can wait when accepting ends
constexpr core::TimeUs kAcceptPauseUs = 100'000;  // after EMFILE and its like

core::PeerAddress peer_address(const sockaddr_storage& address) {
  core::PeerAddress peer;
  core::IpBytes ip{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ip[10] = ip[11] = 0xff;
    std::memcpy(&ip[12], &v4.sin_addr, 4);
    peer.port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    std::memcpy(ip.data(), &v6.sin6_addr, ip.size());
    peer.port = ntohs(v6.sin6_port);
  } else {
    peer.text = "unix";
    return peer;
  }
  peer.text = core::format_ip(ip);
  return peer;
}

}  // namespace

void Loop::Impl::Acceptor::ready(uint32_t /*events*/) {
  loop.accept_waiting(kAcceptsPerTurn);
}

void Loop::Impl::watch_listener() noexcept {
  if (acceptor.fd < 0 || watch(EPOLL_CTL_ADD, acceptor.fd, EPOLLIN, &acceptor)) return;
  accept_again_at = clock() + kAcceptPauseUs;
}

void Loop::Impl::pause_accepting(int error) noexcept {
  (void)watch(EPOLL_CTL_DEL, acceptor.fd, 0, nullptr);
  accept_again_at = clock() + kAcceptPauseUs;
  if (accept_failing) return;
  accept_failing = true;
  try {
    events.on_log(WSB_LOG_WARNING, with_errno("accept", error) + "; new connections wait");
  } catch (const std::bad_alloc&) {  // memory is short as well: nothing is said
  }
}

void Loop::Impl::accept_waiting(int most) noexcept {
  for (int i = 0; i < most && acceptor.fd >= 0; ++i) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int fd = ::accept4(acceptor.fd, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      accept_failing = false;
      adopt(fd, peer);
      continue;
    }
    switch (errno) {
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
      case EINVAL:  // the owner of an inherited socket has shut it down
        pause_accepting(errno);
        return;
      case EAGAIN:
        return;
      default:  // the peer has gone again (ECONNABORTED and what accept(2) passes on from the network)
        break;
    }
  }
}

void Loop::Impl::adopt(int fd, const sockaddr_storage& address) noexcept {
  try {
    core::PeerAddress peer = peer_address(address);
    if (events.wants_proxy_header(peer)) {
      Prelude::begin(*this, fd, std::move(peer));
    } else if (config.tls.enabled()) {
      auto socket = std::make_unique<TlsSocket>(*this, fd);
      if (events.on_accepted(*socket, std::move(peer), true)) {
        serve(std::move(socket));
      } else {
        ::close(fd);
      }
    } else {
      auto socket = std::make_unique<PlainSocket>(*this, fd);
      if (events.on_accepted(*socket, std::move(peer), false)) {
        serve(std::move(socket));
      } else {
        ::close(fd);
      }
    }
  } catch (const std::bad_alloc&) {
    ::close(fd);
  }
}

void Loop::Impl::serve(std::unique_ptr<PlainSocket> socket) noexcept {
  if (socket->watch()) {
    (void)socket.release();  // until its end
    return;
  }
  socket->closed();
  ::close(socket->descriptor());
}

void Loop::Impl::serve(std::unique_ptr<TlsSocket> socket) noexcept {
  lws_adopt_desc_t description{};
  description.vh = vhost;
  description.type = static_cast<lws_adoption_type>(LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL);
  description.fd.sockfd = socket->descriptor();
  description.vh_prot_name = "wsbeat";
  description.opaque = socket.get();
  adopting = socket.get();
  lws* wsi = lws_adopt_descriptor_vhost_via_info(&description);  // closes the descriptor when it fails
  adopting = nullptr;
  if (wsi != nullptr) {
    socket.release()->adopted(wsi);  // until RAW_CLOSE
    return;
  }
  socket->closed();
}

void Loop::listen(int fd) {
  if (!impl_->watch(EPOLL_CTL_ADD, fd, EPOLLIN, &impl_->acceptor)) {
    const int error = errno;
    ::close(fd);
    throw NetError(Fault::kSystem, with_errno("watching the listening socket", error));
  }
  impl_->acceptor.fd = fd;
}

void Loop::stop_listening(bool takes_waiting) noexcept {
  if (impl_->acceptor.fd < 0) return;
  if (takes_waiting) impl_->accept_waiting(kMostBacklog);
  impl_->close_listener();
}

void Loop::Impl::close_listener() noexcept {
  if (acceptor.fd < 0) return;
  accept_again_at = core::kNever;
  (void)watch(EPOLL_CTL_DEL, acceptor.fd, 0, nullptr);  // closing is not enough: other processes may hold it
  ::close(std::exchange(acceptor.fd, -1));
}

}  // namespace wsb::net
