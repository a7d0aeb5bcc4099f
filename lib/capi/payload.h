// What is checked of every message that the application gives.
#pragma once

#include "capi/guard.h"
#include "core/utf8.h"

namespace wsb::capi {

// Beyond it a frame's length could overflow sums of sizes; nothing real comes near.
constexpr size_t kMaxMessageBytes = size_t{1} << 40;

inline int check_payload(uint32_t kind, const void *data, size_t length) noexcept {
  if (kind != WSB_TEXT && kind != WSB_BINARY) return fail(WSB_E_INVALID, "kind: neither WSB_TEXT nor WSB_BINARY");
  if (data == nullptr && length != 0) return fail(WSB_E_INVALID, "data is NULL");
  if (kind == WSB_TEXT && !core::is_valid_utf8(data, length)) return fail(WSB_E_INVALID, "data: text is not UTF-8");
  return WSB_OK;
}

}  // namespace wsb::capi
