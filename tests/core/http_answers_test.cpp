// The answers to a request: 101 with what was agreed, and whole responses.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "core/handshake.h"

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using wsb::core::Handshake;

TEST(HttpAnswers, SwitchingProtocols) {
  Handshake handshake;
  handshake.accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
  EXPECT_EQ(wsb::core::build_switching_protocols(handshake, {}),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
  handshake.subprotocol = "v2.0";
  handshake.deflate_response = "permessage-deflate";
  EXPECT_EQ(wsb::core::build_switching_protocols(handshake, {{"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}}),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: v2.0\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n");
}

TEST(HttpAnswers, WholeResponse) {
  EXPECT_EQ(wsb::core::build_response(404, "text/plain", "gone\0!"sv, {{"X-A", "1"}}, false),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n"
            "X-A: 1\r\n\r\ngone\0!"s);
  EXPECT_EQ(wsb::core::build_response(200, "", "", {}, false),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST(HttpAnswers, HeadHasTheLengthAndNoBody) {
  EXPECT_EQ(wsb::core::build_response(200, "text/plain", "hello", {}, true),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
}

TEST(HttpAnswers, UpgradeRequiredSaysToWhat) {
  EXPECT_EQ(wsb::core::build_response(426, "", "", {{"Sec-WebSocket-Version", "13"}}, false),
            "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n\r\n");
}

TEST(HttpAnswers, StatusesWithoutContent) {
  for (const uint32_t status : {204U, 304U}) {
    const std::string answer = wsb::core::build_response(status, "text/plain", "body", {}, false);
    EXPECT_EQ(answer.find("Content-"), std::string::npos);
    EXPECT_EQ(answer.substr(answer.size() - 4), "\r\n\r\n");
  }
  EXPECT_EQ(wsb::core::build_response(205, "text/plain", "body", {}, false),
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST(HttpAnswers, StatusTexts) {
  EXPECT_EQ(wsb::core::status_text(101), "Switching Protocols");
  EXPECT_EQ(wsb::core::status_text(200), "OK");
  EXPECT_EQ(wsb::core::status_text(401), "Unauthorized");
  EXPECT_EQ(wsb::core::status_text(426), "Upgrade Required");
  EXPECT_EQ(wsb::core::status_text(428), "Precondition Required");
  EXPECT_EQ(wsb::core::status_text(429), "Too Many Requests");
  EXPECT_EQ(wsb::core::status_text(431), "Request Header Fields Too Large");
  EXPECT_EQ(wsb::core::status_text(503), "Service Unavailable");
  EXPECT_EQ(wsb::core::status_text(511), "Network Authentication Required");
  for (const uint32_t status : {0U, 199U, 306U, 418U, 499U, 599U, 1000U}) {
    EXPECT_EQ(wsb::core::status_text(status), "Unknown") << status;
  }
}

TEST(HttpAnswers, HeadersThatApplicationsMayAdd) {
  EXPECT_TRUE(wsb::core::may_add_header("X-Server", "a b; c=\"d\""));
  EXPECT_TRUE(wsb::core::may_add_header("Set-Cookie", ""));
  EXPECT_TRUE(wsb::core::may_add_header("WWW-Authenticate", "Basic realm=\"caf\xC3\xA9\""));
  EXPECT_TRUE(wsb::core::may_add_header("Sec-WebSocket", "x"));
  for (const char* name :
       {"", "a b", "a:", "a\r\nb", "\xC3\xA9", "Connection", "UPGRADE", "content-length", "Content-Type",
        "Transfer-Encoding", "Sec-WebSocket-Accept", "sec-websocket-protocol", "SEC-WEBSOCKET-"}) {
    EXPECT_FALSE(wsb::core::may_add_header(name, "x")) << name;
  }
  for (const std::string_view value : {"a\r\nb"sv, "a\nb"sv, "a\rb"sv, "a\0b"sv, "a\tb"sv, "\x7F"sv, "\x1B"sv}) {
    EXPECT_FALSE(wsb::core::may_add_header("X", value)) << value;
  }
}

}  // namespace
