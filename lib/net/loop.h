// A worker's event loop: plain connections, an lws context for those over TLS, the listening socket, one alarm, wake-ups from other threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/transport.h"
#include "net/tls.h"

namespace wsb::net {

struct LoopConfig {
  TlsConfig tls;
  std::shared_ptr<const Credentials> credentials;  // null: no TLS
  TicketKeys ticket_keys{};
};

// Everything but wake() belongs to the thread that made it.
class Loop {
 public:
  // Throws NetError. Nothing is accepted before listen().
  Loop(core::TransportEvents& events, const LoopConfig& config);
  // All transports must have ended.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();            // until stop()
  void stop() noexcept;  // on its own thread
  void wake() noexcept;  // any thread: on_wake follows soon

  // Microseconds of the monotonic clock, read at most once per turn of the loop.
  core::TimeUs now() noexcept;
  static core::TimeUs clock() noexcept;
  // on_alarm comes at `at`, never early. An earlier alarm than the one set replaces it; a later one is ignored.
  void set_alarm(core::TimeUs at) noexcept;

  void listen(int fd);  // takes the descriptor
  // Stops accepting. What waits in the kernel is accepted first, if it would else be refused.
  void stop_listening(bool takes_waiting) noexcept;
  void use_credentials(std::shared_ptr<const Credentials> credentials) noexcept;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// Throws NetError(kVersion) if the loaded libwebsockets is not the one that was built against (its structs change with minor versions).
void check_library_versions();

}  // namespace wsb::net
