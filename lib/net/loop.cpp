// The loop's life: the epoll set, turns and alarms; for TLS libuv's handles, the lws context and its two-step end. Knows lws callback reasons, has no policy.
#include "net/loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include "net/errors.h"
#include "net/loop_impl.h"
#include "net/plain_socket.h"
#include "net/tls_socket.h"

namespace wsb::net {

namespace {

constexpr unsigned kReadBufferBytes = 256 * 1024;  // one per worker
constexpr unsigned kNoLwsTimeoutSecs = 365 * 24 * 3600;
constexpr size_t kEventsAtOnce = 256;
constexpr size_t kDescriptorsOfUv = 6;   // epoll, two of a pipe, eventfd; the first loop of the process two more
constexpr size_t kDescriptorsOfLws = 4;  // random numbers, eventfd; two for a moment, to load its plugin

// Making and ending contexts touches process-wide state of lws.
std::mutex& lws_mutex() {
  static std::mutex mutex;
  return mutex;
}

// When descriptors run out in the middle of it, libuv leaks or aborts, and lws makes a context that never ends on a loop of ours. So there must be
// enough of them beforehand; the mutex keeps our other workers from taking them meanwhile.
template <size_t Count>
void need_descriptors() {
  std::array<int, Count> taken;
  for (int& fd : taken) fd = ::eventfd(0, EFD_CLOEXEC);
  const int error = taken.back() < 0 ? errno : 0;
  for (const int fd : taken) {
    if (fd >= 0) ::close(fd);
  }
  if (error != 0) throw NetError(Fault::kSystem, with_errno("event loop", error));
}

Loop::Impl* loop_of(lws* wsi) {
  return static_cast<Loop::Impl*>(lws_context_user(lws_get_context(wsi)));
}

int on_lws(lws* wsi, lws_callback_reasons reason, void* user, void* in, size_t n) {
  switch (reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:  // `user` is the new SSL_CTX
      return loop_of(wsi)->set_up_tls(static_cast<ssl_ctx_st*>(user)) ? 0 : 1;
    case LWS_CALLBACK_RAW_RX:
      return static_cast<TlsSocket*>(lws_get_opaque_user_data(wsi))->received(static_cast<uint8_t*>(in), n) ? 0 : -1;
    case LWS_CALLBACK_RAW_WRITEABLE:
      static_cast<TlsSocket*>(lws_get_opaque_user_data(wsi))->writable();
      return 0;
    case LWS_CALLBACK_RAW_CLOSE: {
      auto* socket = static_cast<TlsSocket*>(lws_get_opaque_user_data(wsi));
      if (socket == nullptr) return 0;
      lws_set_opaque_user_data(wsi, nullptr);
      socket->closed();
      if (loop_of(wsi)->adopting != socket) delete socket;
      return 0;
    }
    default:
      return 0;
  }
}

}  // namespace

Loop::Impl::Impl(core::TransportEvents& events_in, const LoopConfig& config_in)
    : events(events_in), config(config_in), set_fd(::epoll_create1(EPOLL_CLOEXEC)), credentials(config_in.credentials) {
  waker.fd = set_fd < 0 ? -1 : ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (waker.fd < 0 || !watch(EPOLL_CTL_ADD, waker.fd, EPOLLIN, &waker)) {
    const int error = errno;
    close_set();
    throw NetError(Fault::kSystem, with_errno("event loop", error));
  }
}

Loop::Impl::~Impl() {
  close_listener();
  close_lws();
  close_set();
}

void Loop::Impl::close_set() noexcept {
  if (waker.fd >= 0) ::close(waker.fd);
  if (set_fd >= 0) ::close(set_fd);
}

bool Loop::Impl::watch(int operation, int fd, uint32_t wishes, Watched* watched) const noexcept {
  epoll_event event{};
  event.events = wishes;
  event.data.ptr = watched;
  return ::epoll_ctl(set_fd, operation, fd, &event) == 0;
}

// What is watched ends in its own event or between turns, so none of this list can be gone.
void Loop::Impl::serve(int timeout_ms) {
  std::array<epoll_event, kEventsAtOnce> news;
  const int count = ::epoll_wait(set_fd, news.data(), static_cast<int>(news.size()), timeout_ms);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = news[static_cast<size_t>(i)];
    static_cast<Watched*>(event.data.ptr)->ready(event.events);
  }
}

void Loop::Impl::Waker::ready(uint32_t /*events*/) {
  uint64_t wakes = 0;
  (void)!::read(fd, &wakes, sizeof wakes);
  loop.events.on_wake();
}

int Loop::Impl::wait_ms() const noexcept {
  const core::TimeUs at = next_deadline();
  if (at == core::kNever) return -1;
  const core::TimeUs now_us = clock();
  return at <= now_us ? 0 : static_cast<int>(std::min<core::TimeUs>((at - now_us + 999) / 1000, INT_MAX));
}

void Loop::Impl::on_due() {
  if (next_deadline() == core::kNever) return;
  const core::TimeUs at = clock();
  if (at >= accept_again_at) {
    accept_again_at = core::kNever;
    watch_listener();
  }
  if (at < alarm_at) return;
  const core::TimeUs late = at - alarm_at;
  alarm_at = core::kNever;
  now = at;
  events.on_alarm(at, late);
}

void Loop::Impl::run() {
  if (has_uv) {
    uv_run(&loop, UV_RUN_DEFAULT);
    return;
  }
  for (;;) {
    turn();
    if (stopped) return;
    serve(wait_ms());
    on_due();
  }
}

void Loop::Impl::turn() {
  now = 0;  // what ran before may have taken long
  events.on_turn();
  now = 0;
}

// ----------------------------------------------------------------------------------------------------- lws, for TLS alone

void Loop::Impl::open_lws() {
  {
    const std::lock_guard<std::mutex> lock(lws_mutex());
    need_descriptors<kDescriptorsOfUv>();
    int failed = uv_loop_init(&loop);
    if (failed != 0) throw NetError(Fault::kSystem, with_errno("event loop", -failed));
    failed = uv_poll_init(&loop, &poll, set_fd);
    if (failed != 0) {
      uv_loop_close(&loop);
      throw NetError(Fault::kSystem, with_errno("event loop", -failed));
    }
    has_uv = true;
    uv_prepare_init(&loop, &prepare);
    uv_check_init(&loop, &check);
    uv_timer_init(&loop, &timer);
  }
  prepare.data = check.data = timer.data = poll.data = this;
  // lws may read in the idle phase, before the wait: its output must not lie there meanwhile.
  uv_prepare_start(&prepare, [](uv_prepare_t* handle) {
    auto* impl = static_cast<Impl*>(handle->data);
    impl->turn();
    impl->arm_timer();
  });
  uv_check_start(&check, [](uv_check_t* handle) { static_cast<Impl*>(handle->data)->turn(); });
  uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* handle, int, int) { static_cast<Impl*>(handle->data)->serve(0); });
  open_context();
}

void Loop::Impl::arm_timer() noexcept {
  const core::TimeUs at = next_deadline();
  if (at == timer_set_for) return;
  timer_set_for = at;
  if (at == core::kNever) {
    uv_timer_stop(&timer);
    return;
  }
  uv_update_time(&loop);
  const uint64_t at_ms = (at + 999) / 1000;
  const uint64_t now_ms = uv_now(&loop);
  uv_timer_start(
      &timer,
      [](uv_timer_t* handle) {
        auto* impl = static_cast<Impl*>(handle->data);
        impl->timer_set_for = core::kNever;
        impl->on_due();
      },
      at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

// Everything of ours is closed first, so that the loop lives only as long as lws has handles on it.
void Loop::Impl::close_lws() noexcept {
  if (!has_uv) return;
  for (auto* handle : {reinterpret_cast<uv_handle_t*>(&prepare), reinterpret_cast<uv_handle_t*>(&check),
                       reinterpret_cast<uv_handle_t*>(&timer), reinterpret_cast<uv_handle_t*>(&poll)}) {
    uv_close(handle, nullptr);
  }
  const std::lock_guard<std::mutex> lock(lws_mutex());
  if (context != nullptr) lws_context_destroy(context);
  while (uv_run(&loop, UV_RUN_NOWAIT) != 0) {
  }
  if (context != nullptr) lws_context_destroy(context);
  uv_loop_close(&loop);
}

void Loop::Impl::open_context() {
  static const lws_protocols kProtocols[] = {
      {"wsbeat", on_lws, 0, 0, 0, nullptr, SIZE_MAX / 2},
      {nullptr, nullptr, 0, 0, 0, nullptr, 0},
  };
  const std::lock_guard<std::mutex> lock(lws_mutex());
  need_descriptors<kDescriptorsOfLws>();
  lws_set_log_level(0, [](int, const char*) {});
  // lws sets SIGPIPE to ignore for the whole process; that is the application's to decide.
  struct sigaction pipe_action {};
  ::sigaction(SIGPIPE, nullptr, &pipe_action);
  void* loops[] = {&loop};
  lws_context_creation_info info{};
  info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
  info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  info.foreign_loops = loops;
  info.protocols = kProtocols;
  info.pt_serv_buf_size = kReadBufferBytes;
  info.timeout_secs = kNoLwsTimeoutSecs;
  info.gid = static_cast<gid_t>(-1);
  info.uid = static_cast<uid_t>(-1);
  info.user = this;
  context = lws_create_context(&info);
  ::sigaction(SIGPIPE, &pipe_action, nullptr);
  if (context == nullptr)
    throw NetError(Fault::kSystem, "libwebsockets cannot make a context (is its libuv plugin installed?)");
  info.vhost_name = "wsbeat";
  info.alpn = "http/1.1";
  info.options |= LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;  // without files: set_up_tls brings the certificate
  info.provided_client_ssl_ctx = config.credentials->idle_context();
  vhost = lws_create_vhost(context, &info);
  if (!tls_error.empty()) throw NetError(Fault::kTls, tls_error);
  if (vhost == nullptr) throw NetError(Fault::kSystem, "libwebsockets cannot make a vhost");
}

bool Loop::Impl::set_up_tls(ssl_ctx_st* made) noexcept {
  try {
    configure_tls(made, config.tls, config.ticket_keys);
    if (!credentials->apply(made)) throw NetError(Fault::kTls, "certificate refused");
    tls_context = made;
    return true;
  } catch (const std::exception& error) {
    tls_error = error.what();
    return false;
  }
}

Loop::Loop(core::TransportEvents& events, const LoopConfig& config) : impl_(std::make_unique<Impl>(events, config)) {
  if (config.tls.enabled()) impl_->open_lws();  // when it throws, ~Impl takes back what was made
}

Loop::~Loop() = default;

void Loop::run() {
  impl_->run();
}
void Loop::stop() noexcept {
  impl_->stopped = true;
  if (impl_->has_uv) uv_stop(&impl_->loop);
}
void Loop::wake() noexcept {
  const uint64_t one = 1;
  (void)!::write(impl_->waker.fd, &one, sizeof one);
}

core::TimeUs Loop::clock() noexcept {
  return uv_hrtime() / 1000;
}

core::TimeUs Loop::now() noexcept {
  if (impl_->now == 0) impl_->now = clock();
  return impl_->now;
}

void Loop::set_alarm(core::TimeUs at) noexcept {
  if (at < impl_->alarm_at) impl_->alarm_at = std::max(at, clock());
}

void Loop::use_credentials(std::shared_ptr<const Credentials> credentials) noexcept {
  impl_->credentials = std::move(credentials);
  follow_credentials(impl_->tls_context, &impl_->credentials);
}

void check_library_versions() {
  const std::string built =
      std::to_string(LWS_LIBRARY_VERSION_MAJOR) + "." + std::to_string(LWS_LIBRARY_VERSION_MINOR) + ".";
  const char* loaded = lws_get_library_version();
  if (std::strncmp(loaded, built.c_str(), built.size()) == 0) return;
  throw NetError(Fault::kVersion, "built against libwebsockets " + built + "x, but " + loaded + " is loaded");
}

}  // namespace wsb::net
