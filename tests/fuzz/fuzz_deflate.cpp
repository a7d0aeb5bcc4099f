// The codecs: arbitrary bytes inflate within bounds and alike in any cuts, and what was deflated inflates to itself.
// The first byte chooses window and takeover, the second the cuts.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "../core/client_frames.h"
#include "core/deflate.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

constexpr size_t kMaxOut = 50000;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Inflated {
  InflateResult result = InflateResult::kOk;
  std::string text;
  bool operator==(const Inflated& other) const { return result == other.result && text == other.text; }
};

Inflated inflate(Inflater& inflater, std::string_view payload, const Cuts& cuts) {
  ByteBuffer out;
  Inflated inflated;
  for (bool last = false; !last && inflated.result == InflateResult::kOk;) {
    const std::string part(payload.substr(0, cuts()));
    payload.remove_prefix(part.size());
    last = payload.empty();
    inflated.result = inflater.inflate(bytes_of(part), part.size(), last, kMaxOut, out);
    require(out.size() <= kMaxOut && out.capacity() <= kMaxOut);
  }
  inflated.text = view_of(out.data(), out.size());
  return inflated;
}

Inflated inflate_in_pieces(Inflater& inflater, std::string_view payload, size_t room) {
  Inflated inflated;
  std::vector<uint8_t> out(room);
  Inflater::Step step;
  while (!step.done && inflated.result == InflateResult::kOk) {
    inflated.result = inflater.inflate_some(bytes_of(payload), payload.size(), true, out.data(), room, step);
    require(step.taken <= payload.size() && step.written <= room);
    require(step.done || step.written == room || inflated.result != InflateResult::kOk);
    inflated.text.append(view_of(out.data(), step.written));
    if (inflated.text.size() > kMaxOut) {
      inflated.text.resize(kMaxOut);
      inflated.result = InflateResult::kTooBig;
    }
    payload.remove_prefix(step.taken);
  }
  return inflated;
}

// Twice, since the second message meets what the first left behind. With a smaller window zlib lets a peer look back
// too far within one call's output, so there only the bounds are checked.
void check_arbitrary(const DeflateParams& params, std::string_view payload, uint32_t seed) {
  Inflater whole_inflater(params);
  Inflater cut_inflater(params);
  Inflater piece_inflater(params);
  std::minstd_rand random(seed + 1);
  for (int round = 0; round < 2; ++round) {
    const Inflated expected = inflate(whole_inflater, payload, whole());
    const Inflated cut = inflate(cut_inflater, payload, [&random] { return size_t{1} + random() % 9; });
    const Inflated pieces = inflate_in_pieces(piece_inflater, payload, 1 + seed * 3);
    require(params.client_max_window_bits < 15 || (cut == expected && pieces == expected));
    for (const Inflated& inflated : {expected, cut, pieces}) {
      if (inflated.result != InflateResult::kOk) return;
    }
  }
}

void check_round_trip(const DeflateParams& params, std::string_view text, uint8_t seed) {
  Deflater deflater(params, static_cast<uint8_t>(1 + seed % 9), static_cast<uint8_t>(1 + seed / 9 % 9));
  Inflater inflater(params);
  for (int round = 0; round < 2; ++round) {
    ByteBuffer payload;
    require(deflater.deflate(bytes_of(text), text.size(), payload));
    const Inflated inflated = inflate(inflater, view_of(payload.data(), payload.size()), whole());
    require(inflated.result == InflateResult::kOk && inflated.text == text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  if (n < 2 || n > kMaxOut) return 0;
  DeflateParams params;
  params.agreed = true;
  params.server_max_window_bits = params.client_max_window_bits = static_cast<uint8_t>(9 + bytes[0] % 7);
  params.server_no_context_takeover = params.client_no_context_takeover = bytes[0] >= 128;
  const std::string_view payload = view_of(bytes + 2, n - 2);
  check_arbitrary(params, payload, bytes[1]);
  check_round_trip(params, payload, bytes[1]);
  return 0;
}
