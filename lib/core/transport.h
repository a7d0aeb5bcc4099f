// What the core needs of a socket, and what a loop reports upward. Implemented by net and by server; tests have their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/time.h"

namespace wsb::core {

struct Span {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

// What of the peer's bytes has not been delivered.
enum class Unread : uint8_t {
  kNothing,
  kBytes,  // some lie in the kernel and will be delivered soon
  kPart,   // a part of something has come since ping_left(): it proves life, but nothing can be delivered yet
};

// Memory to be filled.
struct Place {
  uint8_t* data = nullptr;
  size_t size = 0;
};

enum class Ending : uint8_t {
  kGraceful,  // what the kernel holds is still delivered
  kReset,     // the peer sees a reset
  kBroken,    // writing failed: what the peer sent before is still read, then the end is reported
};

// The bytes of one connection. Used on its worker's thread.
class Transport {
 public:
  virtual ~Transport() = default;
  // Bytes taken: 0 if the socket is full (then ask for writability), -1 if it is broken (its end is reported soon).
  virtual int64_t write(const Span* spans, size_t count) = 0;
  virtual void want_writable() = 0;
  // The last bytes wait behind others: the kernel may take them all, beyond the short queue that it is held to otherwise.
  virtual void lift_queue_limit() {}
  virtual void set_reading(bool reading) = 0;
  // No more output: FIN, over TLS close-notify first.
  virtual void shutdown_write() = 0;
  // Ends the connection: on_ended is called before this returns and the transport is gone. Only from on_turn.
  virtual void end(Ending ending) = 0;
  virtual Unread unread() = 0;
  // A heartbeat ping has just been written.
  virtual void ping_left() {}
  // Verified client certificate's subject, "" if none.
  virtual std::string client_subject() = 0;

  void* owner = nullptr;  // set by on_accepted
};

struct PeerAddress {
  std::string text;  // without port; "unix"
  uint16_t port = 0;
};

// What a loop reports, on its thread.
class TransportEvents {
 public:
  // Whether a connection from there begins with a PROXY header. If so, on_proxy_header or on_bad_proxy_header follows its acceptance, unless it ends
  // before.
  virtual bool wants_proxy_header(const PeerAddress& peer) const noexcept = 0;
  // The header was read. From now on `next` is the connection's transport; the old one is gone. `client` is whom the proxy speaks for, without
  // text if it tells none.
  virtual void on_proxy_header(Transport& old, Transport& next, PeerAddress client) noexcept = 0;
  // Nothing follows but the end.
  virtual void on_bad_proxy_header(Transport& transport, const char* why) = 0;
  // A socket was accepted. False refuses it: it is closed at once.
  virtual bool on_accepted(Transport& transport, PeerAddress peer, bool tls) = 0;
  virtual void on_bytes(Transport& transport, uint8_t* bytes, size_t n) = 0;
  // Where the next bytes had best be put, before on_bytes tells of them there, if at least that many of a frame are missing: memory for as many or
  // more. Empty: anywhere.
  virtual Place place_for_bytes(Transport& transport, size_t least) = 0;
  virtual void on_writable(Transport& transport) = 0;
  // The last word on a transport; it is freed when this returns. `error` is an errno or 0 for an orderly end.
  virtual void on_ended(Transport& transport) = 0;
  // Between waits for events: everything that this turn produced can be written now.
  virtual void on_turn() = 0;
  // The time asked for by Loop::set_alarm came, `late_us` after it.
  virtual void on_alarm(TimeUs now, TimeUs late_us) = 0;
  // Another thread called Loop::wake.
  virtual void on_wake() = 0;
  virtual void on_log(uint32_t level, const std::string& text) = 0;

 protected:
  ~TransportEvents() = default;
};

}  // namespace wsb::core
