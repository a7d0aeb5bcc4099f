// The opening handshake judged (RFC 6455, 4.2).
#include "core/handshake.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "wsbeat/wsbeat.h"

namespace {

using namespace std::string_literals;
using wsb::core::Handshake;
using wsb::core::HandshakeConfig;
using wsb::core::HeaderList;
using wsb::core::Refusal;
using wsb::core::Request;

constexpr const char* kSampleKey = "dGhlIHNhbXBsZSBub25jZQ==";         // RFC 6455, 1.3
constexpr const char* kSampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";  // the same

// A correct handshake, to be made wrong in one point.
class Client {
 public:
  std::string request_line = "GET /chat HTTP/1.1";

  Client& set(const std::string& name, const std::string& value) {
    for (auto& header : headers_) {
      if (header.first == name) {
        header.second = value;
        return *this;
      }
    }
    return add(name, value);
  }
  Client& add(const std::string& name, const std::string& value) {
    headers_.emplace_back(name, value);
    return *this;
  }
  Client& remove(const std::string& name) {
    headers_.erase(std::remove_if(headers_.begin(), headers_.end(), [&](const auto& h) { return h.first == name; }),
                   headers_.end());
    return *this;
  }
  std::string head() const {
    std::string head = request_line + "\r\n";
    for (const auto& [name, value] : headers_) head += name + ": " + value + "\r\n";
    return head + "\r\n";
  }

 private:
  HeaderList headers_ = {{"Host", "server.example.com"},
                         {"Upgrade", "websocket"},
                         {"Connection", "Upgrade"},
                         {"Sec-WebSocket-Key", kSampleKey},
                         {"Sec-WebSocket-Version", "13"}};
};

struct Outcome {
  bool accepted = false;
  Handshake handshake;
  Refusal refusal;
};

Outcome judge(const Client& client, const HandshakeConfig& config = {}) {
  const std::string head = client.head();
  Request request;
  size_t head_bytes = 0;
  const char* text = "";
  EXPECT_EQ(wsb::core::parse_request(head, head.size(), request, head_bytes, text), wsb::core::RequestResult::kOk)
      << text;
  Outcome outcome;
  outcome.accepted = judge_handshake(request, config, outcome.handshake, outcome.refusal);
  return outcome;
}

void expect_refused(const Client& client, uint32_t status, uint32_t refusal, const HandshakeConfig& config = {}) {
  const Outcome outcome = judge(client, config);
  EXPECT_FALSE(outcome.accepted) << client.head();
  EXPECT_EQ(outcome.refusal.status, status) << client.head();
  EXPECT_EQ(outcome.refusal.refusal, refusal) << client.head();
  EXPECT_FALSE(outcome.refusal.body.empty());
  EXPECT_EQ(outcome.refusal.body.find('\n'), std::string::npos);
}

void expect_bad_request(const Client& client) {
  expect_refused(client, 400, WSB_REFUSAL_BAD_REQUEST);
}

TEST(HandshakeJudge, AcceptsTheSampleOfTheRfc) {
  const Outcome outcome =
      judge(Client().set("Origin", "http://server.example.com").set("Sec-WebSocket-Protocol", "chat, superchat"),
            {{"superchat"}, false, {}, {}});
  ASSERT_TRUE(outcome.accepted);
  EXPECT_EQ(outcome.handshake.accept, kSampleAccept);
  EXPECT_EQ(outcome.handshake.subprotocol, "superchat");
  EXPECT_FALSE(outcome.handshake.deflate.agreed);
  EXPECT_EQ(outcome.handshake.deflate_response, "");
}

TEST(HandshakeJudge, AcceptForKey) {
  EXPECT_EQ(wsb::core::accept_for_key(kSampleKey), kSampleAccept);
  EXPECT_EQ(wsb::core::accept_for_key("x3JJHMbDL1EzLkh9GBhXDw=="), "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

TEST(HandshakeJudge, MethodIsGet) {
  Client client;
  for (const char* method : {"POST", "HEAD", "get", "OPTIONS"}) {
    client.request_line = method + " / HTTP/1.1"s;
    expect_refused(client, 405, WSB_REFUSAL_BAD_REQUEST);
    EXPECT_EQ(judge(client).refusal.headers, (HeaderList{{"Allow", "GET"}}));
  }
}

TEST(HandshakeJudge, VersionOfHttpIsOneOne) {
  Client client;
  client.request_line = "GET / HTTP/1.0";
  expect_refused(client, 505, WSB_REFUSAL_BAD_REQUEST);
}

TEST(HandshakeJudge, HostMayNotBeEmpty) {
  expect_bad_request(Client().set("Host", ""));
  Client absolute;
  absolute.set("Host", "").request_line = "GET ws://server.example.com/ HTTP/1.1";
  EXPECT_TRUE(judge(absolute).accepted);
}

TEST(HandshakeJudge, UpgradeAndConnectionTokens) {
  EXPECT_TRUE(judge(Client().set("Upgrade", "WebSocket").set("Connection", "keep-alive, upgrade")).accepted);
  EXPECT_TRUE(judge(Client().set("Upgrade", "h2c").add("Upgrade", "websocket")).accepted);
  EXPECT_TRUE(judge(Client().set("Connection", "x").add("Connection", "UPGRADE")).accepted);
  expect_bad_request(Client().remove("Upgrade"));
  expect_bad_request(Client().set("Upgrade", "websockets"));
  expect_bad_request(Client().set("Upgrade", "websocket/13"));
  expect_bad_request(Client().set("Upgrade", ""));
  expect_bad_request(Client().remove("Connection"));
  expect_bad_request(Client().set("Connection", "keep-alive"));
  expect_bad_request(Client().set("Connection", "Upgrade2"));
}

TEST(HandshakeJudge, WantsWebSocket) {
  Request request;
  EXPECT_FALSE(wsb::core::wants_websocket(request));
  request.headers.push_back({"upgrade", "h2c, WEBSOCKET"});
  EXPECT_TRUE(wsb::core::wants_websocket(request));
}

TEST(HandshakeJudge, WebSocketVersionIsThirteen) {
  expect_bad_request(Client().remove("Sec-WebSocket-Version"));
  for (const char* version : {"8", "14", "", "013", "13, 8", "thirteen"}) {
    const Client client = Client().set("Sec-WebSocket-Version", version);
    expect_refused(client, 426, WSB_REFUSAL_VERSION);
    EXPECT_EQ(judge(client).refusal.headers, (HeaderList{{"Sec-WebSocket-Version", "13"}}));
  }
}

TEST(HandshakeJudge, KeyIsSixteenBytes) {
  expect_bad_request(Client().remove("Sec-WebSocket-Key"));
  for (const char* key : {"", "abc", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ",
                          "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZTE=", "dGhlIHNhbXBsZSBub25jZTEy",
                          "dGhlIHNhbXBsZSBub25jZQ==, x", "dGhlIHNhbXBsZS*ub25jZQ==", "dGhlIHNhbXBsZS-ub25jZQ==",
                          "dGhlIHNhbXBs==Bub25jZQ==", "SGVsbG8sIHdvcmxkIQ==", "dGhlIHNh bXBsZSBub25jZQ="}) {
    expect_bad_request(Client().set("Sec-WebSocket-Key", key));
  }
  // The four spare bits are not zero: it still decodes to 16 bytes.
  EXPECT_TRUE(judge(Client().set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZf==")).accepted);
}

TEST(HandshakeJudge, SubprotocolListIsWellFormed) {
  for (const char* list : {"", ",", "a b", "a/b", "a, b@c", "a;q=1", "\"a\"", "a, b, a", "\xC3\xA9"}) {
    expect_bad_request(Client().set("Sec-WebSocket-Protocol", list));
  }
  expect_bad_request(Client().set("Sec-WebSocket-Protocol", "a").add("Sec-WebSocket-Protocol", "b, a"));
  const Outcome outcome = judge(Client().set("Sec-WebSocket-Protocol", "b ,, A,").add("sec-websocket-protocol", "a"));
  ASSERT_TRUE(outcome.accepted);
  EXPECT_EQ(outcome.handshake.offered, (std::vector<std::string>{"b", "A", "a"}));
}

TEST(HandshakeJudge, SubprotocolByTheServersPreference) {
  HandshakeConfig config;
  config.subprotocols = {"v2.0", "v1.5"};
  EXPECT_EQ(judge(Client().set("Sec-WebSocket-Protocol", "v1.5, v2.0"), config).handshake.subprotocol, "v2.0");
  EXPECT_EQ(judge(Client().set("Sec-WebSocket-Protocol", "v1.5"), config).handshake.subprotocol, "v1.5");
  EXPECT_EQ(judge(Client().set("Sec-WebSocket-Protocol", "V2.0"), config).handshake.subprotocol, "");
  const Outcome none = judge(Client(), config);
  EXPECT_TRUE(none.accepted);
  EXPECT_EQ(none.handshake.subprotocol, "");
  EXPECT_TRUE(none.handshake.offered.empty());
}

TEST(HandshakeJudge, SubprotocolRequired) {
  HandshakeConfig config;
  config.subprotocols = {"v2.0", "v1.5"};
  config.require_subprotocol = true;
  EXPECT_TRUE(judge(Client().set("Sec-WebSocket-Protocol", "x, v1.5"), config).accepted);
  for (const Client& client : {Client(), Client().set("Sec-WebSocket-Protocol", "x")}) {
    expect_refused(client, 400, WSB_REFUSAL_SUBPROTOCOL, config);
    const Refusal refusal = judge(client, config).refusal;
    EXPECT_EQ(refusal.headers, (HeaderList{{"Sec-WebSocket-Protocol", "v2.0, v1.5"}}));
    EXPECT_NE(refusal.body.find("v2.0, v1.5"), std::string::npos);
  }
}

TEST(HandshakeJudge, AppBeatIsForThoseWhoAsk) {
  const auto asks = [](const char* line, const char* offered, const HandshakeConfig& config) {
    Client client;
    client.request_line = std::string("GET ") + line + " HTTP/1.1";
    if (*offered != '\0') client.add("Sec-WebSocket-Protocol", offered);
    const Outcome outcome = judge(client, config);
    EXPECT_TRUE(outcome.accepted) << outcome.refusal.body;
    return std::make_pair(outcome.handshake.wants_app_beat, outcome.handshake.subprotocol);
  };
  HandshakeConfig on;
  on.app_beat = true;
  on.subprotocols = {"v2.0", "v1.5"};
  EXPECT_EQ(asks("/", "", on), std::make_pair(false, ""s));
  EXPECT_EQ(asks("/?wsbeat-beat=1", "", on), std::make_pair(true, ""s));
  EXPECT_EQ(asks("/a?token=x&wsbeat-beat=1&b", "v1.5", on), std::make_pair(true, "v1.5"s));
  for (const char* other : {"/?wsbeat-beat=0", "/?wsbeat-beat", "/?wsbeat-beat=", "/?wsbeat-beat=11", "/?beat=1"}) {
    EXPECT_EQ(asks(other, "", on), std::make_pair(false, ""s)) << other;
  }
  EXPECT_EQ(asks("/", "wsbeat.beat.v1, v1.5", on), std::make_pair(true, "v1.5"s)) << "the application's comes first";
  EXPECT_EQ(asks("/", "wsbeat.beat.v1", on), std::make_pair(true, "wsbeat.beat.v1"s))
      << "browsers insist on one of theirs";
  EXPECT_EQ(asks("/", "other, wsbeat.beat.v1", on), std::make_pair(true, "wsbeat.beat.v1"s));
  EXPECT_EQ(asks("/", "wsbeat.beat.v2", on), std::make_pair(false, ""s));
  on.app_beat = false;
  EXPECT_EQ(asks("/?wsbeat-beat=1", "wsbeat.beat.v1", on), std::make_pair(false, ""s)) << "off";
}

TEST(HandshakeJudge, AskingForBeatsIsNoSubprotocolThatIsRequired) {
  HandshakeConfig config;
  config.app_beat = true;
  config.subprotocols = {"v2.0"};
  config.require_subprotocol = true;
  Client client;
  client.add("Sec-WebSocket-Protocol", "wsbeat.beat.v1");
  EXPECT_EQ(judge(client, config).refusal.status, 400u);
  client.set("Sec-WebSocket-Protocol", "wsbeat.beat.v1, v2.0");
  EXPECT_TRUE(judge(client, config).handshake.wants_app_beat);
}

TEST(HandshakeJudge, ManySubprotocolsAreJudgedFast) {
  std::string list = "p0";
  for (int i = 1; i < 100000; ++i) list += ",p" + std::to_string(i);
  EXPECT_EQ(judge(Client().set("Sec-WebSocket-Protocol", list)).handshake.offered.size(), 100000U);
  expect_bad_request(Client().set("Sec-WebSocket-Protocol", list + ",p7"));
}

TEST(HandshakeJudge, Extensions) {
  HandshakeConfig config;
  config.deflate.enabled = true;
  const Outcome agreed = judge(Client().set("Sec-WebSocket-Extensions", "permessage-deflate"), config);
  ASSERT_TRUE(agreed.accepted);
  EXPECT_TRUE(agreed.handshake.deflate.agreed);
  EXPECT_EQ(agreed.handshake.deflate_response.rfind("permessage-deflate", 0), 0U);
  const Outcome second =
      judge(Client().set("Sec-WebSocket-Extensions", "x-other").add("Sec-WebSocket-Extensions", "permessage-deflate"),
            config);
  EXPECT_TRUE(second.handshake.deflate.agreed);
  const Outcome off = judge(Client().set("Sec-WebSocket-Extensions", "permessage-deflate"));
  EXPECT_TRUE(off.accepted);
  EXPECT_FALSE(off.handshake.deflate.agreed);
  EXPECT_EQ(off.handshake.deflate_response, "");
  expect_bad_request(Client().set("Sec-WebSocket-Extensions", "permessage-deflate; =10"));
  expect_bad_request(Client().set("Sec-WebSocket-Extensions", "a").add("Sec-WebSocket-Extensions", "b c"));
}

TEST(HandshakeJudge, NoBody) {
  EXPECT_TRUE(judge(Client().set("Content-Length", "0")).accepted);
  EXPECT_TRUE(judge(Client().set("Content-Length", "00")).accepted);
  expect_bad_request(Client().set("Content-Length", "1"));
  expect_bad_request(Client().set("Content-Length", "10"));
  expect_bad_request(Client().set("Transfer-Encoding", "chunked"));
}

TEST(HandshakeJudge, Origin) {
  EXPECT_TRUE(judge(Client()).accepted);
  EXPECT_TRUE(judge(Client().set("Origin", "https://server.example.com")).accepted);
  expect_refused(Client().set("Origin", "https://other.example.com"), 403, WSB_REFUSAL_ORIGIN);
  expect_refused(Client().set("Origin", ""), 403, WSB_REFUSAL_ORIGIN);
  HandshakeConfig config;
  config.origins = {"https://*.example.com"};
  EXPECT_TRUE(judge(Client().set("Origin", "https://other.example.com"), config).accepted);
}

TEST(HandshakeJudge, OriginComparesWithTheHostOfAnAbsoluteTarget) {
  Client client;
  client.set("Host", "decoy.example").request_line = "GET http://real.example/ HTTP/1.1";
  EXPECT_TRUE(judge(client.set("Origin", "http://real.example")).accepted);
  expect_refused(client.set("Origin", "http://decoy.example"), 403, WSB_REFUSAL_ORIGIN);
}

TEST(HandshakeJudge, OrderOfChecks) {
  HandshakeConfig config;
  config.subprotocols = {"v1"};
  config.require_subprotocol = true;
  Client client;
  client.request_line = "POST / HTTP/1.0";
  client.set("Host", "").set("Upgrade", "x").set("Sec-WebSocket-Version", "8").set("Sec-WebSocket-Key", "x");
  client.set("Sec-WebSocket-Protocol", ",").set("Content-Length", "5").set("Origin", "https://evil.example");
  expect_refused(client, 405, WSB_REFUSAL_BAD_REQUEST, config);
  client.request_line = "GET / HTTP/1.0";
  expect_refused(client, 505, WSB_REFUSAL_BAD_REQUEST, config);
  client.request_line = "GET / HTTP/1.1";
  expect_refused(client, 400, WSB_REFUSAL_BAD_REQUEST, config);
  client.set("Host", "h").set("Upgrade", "websocket");
  expect_refused(client, 426, WSB_REFUSAL_VERSION, config);
  client.set("Sec-WebSocket-Version", "13");
  EXPECT_NE(judge(client, config).refusal.body.find("Key"), std::string::npos);
  client.set("Sec-WebSocket-Key", kSampleKey);
  EXPECT_NE(judge(client, config).refusal.body.find("Protocol"), std::string::npos);
  client.set("Sec-WebSocket-Protocol", "x");
  EXPECT_NE(judge(client, config).refusal.body.find("body"), std::string::npos);
  client.remove("Content-Length");
  expect_refused(client, 403, WSB_REFUSAL_ORIGIN, config);
  client.remove("Origin");
  expect_refused(client, 400, WSB_REFUSAL_SUBPROTOCOL, config);
}

TEST(HandshakeJudge, LeftoversOfAnEarlierCallAreGone) {
  const std::string head = Client().head();
  Request request;
  size_t head_bytes = 0;
  const char* text = "";
  ASSERT_EQ(wsb::core::parse_request(head, head.size(), request, head_bytes, text), wsb::core::RequestResult::kOk);
  Handshake handshake;
  handshake.subprotocol = "old";
  handshake.offered = {"old"};
  handshake.deflate_response = "old";
  Refusal refusal;
  ASSERT_TRUE(judge_handshake(request, {}, handshake, refusal));
  EXPECT_EQ(handshake.subprotocol, "");
  EXPECT_TRUE(handshake.offered.empty());
  EXPECT_EQ(handshake.deflate_response, "");
}

}  // namespace
