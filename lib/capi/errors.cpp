// Error texts, names of numbers, versions.
#include <algorithm>
#include <array>
#include <cstring>

#include "capi/guard.h"

namespace {

// Plain storage: a destructor would keep the library from being unloaded.
thread_local std::array<char, 512> last_error;

}  // namespace

namespace wsb::capi {

int fail(int code, std::string_view text) noexcept {
  const size_t n = std::min(text.size(), last_error.size() - 1);
  std::memcpy(last_error.data(), text.data(), n);
  last_error[n] = '\0';
  return code;
}

int told(int code) noexcept {
  return code == WSB_OK ? code : fail(code, wsb_strerror(code));
}

}  // namespace wsb::capi

extern "C" {

const char *wsb_strerror(int error) noexcept {
  switch (error) {
    case WSB_OK:
      return "success";
#define WSB_XX(name, value, text) \
  case WSB_E_##name:              \
    return text;
      WSB_ERROR_MAP(WSB_XX)
#undef WSB_XX
    default:
      return "unknown error";
  }
}

const char *wsb_last_error(void) noexcept {
  return last_error.data();
}

uint32_t wsb_version_number(void) noexcept {
  return WSB_VERSION_NUMBER;
}
const char *wsb_version_string(void) noexcept {
  return WSB_VERSION_STRING;
}

const char *wsb_cause_name(uint32_t cause) noexcept {
  switch (cause) {
#define WSB_XX(name, value, text) \
  case WSB_CAUSE_##name:          \
    return text;
    WSB_CAUSE_MAP(WSB_XX)
#undef WSB_XX
    default:
      return "unknown";
  }
}

const char *wsb_refusal_name(uint32_t refusal) noexcept {
  switch (refusal) {
#define WSB_XX(name, value, text) \
  case WSB_REFUSAL_##name:        \
    return text;
    WSB_REFUSAL_MAP(WSB_XX)
#undef WSB_XX
    default:
      return "unknown";
  }
}

const char *wsb_initiator_name(uint32_t initiator) noexcept {
  switch (initiator) {
    case WSB_INITIATOR_LOCAL:
      return "local";
    case WSB_INITIATOR_REMOTE:
      return "remote";
    case WSB_INITIATOR_NETWORK:
      return "network";
    default:
      return "unknown";
  }
}

const char *wsb_state_name(uint32_t state) noexcept {
  switch (state) {
    case WSB_STATE_OPEN:
      return "open";
    case WSB_STATE_CLOSING:
      return "closing";
    case WSB_STATE_CLOSED:
      return "closed";
    default:
      return "unknown";
  }
}

}  // extern "C"
