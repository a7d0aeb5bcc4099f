// The codecs of permessage-deflate: the examples of RFC 7692, round trips in all windows, bounds, broken input, lack of
// memory.
#include "core/deflate.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client_frames.h"
#include "memory_shortage.h"

namespace {

using namespace std::string_literals;
using namespace wsb::core;
using namespace wsb::core::testing;

constexpr size_t kNoLimit = size_t{1} << 30;

DeflateParams agreed(uint8_t bits = 15, bool no_takeover = false) {
  DeflateParams params;
  params.agreed = true;
  params.server_max_window_bits = params.client_max_window_bits = bits;
  params.server_no_context_takeover = params.client_no_context_takeover = no_takeover;
  return params;
}

struct Inflated {
  InflateResult result = InflateResult::kOk;
  std::string text;
  bool operator==(const Inflated& other) const { return result == other.result && text == other.text; }
};

std::ostream& operator<<(std::ostream& out, const Inflated& inflated) {
  return out << "result " << static_cast<int>(inflated.result) << ", " << inflated.text.size() << " bytes";
}

Inflated good(std::string_view text) {
  return {InflateResult::kOk, std::string(text)};
}

// One message in parts of `part` bytes.
Inflated inflate(Inflater& inflater, std::string_view payload, size_t max_out = kNoLimit, size_t part = SIZE_MAX) {
  ByteBuffer out;
  Inflated inflated;
  for (bool last = false; !last && inflated.result == InflateResult::kOk;) {
    const size_t n = std::min(part, payload.size());
    last = n == payload.size();
    inflated.result = inflater.inflate(bytes_of(payload), n, last, max_out, out);
    payload.remove_prefix(n);
  }
  EXPECT_LE(out.size(), max_out);
  EXPECT_LE(out.capacity(), std::max<size_t>(max_out, 512));
  inflated.text = view_of(out.data(), out.size());
  return inflated;
}

// The same with inflate_some and an output of `room` bytes.
Inflated inflate_in_pieces(Inflater& inflater, std::string_view payload, size_t room) {
  Inflated inflated;
  std::vector<uint8_t> out(room);
  Inflater::Step step;
  while (!step.done && inflated.result == InflateResult::kOk) {
    inflated.result = inflater.inflate_some(bytes_of(payload), payload.size(), true, out.data(), room, step);
    EXPECT_TRUE(step.done || step.written == room || inflated.result != InflateResult::kOk);
    inflated.text.append(view_of(out.data(), step.written));
    payload.remove_prefix(step.taken);
  }
  return inflated;
}

std::string deflate(Deflater& deflater, std::string_view text) {
  ByteBuffer out;
  EXPECT_TRUE(deflater.deflate(bytes_of(text), text.size(), out));
  return std::string(view_of(out.data(), out.size()));
}

std::string compressed(std::string_view text) {
  Deflater deflater(agreed(), 9, 8);
  return deflate(deflater, text);
}

// Compressible, but never the same: words of a small generator.
std::string prose(size_t n, uint32_t seed) {
  std::string text;
  while (text.size() < n) {
    seed = seed * 1664525 + 1013904223;
    text += "word" + std::to_string(seed >> 24) + " ";
  }
  text.resize(n);
  return text;
}

std::string noise(size_t n, uint32_t seed) {
  std::string text;
  for (size_t i = 0; i < n; ++i) {
    seed = seed * 1664525 + 1013904223;
    text += static_cast<char>(seed >> 24);
  }
  return text;
}

TEST(Inflater, Rfc7692Examples) {
  Inflater inflater(agreed());
  EXPECT_EQ(inflate(inflater, "\xf2\x48\xcd\xc9\xc9\x07\x00"s), good("Hello"));
  EXPECT_EQ(inflate(inflater, "\xf2\x00\x11\x00\x00"s), good("Hello")) << "shares the window";
  EXPECT_EQ(inflate(inflater, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"s), good("Hello"))
      << "block without compression";
  EXPECT_EQ(inflate(inflater, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s), good("Hello")) << "final block";
  EXPECT_EQ(inflate(inflater, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"s), good("Hello")) << "two blocks";
  EXPECT_EQ(inflate(inflater, "\x00"s), good("")) << "empty message";
}

TEST(Inflater, WindowOutlivesAFinalBlock) {
  Inflater inflater(agreed());
  EXPECT_EQ(inflate(inflater, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s), good("Hello"));
  EXPECT_EQ(inflate(inflater, "\xf2\x00\x11\x00\x00"s), good("Hello"));
}

TEST(Inflater, FinalBlocksInsideAndAtTheEndOfMessages) {
  const std::string final_hello = "\xf3\x48\xcd\xc9\xc9\x07\x00"s;  // ends with its block, no 00 behind
  for (const size_t part : {size_t{1}, size_t{2}, SIZE_MAX}) {
    Inflater inflater(agreed());
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(inflate(inflater, final_hello + "\x00"s, kNoLimit, part), good("Hello"));
      EXPECT_EQ(inflate(inflater, final_hello, kNoLimit, part), good("Hello"));
      EXPECT_EQ(inflate(inflater, final_hello + final_hello + "\x00"s, kNoLimit, part), good("HelloHello"));
      EXPECT_EQ(inflate(inflater, final_hello + "\xf2\x48\xcd\xc9\xc9\x07\x00"s, kNoLimit, part), good("HelloHello"));
      EXPECT_EQ(inflate(inflater, "\x01"s, kNoLimit, part), good("")) << "a final empty block, its length in the tail";
    }
  }
}

TEST(Inflater, EmptyMessagesAnywhere) {
  Inflater inflater(agreed());
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(inflate(inflater, ""), good(""));
    EXPECT_EQ(inflate(inflater, "\x00"s), good(""));
    EXPECT_EQ(inflate(inflater, "\xf2\x48\xcd\xc9\xc9\x07\x00"s), good("Hello"));
  }
}

TEST(Inflater, CorruptInput) {
  for (const std::string& payload : {
           "\x06"s,                      // block type 3
           "\x00\x05\x00\xfa\xfe\x48"s,  // length and its complement differ
           "\xf2\x00\x11\x00\x00"s,      // a distance beyond what ever came
           "\xf2\x48\xcd"s,              // ends inside a block
           "\x00\x06\x00\xf9\xff\x48"s,  // ends inside a stored block
           "\xf2\x48\xcd\xc9\xc9\x07"s,  // the empty block that ends it is missing
           "\xff\xff\xff\xff"s,
           "\x05\xe0\xff\xff\xff"s,
       }) {
    for (const size_t part : {size_t{1}, SIZE_MAX}) {
      Inflater inflater(agreed());
      EXPECT_EQ(inflate(inflater, payload, kNoLimit, part).result, InflateResult::kCorrupt)
          << ::testing::PrintToString(payload);
    }
  }
}

TEST(Inflater, OutputBeforeAnErrorIsKept) {
  Inflater inflater(agreed());
  const Inflated inflated = inflate(inflater, "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x06"s);
  EXPECT_EQ(inflated.result, InflateResult::kCorrupt);
  EXPECT_EQ(inflated.text, "Hello");
}

TEST(Inflater, LimitIsExact) {
  for (const size_t size : std::vector<size_t>{1, 2, 511, 512, 513, 4096, 100000}) {
    const std::string text = prose(size, 7);
    const std::string payload = compressed(text);
    for (const size_t part : {size_t{1}, size_t{1000}, SIZE_MAX}) {
      Inflater exact(agreed());
      EXPECT_EQ(inflate(exact, payload, size, part), good(text)) << size;
      Inflater roomy(agreed());
      EXPECT_EQ(inflate(roomy, payload, size + 1, part), good(text)) << size;
      Inflater tight(agreed());
      EXPECT_EQ(inflate(tight, payload, size - 1, part), (Inflated{InflateResult::kTooBig, text.substr(0, size - 1)}))
          << size;
    }
  }
}

TEST(Inflater, BombCostsNoMoreThanTheLimit) {
  const std::string bomb = compressed(std::string(20 << 20, '\0'));
  ASSERT_LT(bomb.size(), 21000u);
  constexpr size_t kLimit = 1 << 20;
  ByteBuffer out;
  Inflater inflater(agreed());
  EXPECT_EQ(inflater.inflate(bytes_of(bomb), bomb.size(), true, kLimit, out), InflateResult::kTooBig);
  EXPECT_EQ(out.size(), kLimit);
  EXPECT_EQ(out.capacity(), kLimit);
}

TEST(Inflater, ManyFinalBlocksAreCheap) {
  std::string payload;
  for (int i = 0; i < 500000; ++i) payload += "\x03\x00"s;  // empty, final
  Inflater inflater(agreed());
  EXPECT_EQ(inflate(inflater, payload), good(""));
}

TEST(Inflater, PiecesOfAnySizeEqualTheWhole) {
  const std::string text = prose(3000, 3);
  const std::string payload = compressed(text);
  for (const size_t room : std::vector<size_t>{1, 2, 3, 64, 257, 2999, 3000, 3001, 100000}) {
    Inflater inflater(agreed());
    EXPECT_EQ(inflate_in_pieces(inflater, payload, room), good(text)) << room;
    EXPECT_EQ(inflate_in_pieces(inflater, "\x00"s, room), good("")) << room;
    EXPECT_EQ(inflate_in_pieces(inflater, "\xf3\x48\xcd\xc9\xc9\x07\x00"s, room), good("Hello")) << room;
    EXPECT_EQ(inflate_in_pieces(inflater, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s, room), good("Hello")) << room;
    EXPECT_EQ(inflate_in_pieces(inflater, "\xf3\x48\xcd\xc9\xc1\x07\x00"s, room), good("He" + std::string(30, 'l')))
        << "a final block whose last output waits when its last byte was taken, " << room;
  }
}

// Output in pieces of one byte leaves the inflater nothing but its window to look back into, so this also proves that
// our deflater keeps to the agreed one.
TEST(DeflateRoundTrip, AllWindowsWithAndWithoutTakeover) {
  for (uint8_t bits = 9; bits <= 15; ++bits) {
    for (const bool no_takeover : {false, true}) {
      for (const uint8_t level : {uint8_t{1}, uint8_t{6}, uint8_t{9}}) {
        Deflater deflater(agreed(bits, no_takeover), level, level);
        Inflater inflater(agreed(bits, no_takeover));
        for (const size_t size : std::vector<size_t>{0, 1, 100, 0, 0, 5000, 40000}) {
          for (const std::string& text : {prose(size, bits), std::string(size, 'x'), noise(size, bits)}) {
            const std::string payload = deflate(deflater, text);
            ASSERT_FALSE(payload.empty());
            ASSERT_EQ(inflate_in_pieces(inflater, payload, 1), good(text))
                << int{bits} << " " << no_takeover << " " << size;
          }
        }
      }
    }
  }
}

TEST(DeflateRoundTrip, WindowOf8OnTheClientsSide) {
  DeflateParams params = agreed(9);
  Deflater client(params, 6, 8);  // what zlib makes of 8
  params.client_max_window_bits = 8;
  Inflater inflater(params);
  const std::string text = prose(20000, 5);
  EXPECT_EQ(inflate_in_pieces(inflater, deflate(client, text), 1), good(text));
}

TEST(DeflateRoundTrip, TakeoverMakesTheSecondSmaller) {
  const std::string text = prose(400, 11);
  Deflater keeping(agreed(15, false), 6, 8);
  const size_t first = deflate(keeping, text).size();
  EXPECT_LT(deflate(keeping, text).size(), first / 4);
  Deflater forgetting(agreed(15, true), 6, 8);
  EXPECT_EQ(deflate(forgetting, text), deflate(forgetting, text));
}

TEST(DeflateRoundTrip, AForgettingInflaterForgets) {
  Inflater inflater(agreed(15, true));
  EXPECT_EQ(inflate(inflater, "\xf2\x48\xcd\xc9\xc9\x07\x00"s), good("Hello"));
  EXPECT_EQ(inflate(inflater, "\xf2\x00\x11\x00\x00"s).result, InflateResult::kCorrupt);
}

TEST(DeflateRoundTrip, LargeMessage) {
  const std::string text = prose(3 << 20, 1) + noise(1 << 20, 2);
  Deflater deflater(agreed(), 1, 8);
  Inflater inflater(agreed());
  const std::string payload = deflate(deflater, text);
  EXPECT_EQ(inflate(inflater, payload, text.size(), 65536), good(text));
}

TEST(Deflater, AppendsAndMatchesTheRfcForHello) {
  Deflater deflater(agreed(), 6, 8);
  ByteBuffer out;
  ASSERT_TRUE(out.append("before", 6));
  ASSERT_TRUE(deflater.deflate(bytes_of("Hello"), 5, out));
  EXPECT_EQ(view_of(out.data(), out.size()), "before\xf2\x48\xcd\xc9\xc9\x07\x00"s);
  EXPECT_EQ(deflate(deflater, ""), "\x00"s);
  EXPECT_EQ(deflate(deflater, ""), "\x00"s);
}

TEST(Deflater, LackOfMemoryLeavesTheContextRight) {
  if (!kCanPlayShortage) GTEST_SKIP() << "not under a sanitizer";
  Deflater deflater(agreed(), 6, 8);
  Inflater inflater(agreed());
  const std::string small = prose(1000, 4);
  const std::string large = noise(8 << 20, 4);
  EXPECT_EQ(inflate(inflater, deflate(deflater, small)), good(small));
  ByteBuffer out;
  ASSERT_TRUE(out.append("before", 6));
  bool works = false;
  bool deflated = true;
  {
    const MemoryShortage shortage(1 << 20);
    works = shortage.works();
    deflated = deflater.deflate(bytes_of(large), large.size(), out);
  }
  ASSERT_TRUE(works);
  EXPECT_FALSE(deflated);
  EXPECT_EQ(view_of(out.data(), out.size()), "before");
  EXPECT_EQ(inflate(inflater, deflate(deflater, small)), good(small));
}

TEST(Deflater, LackOfMemoryAtFirstUse) {
  if (!kCanPlayShortage) GTEST_SKIP() << "not under a sanitizer";
  std::vector<std::unique_ptr<Deflater>> deflaters;
  for (int i = 0; i < 1000; ++i) deflaters.push_back(std::make_unique<Deflater>(agreed(), 6, 9));
  ByteBuffer out;
  ASSERT_TRUE(out.reserve(65536));
  size_t used = 0;
  {
    const MemoryShortage shortage(1 << 20);  // and what the heap has left: enough for the first of them
    while (used < deflaters.size() && deflaters[used]->deflate(bytes_of("Hello"), 5, out)) ++used;
  }
  ASSERT_LT(used, deflaters.size());
  EXPECT_EQ(out.size(), used * 7);
  EXPECT_EQ(deflate(*deflaters[used], "Hello"), "\xf2\x48\xcd\xc9\xc9\x07\x00"s) << "when memory has come back";
}

TEST(ByteBuffer, RefusesTheImpossibleAndStaysAsItWas) {
  ByteBuffer buffer;
  ASSERT_TRUE(buffer.append("abc", 3));
  EXPECT_FALSE(buffer.reserve(SIZE_MAX));
  EXPECT_FALSE(buffer.make_room(SIZE_MAX));
  EXPECT_FALSE(buffer.make_room(PTRDIFF_MAX));
  EXPECT_EQ(view_of(buffer.data(), buffer.size()), "abc");
}

TEST(ByteBuffer, GrowsByDoublingUpToACap) {
  ByteBuffer buffer;
  size_t growths = 0;
  for (int i = 0; i < 100000; ++i) {
    const size_t before = buffer.capacity();
    ASSERT_TRUE(buffer.make_room(1, 100000));
    if (buffer.capacity() != before) ++growths;
    buffer.data()[buffer.size()] = static_cast<uint8_t>(i);
    buffer.set_size(buffer.size() + 1);
  }
  EXPECT_LT(growths, 16u);
  EXPECT_EQ(buffer.capacity(), 100000u);
  for (int i = 0; i < 100000; ++i) ASSERT_EQ(buffer.data()[i], static_cast<uint8_t>(i));
  ByteBuffer moved = std::move(buffer);
  EXPECT_EQ(moved.size(), 100000u);
  moved.clear();
  EXPECT_EQ(moved.capacity(), 100000u);
  moved.release();
  EXPECT_EQ(moved.capacity(), 0u);
}

}  // namespace
