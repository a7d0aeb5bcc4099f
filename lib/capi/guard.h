// The wall between C callers and C++: every entry point runs inside guarded(), and nothing is thrown out of it.
#pragma once

#include <exception>
#include <new>
#include <string_view>
#include <system_error>

#include "net/errors.h"
#include "server/config.h"
#include "server/server.h"
#include "wsbeat/wsbeat.h"

struct wsb_server : wsb::server::Server {
  using Server::Server;
};

namespace wsb::capi {

// Keeps the text as this thread's wsb_last_error and returns the code.
int fail(int code, std::string_view text) noexcept;

inline int code_of(net::Fault fault) noexcept {
  switch (fault) {
    case net::Fault::kAddress:
      return WSB_E_ADDRESS;
    case net::Fault::kTls:
      return WSB_E_TLS;
    case net::Fault::kVersion:
      return WSB_E_VERSION;
    case net::Fault::kSystem:
      break;
  }
  return WSB_E_SYSTEM;
}

template <typename Work>
auto guarded(Work &&work) noexcept -> decltype(work()) {
  using Result = decltype(work());
  try {
    return work();
  } catch (const server::ApiError &error) {
    return static_cast<Result>(fail(error.code(), error.what()));
  } catch (const net::NetError &error) {
    return static_cast<Result>(fail(code_of(error.fault()), error.what()));
  } catch (const std::bad_alloc &) {
    return static_cast<Result>(fail(WSB_E_NOMEM, "out of memory"));
  } catch (const std::system_error &error) {  // a thread that could not be started
    return static_cast<Result>(fail(WSB_E_SYSTEM, error.what()));
  } catch (const std::exception &error) {
    return static_cast<Result>(fail(WSB_E_INTERNAL, error.what()));
  } catch (...) {
    return static_cast<Result>(fail(WSB_E_INTERNAL, "unknown exception"));
  }
}

// Turns a code of the library's inside into what the caller gets, with the standard text as its detail.
int told(int code) noexcept;

}  // namespace wsb::capi
