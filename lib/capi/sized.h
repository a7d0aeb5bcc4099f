// Public structs from and to callers that may be older or newer than this library.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "server/config.h"

namespace wsb::capi {

// Far beyond any struct of a later version: a size that was never set must not be believed.
constexpr size_t kMostStructBytes = 64 * 1024;

[[noreturn]] inline void refuse_size(const char *name, size_t size) {
  throw server::ApiError(WSB_E_INVALID,
                         std::string(name) + ".size is " + std::to_string(size) + ": use the init function");
}

// What the caller gave, with defaults for fields that an older caller does not know. NULL gives all defaults. Throws ApiError(INVALID) if a
// newer caller has set what this library does not know.
template <typename Struct>
Struct read_sized(const Struct *given, const char *name) {
  Struct out{};
  out.size = sizeof out;
  if (given == nullptr) return out;
  const size_t size = given->size;
  // Every compiler makes a struct a whole number of its alignment; any other size could cut a pointer in half.
  if (size < sizeof size || size > kMostStructBytes || size % alignof(Struct) != 0) refuse_size(name, size);
  const auto *bytes = reinterpret_cast<const unsigned char *>(given);
  const auto *unknown = size > sizeof out ? bytes + sizeof out : bytes + size;
  if (std::any_of(unknown, bytes + size, [](unsigned char byte) { return byte != 0; })) {
    throw server::ApiError(WSB_E_INVALID, std::string(name) + " sets a field that this library does not know");
  }
  std::memcpy(&out, given, std::min(size, sizeof out));
  out.size = sizeof out;
  return out;
}

// As much of `made` as the caller's struct holds; what it holds beyond is set to 0. Its size stays.
template <typename Struct>
void write_sized(const Struct &made, Struct *out) noexcept {
  const size_t size = out->size;
  auto *bytes = reinterpret_cast<unsigned char *>(out);
  std::memcpy(bytes, &made, std::min(size, sizeof made));
  if (size > sizeof made) std::memset(bytes + sizeof made, 0, size - sizeof made);
  out->size = size;
}

template <typename Struct>
void check_out(const Struct *out, const char *name) {
  if (out == nullptr) throw server::ApiError(WSB_E_INVALID, std::string(name) + " is NULL");
  if (out->size < sizeof out->size || out->size > kMostStructBytes) refuse_size(name, out->size);
}

}  // namespace wsb::capi
