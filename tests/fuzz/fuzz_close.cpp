// Close payloads: what is accepted has a code that may be received and a UTF-8 reason, and what we build reads back as
// it was.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "../core/client_frames.h"
#include "core/frame.h"
#include "core/utf8.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_parsed(const uint8_t* payload, size_t n) {
  ClosePayload close;
  const CloseResult result = parse_close(payload, n, close);
  const uint32_t code = n < 2 ? 1005 : static_cast<uint32_t>(payload[0] << 8 | payload[1]);
  require((result == CloseResult::kTooShort) == (n == 1));
  require((result == CloseResult::kBadCode) == (n >= 2 && !may_receive_close_code(code)));
  require(result == CloseResult::kOk || close.reason.empty());
  if (result != CloseResult::kOk) return;
  require(close.code == code);
  require(close.reason == (n < 2 ? std::string_view() : view_of(payload + 2, n - 2)));
  require(is_valid_utf8(close.reason));
}

void check_built(uint32_t code, std::string_view reason) {
  uint8_t frame[127];
  const size_t n = build_close(frame, code, reason);
  require(n <= sizeof frame && n >= 2 && frame[0] == 0x88 && frame[1] == n - 2);
  ClosePayload close;
  const CloseResult result = parse_close(frame + 2, n - 2, close);
  if (code == 0 || code == 1005) {
    require(n == 2 && close.code == 1005);
    return;
  }
  if (!may_send_close_code(code)) {
    require(result == CloseResult::kBadCode);
  } else if (is_valid_utf8(reason)) {
    require(result == CloseResult::kOk && close.code == code && close.reason == reason);
  } else {
    require(result == CloseResult::kBadReason);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  check_parsed(bytes, std::min(n, kMaxControlPayload));
  if (n < 2) return 0;
  const uint32_t code = static_cast<uint32_t>(bytes[0] << 8 | bytes[1]);
  check_built(code, view_of(bytes + 2, std::min(n - 2, kMaxCloseReason)));
  return 0;
}
