// The rest of large frames, put where the assembler wants it: the same messages, without a copy.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "client_frames.h"
#include "core/assembler.h"

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

constexpr size_t kLeast = 32 * 1024;  // as plain sockets ask

struct Fed {
  std::vector<std::string> events;
  size_t placed = 0;  // bytes that were put where the assembler wanted them
  size_t moved = 0;   // messages whose bytes lay elsewhere than the last place
};

// What a socket does: at most `part` bytes at a time, into the place if there is one.
Fed feed(Assembler& assembler, const std::string& bytes, size_t part, size_t least = kLeast) {
  Fed fed;
  std::string other(part, '\0');
  for (size_t at = 0; at < bytes.size();) {
    const Place place = assembler.place(least);
    const size_t n = std::min({part, bytes.size() - at, place.size != 0 ? place.size : part});
    uint8_t* const to = place.size != 0 ? place.data : bytes_of(other);
    std::memcpy(to, bytes.data() + at, n);
    at += n;
    if (place.size != 0) fed.placed += n;
    for (size_t taken = 0; taken < n;) {
      size_t consumed = 0;
      EventData data;
      const Event event = assembler.next(to + taken, n - taken, consumed, data);
      taken += consumed;
      if (event == Event::kNeedMore) break;
      if (event == Event::kError) {
        fed.events.push_back(std::string("error: ") + assembler.error_text());
        return fed;
      }
      if (event == Event::kMessage && place.size != 0 && data.data + data.length != to + n) ++fed.moved;
      fed.events.emplace_back(view_of(data.data, data.length));
    }
  }
  return fed;
}

std::string noise(size_t n) {
  std::string out(n, '\0');
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<char>(i * 31 + i / 257);
  return out;
}

TEST(AssemblerPlaceTest, LargeFramesComeWithoutACopy) {
  const std::string big = noise(900000);
  const std::string bytes = client_frame(kFin | 2, big) + client_frame(kFin | 2, "small") + client_frame(kFin | 2, big);
  for (const size_t part : {size_t{4000}, size_t{4099}, size_t{65536}, size_t{1} << 20}) {
    SCOPED_TRACE(part);
    Assembler assembler({}, false, nullptr);
    const Fed fed = feed(assembler, bytes, part);
    ASSERT_EQ(fed.events.size(), 3u);
    EXPECT_TRUE(fed.events[0] == big && fed.events[1] == "small" && fed.events[2] == big);
    EXPECT_EQ(fed.moved, 0u);
    if (part < big.size() / 2) {
      EXPECT_GT(fed.placed, big.size() * 3 / 2);
    }
    EXPECT_EQ(assembler.held_bytes(), 0u);
  }
}

TEST(AssemblerPlaceTest, AnyRestHasAPlaceForWhoAsks) {
  std::string bytes;
  std::vector<std::string> messages;
  for (size_t size = 1; size < 40000; size += size / 2 + 1) {
    messages.push_back(noise(size));
    bytes += client_frame(kFin | 2, messages.back());
  }
  for (const size_t part : {size_t{1}, size_t{7}, size_t{100}, size_t{16384}}) {
    SCOPED_TRACE(part);
    Assembler assembler({}, false, nullptr);
    const Fed fed = feed(assembler, bytes, part, 1);
    EXPECT_TRUE(fed.events == messages);
    EXPECT_GT(fed.placed, 0u);
    EXPECT_EQ(assembler.held_bytes(), 0u);
  }
}

TEST(AssemblerPlaceTest, FragmentsAndPingsInBetween) {
  const std::string first = noise(200000);
  const std::string second = noise(300000);
  const std::string bytes = client_frame(2, first) + client_frame(kFin | 9, "ping") + client_frame(kFin, second) +
                            client_frame(kFin | 1, "text");
  Assembler assembler({}, false, nullptr);
  const Fed fed = feed(assembler, bytes, 50000);
  ASSERT_EQ(fed.events.size(), 3u);
  EXPECT_EQ(fed.events[0], "ping");
  EXPECT_TRUE(fed.events[1] == first + second);
  EXPECT_EQ(fed.events[2], "text");
  EXPECT_GT(fed.placed, 300000u);
}

TEST(AssemblerPlaceTest, ALimitOfTheMessageIsOneOfThePlace) {
  AssemblerLimits limits;
  limits.max_message_bytes = 100000;
  Assembler assembler(limits, false, nullptr);
  std::string bytes = client_frame(kFin | 2, noise(100000));
  size_t consumed = 0;
  EventData data;
  ASSERT_EQ(assembler.next(bytes_of(bytes), 1000, consumed, data), Event::kNeedMore);
  const Place place = assembler.place(kLeast);
  EXPECT_EQ(place.size, bytes.size() - 1000);
  EXPECT_LE(assembler.held_bytes(), 110000u);
}

TEST(AssemblerPlaceTest, TextIsStillJudgedAtItsFirstBadByte) {
  std::string text(200000, 't');
  text[150000] = '\xff';
  Assembler assembler({}, false, nullptr);
  const Fed fed = feed(assembler, client_frame(kFin | 1, text), 40000);
  ASSERT_EQ(fed.events, std::vector<std::string>{"error: text is not UTF-8"});
  EXPECT_LT(fed.placed, 170000u);
  EXPECT_EQ(assembler.place(1).size, 0u);
}

TEST(AssemblerPlaceTest, NoPlaceWhereItWouldNotHelp) {
  const std::string bytes = client_frame(kFin | 2, noise(100000));
  size_t consumed = 0;
  EventData data;
  Assembler fresh({}, false, nullptr);
  EXPECT_EQ(fresh.place(1).size, 0u) << "between frames";
  std::string input = bytes;
  Assembler streaming({}, true, nullptr);
  ASSERT_EQ(streaming.next(bytes_of(input), 1000, consumed, data), Event::kFragment);
  EXPECT_EQ(streaming.place(1).size, 0u) << "pieces are told of where they lie";
  input = bytes;
  Assembler nearly({}, false, nullptr);
  ASSERT_EQ(nearly.next(bytes_of(input), 90000, consumed, data), Event::kNeedMore);
  EXPECT_EQ(nearly.place(kLeast).size, 0u) << "little is left";
  EXPECT_EQ(nearly.place(1).size, bytes.size() - 90000);
  input = bytes;
  Assembler discarding({}, false, nullptr);
  discarding.discard_data();
  ASSERT_EQ(discarding.next(bytes_of(input), 1000, consumed, data), Event::kNeedMore);
  EXPECT_EQ(discarding.place(1).size, 0u) << "nobody wants it";
}

}  // namespace
