// Frame streams: any cut of the bytes gives the same events, in both modes. The first byte chooses deflate and limits,
// the second the cuts.
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string_view>

#include "../core/client_frames.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr uint64_t kMaxMessageBytes[] = {1 << 20, 1000, 10, 100000};

Cuts random_cuts(uint32_t seed) {
  return [random = std::minstd_rand(seed + 1)]() mutable -> size_t {
    const auto draw = random();
    return draw % 4 == 0 ? 1 + draw / 4 % 300 : 1 + draw / 4 % 8;
  };
}

void check_memory(const Recording& recording, const AssemblerLimits& limits, bool streaming) {
  constexpr size_t kBookkeeping = 1024;
  constexpr size_t kPiece = 65536;
  require(recording.most_held_bytes <= (streaming ? kPiece : limits.max_message_bytes) + kBookkeeping);
  require(recording.in_message || recording.error != StreamError::kNone || recording.held_bytes <= kBookkeeping);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  if (n < 2) return 0;
  DeflateParams params;
  params.agreed = (bytes[0] & 1) != 0;
  params.client_no_context_takeover = (bytes[0] & 2) != 0;
  AssemblerLimits limits;
  limits.max_message_bytes = kMaxMessageBytes[bytes[0] >> 2 & 3];
  if ((bytes[0] & 16) != 0) limits.max_fragments = 3;
  const std::string_view stream = view_of(bytes + 2, n - 2);

  const Recording expected = record(stream, limits, false, &params);
  for (const bool streaming : {false, true}) {
    for (const Cuts& cuts : {whole(), each(1 + n / 2000), random_cuts(bytes[1])}) {
      const Recording recording = record(stream, limits, streaming, &params, cuts);
      require(recording == expected);
      check_memory(recording, limits, streaming);
    }
  }
  return 0;
}
