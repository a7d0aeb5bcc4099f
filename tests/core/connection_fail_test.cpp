// What a connection does about a peer that breaks the rules: the code on the wire, the cause in the report, and TCP
// ended without waiting for an answer.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "connection_fixture.h"

namespace {

using namespace std::string_literals;
using namespace wsb::core;
using namespace wsb::core::testing;

struct Offence {
  const char* name;
  std::string bytes;
  uint32_t code;
  const char* cause;
};

std::string close_payload(uint32_t code, std::string_view reason = {}) {
  return close_frame(code, reason).payload;
}

void PrintTo(const Offence& offence, std::ostream* out) {
  *out << offence.name;
}

const std::vector<Offence>& offences() {
  static const std::vector<Offence> all{
      {"NotMasked", "\x81\x02hi", 1002, "protocol_error"},
      {"Rsv1", client_frame(kFin | kRsv1 | 1, "x"), 1002, "protocol_error"},
      {"Rsv2", client_frame(kFin | 0x20 | 1, "x"), 1002, "protocol_error"},
      {"Rsv3", client_frame(kFin | 0x10 | 1, "x"), 1002, "protocol_error"},
      {"ReservedDataOpcode", client_frame(kFin | 3, "x"), 1002, "protocol_error"},
      {"ReservedControlOpcode", client_frame(kFin | 11, "x"), 1002, "protocol_error"},
      {"LongPing", client_header(kFin | 9, 126, "mask"), 1002, "protocol_error"},
      {"FragmentedPing", client_frame(9, "x"), 1002, "protocol_error"},
      {"LengthNotMinimal", "\x82\xfe\x00\x05"s, 1002, "protocol_error"},
      {"LengthOf64Bits", "\x82\xff\x80"s, 1002, "protocol_error"},
      {"Continuation", client_frame(kFin, "x"), 1002, "protocol_error"},
      {"MessageInMessage", client_frame(1, "x") + client_frame(kFin | 1, "y"), 1002, "protocol_error"},
      {"InvalidText", client_frame(kFin | 1, "ok \xff"), 1007, "invalid_text"},
      {"InvalidTextInAFragment", client_frame(1, "ok ") + client_frame(0, "\xc0"), 1007, "invalid_text"},
      {"TextEndsInACharacter", client_frame(kFin | 1, "\xe2\x82"), 1007, "invalid_text"},
      {"TooBig", client_header(kFin | 2, 1001, "mask"), 1009, "message_too_big"},
      {"TooBigInFragments", client_frame(2, std::string(600, 'x')) + client_header(0, 401, "mask"), 1009,
       "message_too_big"},
      {"TooManyFragments", client_frame(2, "x") + client_frame(0, "x") + client_frame(0, "x") + client_frame(0, "x"),
       1008, "message_too_big"},
      {"CloseOfOneByte", client_frame(kFin | 8, "\x03"), 1002, "protocol_error"},
      {"CloseCode0", client_frame(kFin | 8, "\0\0"s), 1002, "protocol_error"},
      {"CloseCode999", client_frame(kFin | 8, close_payload(999)), 1002, "protocol_error"},
      {"CloseCode1004", client_frame(kFin | 8, close_payload(1004)), 1002, "protocol_error"},
      {"CloseCode1005", client_frame(kFin | 8, "\x03\xed"), 1002, "protocol_error"},
      {"CloseCode1006", client_frame(kFin | 8, close_payload(1006)), 1002, "protocol_error"},
      {"CloseCode1015", client_frame(kFin | 8, close_payload(1015)), 1002, "protocol_error"},
      {"CloseCode1016", client_frame(kFin | 8, close_payload(1016)), 1002, "protocol_error"},
      {"CloseCode2999", client_frame(kFin | 8, close_payload(2999)), 1002, "protocol_error"},
      {"CloseCode5000", client_frame(kFin | 8, close_payload(5000)), 1002, "protocol_error"},
      {"CloseReasonNotUtf8", client_frame(kFin | 8, close_payload(1000, "\xff")), 1007, "invalid_text"},
  };
  return all;
}

class ConnectionOffenceTest : public ConnectionTest, public ::testing::WithParamInterface<Offence> {
 protected:
  ConnectionOffenceTest() {
    config.limits.max_message_bytes = 1000;
    config.limits.max_fragments = 3;
  }
  std::string expected_report() const {
    return "closed 1006 \"\" sent " + std::to_string(GetParam().code) + " unclean local " + GetParam().cause;
  }
  // The one Close on the wire; its reason says something.
  void expect_close_on_wire(const ServerFrame& frame) {
    EXPECT_EQ(frame.opcode, 8);
    ASSERT_GT(frame.payload.size(), 2u) << "no reason given";
    EXPECT_EQ(frame.payload.substr(0, 2), close_payload(GetParam().code));
  }
};

INSTANTIATE_TEST_SUITE_P(All, ConnectionOffenceTest, ::testing::ValuesIn(offences()),
                         [](const auto& offence) { return offence.param.name; });

TEST_P(ConnectionOffenceTest, ClosesWithItsCodeAndDoesNotWait) {
  open();
  receive(client_frame(kFin | 1, "fine") + GetParam().bytes + client_frame(kFin | 1, "behind"));
  EXPECT_EQ(log(), (Log{"text fine", expected_report()}));
  const ServerFrames frames = sent();
  ASSERT_EQ(frames.size(), 1u);
  expect_close_on_wire(frames[0]);
  EXPECT_EQ(shutdowns, 1u) << "right behind it";
  receive_text("late");
  receive_close(1000);
  EXPECT_EQ(sent(), ServerFrames{});
  EXPECT_EQ(log(), Log{});
  expect_fin_and_end();
}

TEST_P(ConnectionOffenceTest, ByteByByte) {
  open();
  for (const char byte : GetParam().bytes + client_frame(kFin | 1, "behind")) receive({&byte, 1});
  EXPECT_EQ(log(), Log{expected_report()});
  const ServerFrames frames = sent();
  ASSERT_EQ(frames.size(), 1u);
  expect_close_on_wire(frames[0]);
  expect_fin_and_end();
}

TEST_P(ConnectionOffenceTest, TheCloseGoesBehindWhatIsQueued) {
  open();
  room = 20;
  send(std::string(90, 'a'));
  send("b");
  turn();
  receive(GetParam().bytes);
  EXPECT_EQ(log(), Log{expected_report()});
  room = SIZE_MAX;
  const ServerFrames frames = sent();
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0], text_frame(std::string(90, 'a')));
  EXPECT_EQ(frames[1], text_frame("b"));
  expect_close_on_wire(frames[2]);
  expect_fin_and_end();
}

TEST_P(ConnectionOffenceTest, APeerThatDoesNotReadIsResetInTime) {
  config.close_timeout_ms = 700;
  config.message_timeout_ms = 100;
  open();
  room = 0;
  send("never leaves");
  receive(GetParam().bytes);
  log();
  run_us(from_ms(700) - 1);
  EXPECT_FALSE(conn->dead());
  run_us(1);
  EXPECT_TRUE(conn->dead());
  EXPECT_TRUE(conn->wants_reset());
  EXPECT_EQ(log(), Log{"dropped 1"});
  EXPECT_EQ(events.closed_count, 1u);
}

TEST_P(ConnectionOffenceTest, OrEndsByItself) {
  open();
  room = 0;
  receive(GetParam().bytes);
  conn->transport_ended(events);
  EXPECT_EQ(log(), Log{expected_report()});
  EXPECT_TRUE(conn->dead());
}

TEST_F(ConnectionTest, WhatLiesExactlyAtTheLimitsIsNoOffence) {
  config.limits.max_message_bytes = 1000;
  config.limits.max_fragments = 3;
  open();
  receive(client_frame(kFin | 2, std::string(1000, 'x')) + client_frame(2, "x") + client_frame(0, "x") +
          client_frame(kFin, std::string(998, 'x')));
  EXPECT_EQ(log(), (Log{"binary 1000 bytes", "binary 1000 bytes"}));
  EXPECT_EQ(state(), State::kOpen);
}

}  // namespace
