// The assembler without compression: messages, fragments, control frames, limits, text, streaming, and how bytes may be
// cut.
#include "core/assembler.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "client_frames.h"
#include "memory_shortage.h"

namespace wsb::core::testing {

void PrintTo(const Seen& seen, std::ostream* out) {
  *out << "event " << static_cast<int>(seen.event) << (seen.text ? " text " : " ")
       << ::testing::PrintToString(seen.data.substr(0, 40)) << " of " << seen.data.size();
}

}  // namespace wsb::core::testing

namespace {

using namespace std::string_literals;
using namespace wsb::core;
using namespace wsb::core::testing;

constexpr int kText = 1;
constexpr int kBinary = 2;
constexpr int kClose = 8;
constexpr int kPing = 9;
constexpr int kPong = 10;

AssemblerLimits limited(uint64_t max_message_bytes, uint32_t max_fragments = 65536) {
  AssemblerLimits limits;
  limits.max_message_bytes = max_message_bytes;
  limits.max_fragments = max_fragments;
  return limits;
}

using Events = std::vector<Seen>;
Seen text(std::string_view data) {
  return {Event::kMessage, true, std::string(data)};
}
Seen binary(std::string_view data) {
  return {Event::kMessage, false, std::string(data)};
}
Seen control(Event event, std::string_view data) {
  return {event, false, std::string(data)};
}

// In both modes, whole and in every small part, the result is the same; it is returned.
Recording everywhere(std::string_view bytes, const AssemblerLimits& limits = {}) {
  const Recording expected = record(bytes, limits);
  for (const bool streaming : {false, true}) {
    for (const size_t part : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{1000}, SIZE_MAX}) {
      const Recording recording = record(bytes, limits, streaming, nullptr, each(part));
      EXPECT_EQ(recording.events, expected.events) << (streaming ? "streaming, part " : "part ") << part;
      EXPECT_EQ(recording.error_text, expected.error_text) << (streaming ? "streaming, part " : "part ") << part;
      EXPECT_EQ(recording.error, expected.error);
      EXPECT_EQ(recording.in_message, expected.in_message);
      if (!recording.in_message && recording.error == StreamError::kNone && part == SIZE_MAX) {
        EXPECT_EQ(recording.held_bytes, 0u);
      }
    }
  }
  return expected;
}

void expect_error(std::string_view bytes, StreamError error, std::string_view error_text,
                  const AssemblerLimits& limits = {}) {
  const Recording recording = everywhere(bytes, limits);
  EXPECT_EQ(recording.error, error) << ::testing::PrintToString(bytes.substr(0, 20));
  EXPECT_EQ(recording.error_text, error_text);
}

TEST(Assembler, MessagesOfEveryLengthForm) {
  for (const size_t size : std::vector<size_t>{0, 1, 125, 126, 127, 65535, 65536, 200000}) {
    const std::string payload(size, 'x');
    EXPECT_EQ(everywhere(client_frame(kFin | kBinary, payload)).events, Events{binary(payload)});
    EXPECT_EQ(everywhere(client_frame(kFin | kText, payload)).events, Events{text(payload)});
  }
}

TEST(Assembler, ManyFramesInOneRead) {
  std::string bytes;
  Events expected;
  for (int i = 0; i < 100; ++i) {
    const std::string payload = "message " + std::to_string(i);
    bytes += client_frame(kFin | (i % 2 == 0 ? kText : kBinary), payload);
    expected.push_back(i % 2 == 0 ? text(payload) : binary(payload));
  }
  EXPECT_EQ(everywhere(bytes).events, expected);
}

TEST(Assembler, WholeFramesAreReportedInPlaceWithoutMemory) {
  for (const bool streaming : {false, true}) {
    Assembler assembler({}, streaming, nullptr);
    std::string bytes = client_frame(kFin | kText, "hello") + client_frame(kFin | kPing, "there");
    size_t consumed = 0;
    EventData data;
    ASSERT_EQ(assembler.next(bytes_of(bytes), bytes.size(), consumed, data),
              streaming ? Event::kFragment : Event::kMessage);
    EXPECT_EQ(consumed, 11u);
    EXPECT_EQ(data.data, bytes_of(bytes) + 6);
    EXPECT_TRUE(data.text);
    EXPECT_EQ(assembler.held_bytes(), 0u);
    ASSERT_EQ(assembler.next(bytes_of(bytes) + 11, 11, consumed, data), Event::kPing);
    EXPECT_EQ(consumed, 11u);
    EXPECT_EQ(data.data, bytes_of(bytes) + 17);
    EXPECT_EQ(assembler.held_bytes(), 0u);
  }
}

TEST(Assembler, ControlFrames) {
  const std::string longest(125, 'p');
  const std::string bytes = client_frame(kFin | kPing, "") + client_frame(kFin | kPing, longest) +
                            client_frame(kFin | kPong, "pong") + client_frame(kFin | kClose, "") +
                            client_frame(kFin | kClose, "\x03\xe8 bye");
  EXPECT_EQ(everywhere(bytes).events,
            (Events{control(Event::kPing, ""), control(Event::kPing, longest), control(Event::kPong, "pong"),
                    control(Event::kClose, ""), control(Event::kClose, "\x03\xe8 bye")}));
}

TEST(Assembler, FragmentsMakeAMessage) {
  EXPECT_EQ(everywhere(client_frame(kText, "one ") + client_frame(0, "two ") + client_frame(kFin, "three")).events,
            Events{text("one two three")});
  EXPECT_EQ(everywhere(client_frame(kBinary, "") + client_frame(0, "") + client_frame(kFin, "")).events,
            Events{binary("")});
  EXPECT_EQ(everywhere(client_frame(kBinary, "all") + client_frame(kFin, "")).events, Events{binary("all")});
  EXPECT_EQ(everywhere(client_frame(kBinary, "") + client_frame(kFin, "all")).events, Events{binary("all")});
}

TEST(Assembler, ControlFramesBetweenFragments) {
  const std::string bytes = client_frame(kText, "a") + client_frame(kFin | kPing, "1") + client_frame(0, "b") +
                            client_frame(kFin | kPong, "2") + client_frame(kFin, "c") + client_frame(kFin | kClose, "");
  EXPECT_EQ(everywhere(bytes).events,
            (Events{control(Event::kPing, "1"), control(Event::kPong, "2"), text("abc"), control(Event::kClose, "")}));
}

TEST(Assembler, SequenceErrors) {
  expect_error(client_frame(kFin, "x"), StreamError::kProtocol, "continuation frame without a message to continue");
  expect_error(client_frame(0, "x"), StreamError::kProtocol, "continuation frame without a message to continue");
  expect_error(client_frame(kFin | kText, "x") + client_frame(kFin, "y"), StreamError::kProtocol,
               "continuation frame without a message to continue");
  expect_error(client_frame(kText, "x") + client_frame(kFin, "y") + client_frame(kFin, "z"), StreamError::kProtocol,
               "continuation frame without a message to continue");
  expect_error(client_frame(kText, "x") + client_frame(kFin | kText, "y"), StreamError::kProtocol,
               "new message inside a fragmented one");
  expect_error(client_frame(kText, "x") + client_frame(kBinary, "y"), StreamError::kProtocol,
               "new message inside a fragmented one");
}

TEST(Assembler, SequenceIsJudgedAtTheFirstByte) {
  EXPECT_EQ(record("\x80").error, StreamError::kProtocol);
  EXPECT_EQ(record(client_frame(kText, "x") + "\x81").error, StreamError::kProtocol);
  EXPECT_EQ(record("\x81").error, StreamError::kNone);
}

TEST(Assembler, HeaderErrors) {
  expect_error("\x91\x80"s, StreamError::kProtocol, "reserved bit set");
  expect_error("\xa1\x80"s, StreamError::kProtocol, "reserved bit set");
  expect_error("\xc1\x80"s, StreamError::kProtocol, "reserved bit set");  // RSV1 without deflate
  expect_error("\x83\x80"s, StreamError::kProtocol, "reserved opcode");
  expect_error("\x8b\x80"s, StreamError::kProtocol, "reserved opcode");
  expect_error("\x81\x05"s, StreamError::kProtocol, "frame not masked");
  expect_error("\x89\xfe"s, StreamError::kProtocol, "control frame longer than 125 bytes");
  expect_error("\x09\x80"s, StreamError::kProtocol, "fragmented control frame");
  expect_error("\x82\xfe\x00\x7d"s, StreamError::kProtocol, "length not in its shortest form");
  expect_error("\x82\xff\x80"s, StreamError::kProtocol, "length with its top bit set");
}

TEST(Assembler, WhatCameBeforeAnErrorIsReported) {
  const Recording recording = everywhere(client_frame(kFin | kText, "good") + client_frame(kFin | kPing, "p") + "\x83");
  EXPECT_EQ(recording.events, (Events{text("good"), control(Event::kPing, "p")}));
  EXPECT_EQ(recording.error, StreamError::kProtocol);
}

TEST(Assembler, AnErrorIsTheEnd) {
  Recorder recorder({}, false, nullptr);
  recorder.feed("\x83");
  ASSERT_EQ(recorder.recording.error, StreamError::kProtocol);
  std::string more = client_frame(kFin | kText, "x");
  size_t consumed = 1;
  EventData data;
  EXPECT_EQ(recorder.assembler.next(bytes_of(more), more.size(), consumed, data), Event::kError);
  EXPECT_EQ(consumed, 0u);
}

TEST(Assembler, SizeLimitIsExact) {
  const AssemblerLimits limits = limited(1000);
  const std::string exact(1000, 'x');
  EXPECT_EQ(everywhere(client_frame(kFin | kBinary, exact), limits).events, Events{binary(exact)});
  EXPECT_EQ(everywhere(client_frame(kBinary, exact.substr(1)) + client_frame(kFin, "x"), limits).events,
            Events{binary(exact)});
  EXPECT_EQ(everywhere(client_frame(kBinary, exact) + client_frame(kFin, ""), limits).events, Events{binary(exact)});
  expect_error(client_frame(kFin | kBinary, exact + "x"), StreamError::kTooBig, "message too big", limits);
  expect_error(client_frame(kBinary, exact) + client_frame(kFin, "x"), StreamError::kTooBig, "message too big", limits);
}

TEST(Assembler, SizeIsRefusedAtTheHeader) {
  const std::string mask(4, 'm');
  const AssemblerLimits limits = limited(1000);
  EXPECT_EQ(record(client_header(kFin | kBinary, 1001, mask), limits).error, StreamError::kTooBig);
  EXPECT_EQ(record(client_header(kFin | kBinary, 1000, mask), limits).error, StreamError::kNone);
  EXPECT_EQ(record(client_frame(kBinary, "abc") + client_header(0, 998, mask), limits).error, StreamError::kTooBig);
  EXPECT_EQ(record(client_frame(kBinary, "abc") + client_header(0, 997, mask), limits).error, StreamError::kNone);
  const uint64_t greatest = (uint64_t{1} << 63) - 1;
  EXPECT_EQ(record(client_header(kFin | kBinary, greatest, mask)).error, StreamError::kTooBig);
  EXPECT_EQ(record(client_frame(kBinary, "abc") + client_header(0, greatest, mask), limited(UINT64_MAX)).error,
            StreamError::kTooBig);
}

TEST(Assembler, FragmentLimitIsExact) {
  const std::string first = client_frame(kBinary, "a");
  const std::string middle = client_frame(0, "b");
  const std::string last = client_frame(kFin, "c");
  const AssemblerLimits three = limited(1000, 3);
  EXPECT_EQ(everywhere(first + middle + last, three).events, Events{binary("abc")});
  EXPECT_EQ(
      everywhere(first + middle + client_frame(kFin | kPing, "") + last + first + middle + last, three).events.size(),
      3u)
      << "control frames do not count, each message counts anew";
  expect_error(first + middle + middle + last, StreamError::kTooManyFragments, "message in too many fragments", three);
  expect_error(first + last, StreamError::kTooManyFragments, "message in too many fragments", limited(1000, 1));
}

TEST(Assembler, TextIsCheckedAcrossFramesAndReads) {
  const std::string kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5 \xf0\x9f\x98\x80";
  for (size_t cut = 0; cut <= kosme.size(); ++cut) {
    EXPECT_EQ(everywhere(client_frame(kText, kosme.substr(0, cut)) + client_frame(kFin | kPing, "") +
                         client_frame(kFin, kosme.substr(cut)))
                  .events.back(),
              text(kosme));
  }
  expect_error(client_frame(kFin | kText, "\xce"), StreamError::kInvalidText, "text is not UTF-8");
  expect_error(client_frame(kText, "\xf0\x9f") + client_frame(kFin, ""), StreamError::kInvalidText,
               "text is not UTF-8");
  expect_error(client_frame(kText, "\xed") + client_frame(kFin, "\xa0\x80"), StreamError::kInvalidText,
               "text is not UTF-8");
  expect_error(client_frame(kFin | kText, "\xff") + client_frame(kFin | kText, ""), StreamError::kInvalidText,
               "text is not UTF-8");
  EXPECT_EQ(everywhere(client_frame(kFin | kBinary, "\xff\xc0")).events, Events{binary("\xff\xc0")});
  EXPECT_EQ(everywhere(client_frame(kFin | kText, "ok") + client_frame(kFin | kText, kosme)).events,
            (Events{text("ok"), text(kosme)}));
}

TEST(Assembler, TextFailsAtItsFirstBadByte) {
  const std::string bad = std::string(50, 'a') + "\xf4\x90" + std::string(100, 'a');
  const std::string bytes = client_frame(kText, bad);
  const size_t header = 8;
  for (const bool streaming : {false, true}) {
    EXPECT_EQ(record(bytes.substr(0, header + 51), {}, streaming).error, StreamError::kNone);
    EXPECT_EQ(record(bytes.substr(0, header + 52), {}, streaming).error, StreamError::kInvalidText);
    EXPECT_EQ(record(bytes.substr(0, header + 52), {}, streaming, nullptr, each(1)).error, StreamError::kInvalidText);
  }
}

TEST(Assembler, InMessageFromFirstByteToLast) {
  const std::string bytes = client_frame(kText, "ab") + client_frame(kFin | kPing, "p") + client_frame(kFin, "c");
  for (const bool streaming : {false, true}) {
    Recorder recorder({}, streaming, nullptr);
    EXPECT_FALSE(recorder.assembler.in_message());
    for (size_t i = 0; i < bytes.size(); ++i) {
      recorder.feed(bytes.substr(i, 1));
      EXPECT_EQ(recorder.assembler.in_message(), i + 1 < bytes.size()) << i;
    }
    recorder.feed(client_frame(kFin | kPing, "p").substr(0, 3));
    EXPECT_FALSE(recorder.assembler.in_message()) << "part of a control frame is not a message";
  }
}

TEST(Assembler, StreamingReportsPiecesAsTheyCome) {
  Recorder recorder({}, true, nullptr);
  const std::string frame = client_frame(kBinary, std::string(1000, 'x'));
  recorder.feed(frame.substr(0, 8));
  EXPECT_TRUE(recorder.recording.pieces.empty());
  recorder.feed(frame.substr(8, 300));
  recorder.feed(frame.substr(308));
  recorder.feed(client_frame(0, ""));
  recorder.feed(client_frame(kFin, ""));
  EXPECT_EQ(recorder.recording.pieces, (std::vector<size_t>{300, 700, 0}));
  EXPECT_EQ(recorder.recording.events, Events{binary(std::string(1000, 'x'))});
  EXPECT_EQ(recorder.recording.most_held_bytes, 0u);
}

TEST(Assembler, LargeMessageIsHeldOnceAndLetGo) {
  const std::string payload(3 << 20, 'x');
  Recorder recorder(limited(10 << 20), false, nullptr);
  recorder.feed(client_frame(kFin | kBinary, payload), each(65536));
  EXPECT_EQ(recorder.recording.events, Events{binary(payload)});
  EXPECT_LT(recorder.recording.most_held_bytes, payload.size() + 1024);
  EXPECT_EQ(recorder.recording.held_bytes, 0u);
}

TEST(Assembler, AnAnnouncedLengthIsNotBelievedBeyondAMegabyte) {
  Recorder recorder(limited(uint64_t{1} << 40), false, nullptr);
  recorder.feed(client_header(kFin | kBinary, uint64_t{1} << 39, "mask") + "x");
  EXPECT_EQ(recorder.recording.error, StreamError::kNone);
  EXPECT_LT(recorder.recording.held_bytes, (1u << 20) + 1024);
}

TEST(Assembler, FragmentsNeverHoldMoreThanTheLimit) {
  Recorder recorder(limited(3000), false, nullptr);
  recorder.feed(client_frame(kBinary, "a"));
  for (int i = 0; i < 2998; ++i) recorder.feed(client_frame(0, "b"));
  recorder.feed(client_frame(kFin, "c"));
  ASSERT_EQ(recorder.recording.events.size(), 1u);
  EXPECT_LT(recorder.recording.most_held_bytes, 3000u + 512);
  EXPECT_EQ(recorder.recording.held_bytes, 0u);
}

TEST(Assembler, LackOfMemoryIsAnError) {
  if (!kCanPlayShortage) GTEST_SKIP() << "not under a sanitizer";
  Assembler assembler(limited(uint64_t{1} << 40), false, nullptr);
  std::string header = client_header(kFin | kBinary, uint64_t{1} << 39, "mask");
  std::string megabyte(1 << 20, 'x');
  size_t consumed = 0;
  EventData data;
  Event event = assembler.next(bytes_of(header), header.size(), consumed, data);
  size_t megabytes = 0;
  {
    const MemoryShortage shortage(8 << 20);
    for (; event == Event::kNeedMore && megabytes < 1024; ++megabytes) {
      event = assembler.next(bytes_of(megabyte), megabyte.size(), consumed, data);
    }
  }
  EXPECT_LT(megabytes, 1024u);
  EXPECT_EQ(event, Event::kError);
  EXPECT_EQ(assembler.error(), StreamError::kNoMemory);
  EXPECT_EQ(assembler.held_bytes(), 0u);
}

TEST(Assembler, DiscardedDataIsParsedButNotReported) {
  for (const bool streaming : {false, true}) {
    Recorder recorder(limited(100, 2), streaming, nullptr);
    recorder.assembler.discard_data();
    recorder.feed(client_frame(kFin | kText, "\xff") + client_frame(kFin | kBinary, std::string(5000, 'x')) +
                      client_frame(kText, "a") + client_frame(0, "b") + client_frame(kFin | kPing, "p") +
                      client_frame(0, "c") + client_frame(kFin, "d") + client_frame(kFin | kClose, "\x03\xe8"),
                  each(1000));
    EXPECT_EQ(recorder.recording.error, StreamError::kNone);
    EXPECT_EQ(recorder.recording.events, (Events{control(Event::kPing, "p"), control(Event::kClose, "\x03\xe8")}));
    EXPECT_FALSE(recorder.recording.in_message);
    EXPECT_LT(recorder.recording.most_held_bytes, 512u);
    recorder.feed(client_frame(kFin, "x"));
    EXPECT_EQ(recorder.recording.error, StreamError::kProtocol) << "framing is still judged";
  }
}

TEST(Assembler, DiscardingLetsGoOfABegunMessage) {
  Recorder recorder({}, false, nullptr);
  const std::string bytes = client_frame(kText, std::string(60000, 'x')) + client_frame(0, std::string(1000, 'y'));
  recorder.feed(bytes.substr(0, bytes.size() - 500));
  EXPECT_GT(recorder.recording.held_bytes, 60000u);
  recorder.assembler.discard_data();
  recorder.feed(bytes.substr(bytes.size() - 500, 100));
  EXPECT_EQ(recorder.recording.held_bytes, 0u);
  recorder.feed(bytes.substr(bytes.size() - 400) + client_frame(kFin, "z") + client_frame(kFin | kClose, ""));
  EXPECT_EQ(recorder.recording.events, Events{control(Event::kClose, "")});
}

TEST(Assembler, DiscardingKeepsTheLastEventsDataUntilTheNextCall) {
  Assembler assembler({}, false, nullptr);
  std::string bytes = client_frame(kText, "hello ") + client_frame(kFin, "there");
  size_t consumed = 0;
  EventData data;
  ASSERT_EQ(assembler.next(bytes_of(bytes), bytes.size(), consumed, data), Event::kMessage);
  EXPECT_LT(consumed, bytes.size()) << "a rest that makes it let go";
  assembler.discard_data();
  EXPECT_EQ(view_of(data.data, data.length), "hello there");
  const size_t rest = bytes.size() - consumed;
  ASSERT_EQ(assembler.next(bytes_of(bytes) + consumed, rest, consumed, data), Event::kNeedMore);
  EXPECT_EQ(consumed, rest);
  EXPECT_EQ(assembler.held_bytes(), 0u);
}

TEST(Assembler, NoBytesNeedMore) {
  Assembler assembler({}, false, nullptr);
  size_t consumed = 1;
  EventData data;
  EXPECT_EQ(assembler.next(nullptr, 0, consumed, data), Event::kNeedMore);
  EXPECT_EQ(consumed, 0u);
}

}  // namespace
