// The assembler with permessage-deflate: RSV1, fragments, limits on both sides of inflation, text, pieces.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "client_frames.h"
#include "core/assembler.h"

namespace {

using namespace std::string_literals;
using namespace wsb::core;
using namespace wsb::core::testing;

constexpr int kText = kRsv1 | 1;
constexpr int kBinary = kRsv1 | 2;
constexpr int kPing = 9;

const std::string kHello = "\xf2\x48\xcd\xc9\xc9\x07\x00"s;  // RFC 7692, 7.2.3.1

DeflateParams agreed() {
  DeflateParams params;
  params.agreed = true;
  return params;
}

const DeflateParams kAgreed = agreed();

// A client's compressor that keeps its window.
class Client {
 public:
  std::string compress(std::string_view data) {
    ByteBuffer out;
    EXPECT_TRUE(deflater_.deflate(bytes_of(data), data.size(), out));
    return std::string(view_of(out.data(), out.size()));
  }

 private:
  Deflater deflater_{kAgreed, 6, 8};
};

std::string compressed(std::string_view data) {
  return Client().compress(data);
}

AssemblerLimits limited(uint64_t max_message_bytes) {
  AssemblerLimits limits;
  limits.max_message_bytes = max_message_bytes;
  return limits;
}

Recording everywhere(std::string_view bytes, const AssemblerLimits& limits = {}) {
  const Recording expected = record(bytes, limits, false, &kAgreed);
  for (const bool streaming : {false, true}) {
    for (const size_t part : {size_t{1}, size_t{2}, size_t{7}, size_t{1000}, SIZE_MAX}) {
      const Recording recording = record(bytes, limits, streaming, &kAgreed, each(part));
      EXPECT_TRUE(recording.events == expected.events) << (streaming ? "streaming, part " : "part ") << part;
      EXPECT_EQ(recording.error_text, expected.error_text) << (streaming ? "streaming, part " : "part ") << part;
      EXPECT_EQ(recording.error, expected.error);
      EXPECT_EQ(recording.in_message, expected.in_message);
      EXPECT_TRUE(recording.in_message || recording.held_bytes == 0);
    }
  }
  return expected;
}

std::vector<std::string> messages(const Recording& recording) {
  std::vector<std::string> out;
  for (const Seen& seen : recording.events) {
    if (seen.event == Event::kMessage) out.push_back(seen.data);
  }
  return out;
}

using Strings = std::vector<std::string>;

TEST(AssemblerDeflate, Rfc7692Examples) {
  EXPECT_EQ(messages(everywhere(client_frame(kFin | kText, kHello))), Strings{"Hello"});
  EXPECT_EQ(messages(everywhere(client_frame(kText, kHello.substr(0, 3)) + client_frame(kFin, kHello.substr(3)))),
            Strings{"Hello"});
  EXPECT_EQ(
      messages(everywhere(client_frame(kFin | kText, kHello) + client_frame(kFin | kText, "\xf2\x00\x11\x00\x00"s))),
      (Strings{"Hello", "Hello"}));
  EXPECT_EQ(messages(everywhere(client_frame(kFin | kText, "\x00"s))), Strings{""});
}

TEST(AssemblerDeflate, MessagesWithoutCompressionMayCome) {
  const Recording recording =
      everywhere(client_frame(kFin | kText, kHello) + client_frame(kFin | 1, "plain") +
                 client_frame(kFin | kPing, "p") + client_frame(kFin | kText, "\xf2\x00\x11\x00\x00"s));
  EXPECT_EQ(messages(recording), (Strings{"Hello", "plain", "Hello"}));
}

TEST(AssemblerDeflate, ControlFramesBetweenFragments) {
  const Recording recording = everywhere(client_frame(kText, kHello.substr(0, 2)) + client_frame(kFin | kPing, "p") +
                                         client_frame(0, kHello.substr(2, 2)) + client_frame(0, "") +
                                         client_frame(kFin | kPing, "q") + client_frame(kFin, kHello.substr(4)));
  ASSERT_EQ(recording.events.size(), 3u);
  EXPECT_EQ(recording.events[0].event, Event::kPing);
  EXPECT_EQ(recording.events[2].data, "Hello");
}

TEST(AssemblerDeflate, EmptyFragmentsAnywhere) {
  EXPECT_EQ(messages(everywhere(client_frame(kText, "") + client_frame(0, "") + client_frame(0, kHello) +
                                client_frame(kFin, ""))),
            Strings{"Hello"});
  EXPECT_EQ(messages(everywhere(client_frame(kText, "") + client_frame(kFin, ""))), Strings{""});
  EXPECT_EQ(messages(everywhere(client_frame(kFin | kText, "") + client_frame(kFin | kText, kHello))),
            (Strings{"", "Hello"}));
}

TEST(AssemblerDeflate, Rsv1OnlyOnTheFirstFrameOfAMessageAndOnlyIfAgreed) {
  const auto error = [](const std::string& bytes) { return everywhere(bytes).error_text; };
  EXPECT_EQ(error(client_frame(kText, kHello) + client_frame(kFin | kRsv1, "")), "reserved bit set");
  EXPECT_EQ(error(client_frame(1, "plain") + client_frame(kFin | kRsv1, "")), "reserved bit set");
  EXPECT_EQ(error(client_frame(kFin | kRsv1 | kPing, "")), "reserved bit set");
  const DeflateParams refused;
  EXPECT_EQ(record(client_frame(kFin | kText, kHello), {}, false, &refused).error, StreamError::kProtocol);
  EXPECT_EQ(record(client_frame(kFin | kText, kHello)).error, StreamError::kProtocol);
}

TEST(AssemblerDeflate, ManyMessagesShareAWindow) {
  Client client;
  std::string bytes;
  Strings expected;
  for (int i = 0; i < 50; ++i) {
    expected.push_back("the same beginning and then " + std::to_string(i * i));
    const std::string payload = client.compress(expected.back());
    const size_t cut = payload.size() / 2;
    bytes += client_frame(kBinary, payload.substr(0, cut)) + client_frame(kFin, payload.substr(cut));
  }
  EXPECT_EQ(messages(everywhere(bytes)), expected);
}

TEST(AssemblerDeflate, CorruptData) {
  const Recording recording = everywhere(client_frame(kFin | kText, kHello) + client_frame(kFin | kText, "\x06"s));
  EXPECT_EQ(messages(recording), Strings{"Hello"});
  EXPECT_EQ(recording.error, StreamError::kCorruptDeflate);
  EXPECT_EQ(everywhere(client_frame(kFin | kText, kHello.substr(0, 3))).error, StreamError::kCorruptDeflate);
}

TEST(AssemblerDeflate, TextIsCheckedAfterInflation) {
  EXPECT_EQ(everywhere(client_frame(kFin | kText, compressed("ok\xff"))).error, StreamError::kInvalidText);
  EXPECT_EQ(everywhere(client_frame(kFin | kText, compressed("cut \xf0\x9f"))).error, StreamError::kInvalidText);
  EXPECT_EQ(everywhere(client_frame(kFin | kBinary, compressed("ok\xff"))).error, StreamError::kNone);
  const std::string smile = "\xf0\x9f\x98\x80 \xe2\x82\xac";
  EXPECT_EQ(messages(everywhere(client_frame(kFin | kText, compressed(smile)))), Strings{smile});
}

TEST(AssemblerDeflate, WhatComesFirstIsTheError) {
  // A stored block "\xff", then one of a type that does not exist.
  EXPECT_EQ(everywhere(client_frame(kFin | kText, "\x00\x01\x00\xfe\xff\xff\x06"s)).error, StreamError::kInvalidText);
  EXPECT_EQ(everywhere(client_frame(kFin | kText,
                                    "\x00\x01\x00\xfe\xff"
                                    "a\x06"s))
                .error,
            StreamError::kCorruptDeflate);
  EXPECT_EQ(everywhere(client_frame(kFin | kText, compressed(std::string(2000, 'a') + "\xff")), limited(1000)).error,
            StreamError::kTooBig);
  EXPECT_EQ(everywhere(client_frame(kFin | kText, compressed("\xff" + std::string(2000, 'a'))), limited(1000)).error,
            StreamError::kInvalidText);
}

TEST(AssemblerDeflate, LimitHoldsForInflatedBytes) {
  const std::string exact(1000, 'x');
  const std::string exact_bytes = client_frame(kFin | kBinary, compressed(exact));
  EXPECT_EQ(messages(everywhere(exact_bytes, limited(1000))), Strings{exact});
  EXPECT_EQ(everywhere(exact_bytes, limited(999)).error, StreamError::kTooBig);
  EXPECT_EQ(messages(everywhere(exact_bytes + exact_bytes, limited(1000))).size(), 2u) << "each message counts anew";
}

TEST(AssemblerDeflate, LimitHoldsForCompressedBytesAtTheHeader) {
  const std::string mask(4, 'm');
  const uint64_t most = 1000 + 1000 / 4 + 1024;  // incompressible bytes grow, so there is some room beyond the limit
  EXPECT_EQ(record(client_header(kFin | kBinary, most + 1, mask), limited(1000), false, &kAgreed).error,
            StreamError::kTooBig);
  EXPECT_EQ(record(client_header(kFin | kBinary, most, mask), limited(1000), false, &kAgreed).error,
            StreamError::kNone);
  EXPECT_EQ(record(client_header(kFin | 2, 1001, mask), limited(1000), false, &kAgreed).error, StreamError::kTooBig)
      << "not compressed, so the limit itself counts";
}

TEST(AssemblerDeflate, AFlushInEachFragmentIsAllowedFor) {
  constexpr size_t kFragments = 1000;
  Client client;
  std::string bytes;
  std::string expected;
  for (size_t i = 0; i < kFragments; ++i) {
    expected += static_cast<char>(i * 7);
    const bool last = i + 1 == kFragments;
    // A flush ends with an empty stored block, which only the last fragment goes without (RFC 7692, 7.2.1).
    const std::string payload = client.compress(expected.substr(i)) + (last ? ""s : "\x00\x00\xff\xff"s);
    bytes += client_frame((i == 0 ? kBinary : 0) | (last ? kFin : 0), payload);
  }
  ASSERT_GT(bytes.size(), 6 * kFragments);
  EXPECT_EQ(messages(record(bytes, limited(kFragments), false, &kAgreed)), Strings{expected});
  EXPECT_EQ(record(bytes, limited(kFragments - 1), false, &kAgreed).error, StreamError::kTooBig);

  std::string greedy = client_frame(kBinary, "");
  greedy += client_header(0, 1000 + 1000 / 4 + 1024 + 17, std::string(4, 'm'));
  EXPECT_EQ(record(greedy, limited(1000), false, &kAgreed).error, StreamError::kTooBig) << "by no more than that";
}

TEST(AssemblerDeflate, BombCostsNoMoreThanTheLimit) {
  const std::string bytes = client_frame(kFin | kBinary, compressed(std::string(20 << 20, '\0')));
  ASSERT_LT(bytes.size(), 30000u);
  for (const size_t part : {size_t{100}, SIZE_MAX}) {
    const Recording whole_mode = record(bytes, limited(1 << 20), false, &kAgreed, each(part));
    EXPECT_EQ(whole_mode.error, StreamError::kTooBig);
    EXPECT_LT(whole_mode.most_held_bytes, (1u << 20) + 1024);
    const Recording streaming = record(bytes, limited(1 << 20), true, &kAgreed, each(part));
    EXPECT_EQ(streaming.error, StreamError::kTooBig);
    EXPECT_LT(streaming.most_held_bytes, 65536u + 1024);
    size_t reported = 0;
    for (const size_t piece : streaming.pieces) reported += piece;
    EXPECT_LE(reported, size_t{1} << 20);
  }
}

TEST(AssemblerDeflate, StreamingInflatesInBoundedPieces) {
  const std::string data(5 << 20, 'x');
  const std::string bytes = client_frame(kFin | kBinary, compressed(data)) + client_frame(kFin | kText, kHello);
  for (const size_t part : {size_t{1}, size_t{1000}, SIZE_MAX}) {
    const Recording recording = record(bytes, limited(5 << 20), true, &kAgreed, each(part));
    EXPECT_EQ(recording.error, StreamError::kNone);
    ASSERT_EQ(messages(recording).size(), 2u);
    EXPECT_TRUE(messages(recording)[0] == data);
    for (const size_t piece : recording.pieces) ASSERT_LE(piece, 65536u);
    EXPECT_LT(recording.most_held_bytes, 65536u + 1024);
    EXPECT_EQ(recording.held_bytes, 0u);
  }
}

TEST(AssemblerDeflate, StreamingSurvivesBytesThatJoinTheRest) {
  const std::string data(300000, 'x');
  std::string bytes = client_frame(kFin | kBinary, compressed(data)) + client_frame(kFin | kText, kHello);
  // One byte more with every call: what is left unconsumed stands before it, as after a pause.
  Assembler assembler({}, true, &kAgreed);
  std::string joined;
  size_t at = 0;
  size_t end = 0;
  while (at < bytes.size()) {
    end = std::min(end + 1, bytes.size());
    size_t consumed = 0;
    EventData out;
    const Event event = assembler.next(bytes_of(bytes) + at, end - at, consumed, out);
    ASSERT_NE(event, Event::kError);
    at += consumed;
    if (event == Event::kFragment) joined.append(view_of(out.data, out.length));
  }
  EXPECT_TRUE(joined == data + "Hello");
}

TEST(AssemblerDeflate, DiscardingInTheMiddleOfInflation) {
  std::string bytes =
      client_frame(kFin | kBinary, compressed(std::string(5 << 20, 'x'))) + client_frame(kFin | 8, "\x03\xe8");
  Assembler assembler(limited(5 << 20), true, &kAgreed);
  size_t consumed = 0;
  EventData out;
  ASSERT_EQ(assembler.next(bytes_of(bytes), bytes.size(), consumed, out), Event::kFragment);
  assembler.discard_data();
  EXPECT_EQ(out.length, 65536u);
  EXPECT_EQ(out.data[65535], 'x');
  const size_t at = consumed;
  ASSERT_EQ(assembler.next(bytes_of(bytes) + at, bytes.size() - at, consumed, out), Event::kClose);
  EXPECT_EQ(at + consumed, bytes.size());
  EXPECT_EQ(view_of(out.data, out.length), "\x03\xe8");
  EXPECT_EQ(assembler.held_bytes(), 0u);
  EXPECT_FALSE(assembler.in_message());
}

}  // namespace
