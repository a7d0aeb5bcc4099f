// Frame headers, masks and close payloads: every rule of RFC 6455, section 5.2, byte for byte.
#include "core/frame.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "client_frames.h"

namespace {

using namespace std::string_literals;
using namespace wsb::core;
using namespace wsb::core::testing;

HeaderResult parse(std::string_view bytes, bool rsv1_allowed = false) {
  FrameHeader header;
  return parse_header(bytes_of(bytes), bytes.size(), rsv1_allowed, header);
}

const std::string kMask = "\x01\x02\x03\x04";

TEST(FrameHeader, EveryFirstByteAloneIsJudged) {
  for (int byte = 0; byte < 256; ++byte) {
    for (const bool rsv1_allowed : {false, true}) {
      const int opcode = byte & 0xF;
      const bool fin = (byte & 0x80) != 0;
      const bool control = opcode >= 8;
      HeaderResult expected = HeaderResult::kNeedMore;
      if (opcode != 0 && opcode != 1 && opcode != 2 && opcode != 8 && opcode != 9 && opcode != 10) {
        expected = HeaderResult::kBadOpcode;
      } else if (control && !fin) {
        expected = HeaderResult::kControlFragmented;
      }
      if ((byte & 0x40) != 0 && expected != HeaderResult::kBadOpcode &&
          !(rsv1_allowed && (opcode == 1 || opcode == 2))) {
        expected = HeaderResult::kReservedBits;
      }
      if ((byte & 0x30) != 0) expected = HeaderResult::kReservedBits;
      EXPECT_EQ(parse(std::string(1, static_cast<char>(byte)), rsv1_allowed), expected) << byte << " " << rsv1_allowed;
    }
  }
}

TEST(FrameHeader, FieldsOfEveryLegalOpcode) {
  for (const int opcode : {0, 1, 2, 8, 9, 10}) {
    const std::string bytes = client_header(kFin | opcode, 5, kMask);
    FrameHeader header;
    ASSERT_EQ(parse_header(bytes_of(bytes), bytes.size(), false, header), HeaderResult::kOk);
    EXPECT_EQ(header.opcode, opcode);
    EXPECT_TRUE(header.fin);
    EXPECT_FALSE(header.rsv1);
    EXPECT_EQ(header.length, 5u);
    EXPECT_EQ(header.header_bytes, 6);
    EXPECT_EQ(view_of(header.mask, 4), kMask);
  }
}

TEST(FrameHeader, FinAndRsv1AreSeen) {
  FrameHeader header;
  const std::string first = client_header(kRsv1 | 1, 0, kMask);
  ASSERT_EQ(parse_header(bytes_of(first), first.size(), true, header), HeaderResult::kOk);
  EXPECT_FALSE(header.fin);
  EXPECT_TRUE(header.rsv1);
}

TEST(FrameHeader, LengthsAtEveryEdge) {
  const struct {
    uint64_t length;
    uint8_t header_bytes;
  } cases[] = {{0, 6}, {1, 6}, {125, 6}, {126, 8}, {127, 8}, {65535, 8}, {65536, 14}, {(uint64_t{1} << 63) - 1, 14}};
  for (const auto& one : cases) {
    const std::string bytes = client_header(kFin | 2, one.length, kMask);
    FrameHeader header;
    ASSERT_EQ(parse_header(bytes_of(bytes), bytes.size(), false, header), HeaderResult::kOk) << one.length;
    EXPECT_EQ(header.length, one.length);
    EXPECT_EQ(header.header_bytes, one.header_bytes);
    EXPECT_EQ(view_of(header.mask, 4), kMask);
    for (size_t n = 0; n < bytes.size(); ++n) {
      EXPECT_EQ(parse_header(bytes_of(bytes), n, false, header), HeaderResult::kNeedMore)
          << one.length << " cut at " << n;
    }
  }
}

TEST(FrameHeader, LengthMustBeMinimal) {
  EXPECT_EQ(parse("\x82\xfe\x00\x7d"s), HeaderResult::kLengthNotMinimal);  // 125 in 16 bits
  EXPECT_EQ(parse("\x82\xfe\x00\x00"s), HeaderResult::kLengthNotMinimal);
  EXPECT_EQ(parse("\x82\xfe\x00"s), HeaderResult::kNeedMore);
  EXPECT_EQ(parse("\x82\xff\0\0\0\0\0\0"s), HeaderResult::kLengthNotMinimal);  // whatever the last two are
  EXPECT_EQ(parse("\x82\xff\0\0\0\0\0\0\xff\xff"s), HeaderResult::kLengthNotMinimal);
  EXPECT_EQ(parse("\x82\xff\0\0\0\0\0"s), HeaderResult::kNeedMore);
  EXPECT_EQ(parse("\x82\xff\0\0\0\0\0\x01\0\0"s), HeaderResult::kNeedMore);
}

TEST(FrameHeader, TopBitOfLengthIsRefusedAtItsByte) {
  EXPECT_EQ(parse("\x82\xff\x80"s), HeaderResult::kLengthTooBig);
  EXPECT_EQ(parse("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"s + kMask), HeaderResult::kLengthTooBig);
  EXPECT_EQ(parse("\x82\xff\x7f"s), HeaderResult::kNeedMore);
}

TEST(FrameHeader, ClientsMustMask) {
  for (int length = 0; length < 128; ++length) {
    EXPECT_EQ(parse(std::string{'\x81', static_cast<char>(length)}), HeaderResult::kNotMasked) << length;
  }
}

TEST(FrameHeader, ControlFramesAreShort) {
  for (const int opcode : {8, 9, 10}) {
    const char first = static_cast<char>(0x80 | opcode);
    EXPECT_EQ(parse(std::string{first, '\xfd'} + kMask), HeaderResult::kOk);
    EXPECT_EQ(parse(std::string{first, '\xfe'}), HeaderResult::kControlTooLong);
    EXPECT_EQ(parse(std::string{first, '\xff'}), HeaderResult::kControlTooLong);
  }
}

TEST(FrameHeader, BuiltWithTheShortestLength) {
  const struct {
    uint64_t length;
    std::string bytes;
  } cases[] = {
      {0, "\x82\x00"s},
      {125, "\x82\x7d"s},
      {126, "\x82\x7e\x00\x7e"s},
      {65535, "\x82\x7e\xff\xff"s},
      {65536, "\x82\x7f\0\0\0\0\0\x01\0\0"s},
      {0x0102030405060708, "\x82\x7f\x01\x02\x03\x04\x05\x06\x07\x08"s},
  };
  for (const auto& one : cases) {
    uint8_t out[kMaxServerHeader];
    const size_t n = build_header(out, Opcode::kBinary, true, false, one.length);
    EXPECT_EQ(view_of(out, n), one.bytes);
    EXPECT_EQ(header_size(one.length), n);
  }
}

TEST(FrameHeader, BuiltWithEveryFlag) {
  uint8_t out[kMaxServerHeader];
  build_header(out, Opcode::kText, false, false, 0);
  EXPECT_EQ(out[0], 0x01);
  build_header(out, Opcode::kText, false, true, 0);
  EXPECT_EQ(out[0], 0x41);
  build_header(out, Opcode::kContinuation, true, false, 0);
  EXPECT_EQ(out[0], 0x80);
  build_header(out, Opcode::kPong, true, false, 0);
  EXPECT_EQ(out[0], 0x8A);
}

// All lengths around the block sizes, all phases of the mask, all alignments of both sides.
TEST(Unmask, EqualsTheDefinition) {
  const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  std::vector<uint8_t> source(300);
  for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<uint8_t>(i * 7 + 1);
  for (size_t n = 0; n <= 200; ++n) {
    for (uint64_t offset = 0; offset < 4; ++offset) {
      for (const size_t align : std::vector<size_t>{0, 1, 3, 7}) {
        std::vector<uint8_t> expected(n);
        for (size_t i = 0; i < n; ++i) expected[i] = static_cast<uint8_t>(source[align + i] ^ mask[(offset + i) & 3]);
        std::vector<uint8_t> apart(n + 8, 0xEE);
        unmask(apart.data() + align, source.data() + align, n, mask, offset + (uint64_t{1} << 40));
        ASSERT_TRUE(std::equal(expected.begin(), expected.end(), apart.begin() + static_cast<long>(align)));
        ASSERT_TRUE(align + n >= apart.size() || apart[align + n] == 0xEE);
        std::vector<uint8_t> in_place(source.begin() + static_cast<long>(align),
                                      source.begin() + static_cast<long>(align + n));
        unmask(in_place.data(), in_place.data(), n, mask, offset);
        ASSERT_EQ(in_place, expected);
      }
    }
  }
}

bool registered(uint32_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code < 5000);
}

TEST(ClosePayload, EveryCodeFrom0To65535) {
  for (uint32_t code = 0; code <= 65535; ++code) {
    const uint8_t payload[2] = {static_cast<uint8_t>(code >> 8), static_cast<uint8_t>(code)};
    ClosePayload close;
    ASSERT_EQ(parse_close(payload, 2, close), registered(code) ? CloseResult::kOk : CloseResult::kBadCode) << code;
    ASSERT_EQ(close.code, code);
    ASSERT_EQ(may_receive_close_code(code), registered(code)) << code;
    ASSERT_EQ(may_send_close_code(code), registered(code)) << code;
  }
  EXPECT_FALSE(may_send_close_code(65536 + 1000));
}

TEST(ClosePayload, EmptyIs1005AndOneByteIsAnError) {
  ClosePayload close;
  EXPECT_EQ(parse_close(bytes_of(""), 0, close), CloseResult::kOk);
  EXPECT_EQ(close.code, 1005u);
  EXPECT_TRUE(close.reason.empty());
  EXPECT_EQ(parse_close(bytes_of("\x03"), 1, close), CloseResult::kTooShort);
}

TEST(ClosePayload, ReasonMustBeUtf8) {
  ClosePayload close;
  const std::string good = "\x03\xe8gr\xc3\xbc\xc3\x9f"s;
  ASSERT_EQ(parse_close(bytes_of(good), good.size(), close), CloseResult::kOk);
  EXPECT_EQ(close.code, 1000u);
  EXPECT_EQ(close.reason, "gr\xc3\xbc\xc3\x9f");
  for (const std::string& bad : {"\x03\xe8\xc3"s, "\x03\xe8\xff"s, "\x03\xe8\xed\xa0\x80"s}) {
    EXPECT_EQ(parse_close(bytes_of(bad), bad.size(), close), CloseResult::kBadReason);
    EXPECT_TRUE(close.reason.empty());
  }
}

TEST(ClosePayload, BuiltFrames) {
  uint8_t out[127];
  EXPECT_EQ(view_of(out, build_close(out, 1000, "bye")), "\x88\x05\x03\xe8"s + "bye");
  EXPECT_EQ(view_of(out, build_close(out, 4999, "")), "\x88\x02\x13\x87"s);
  EXPECT_EQ(view_of(out, build_close(out, 0, "")), "\x88\x00"s);
  EXPECT_EQ(view_of(out, build_close(out, 1005, "")), "\x88\x00"s);
  const std::string longest(kMaxCloseReason, 'x');
  EXPECT_EQ(view_of(out, build_close(out, 1001, longest)), "\x88\x7d\x03\xe9" + longest);
}

}  // namespace
