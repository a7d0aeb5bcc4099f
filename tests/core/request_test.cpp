// The request head: what is accepted, what is refused and how early, and that pieces get the verdict of the whole.
#include "core/request.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using wsb::core::parse_request;
using wsb::core::Request;
using wsb::core::RequestResult;

constexpr size_t kMaxBytes = 8192;

struct Verdict {
  std::shared_ptr<const std::string> bytes;  // what the request's views point into
  RequestResult result = RequestResult::kNeedMore;
  size_t head_bytes = 0;
  std::string text;
  Request request;
};

Verdict judge_whole(std::string_view bytes, size_t max_bytes = kMaxBytes) {
  Verdict verdict;
  const char* text = "";
  verdict.bytes = std::make_shared<const std::string>(bytes);
  verdict.result = parse_request(*verdict.bytes, max_bytes, verdict.request, verdict.head_bytes, text);
  verdict.text = text;
  return verdict;
}

// As a connection does it: again after every byte, until there is a verdict. `decided_at` is the size that was enough.
Verdict judge_in_pieces(std::string_view bytes, size_t max_bytes, size_t& decided_at) {
  Verdict verdict;
  for (decided_at = 0; decided_at <= bytes.size(); ++decided_at) {
    verdict = judge_whole(bytes.substr(0, decided_at), max_bytes);
    if (verdict.result != RequestResult::kNeedMore) return verdict;
  }
  return verdict;
}

// The verdict, whole and in pieces.
Verdict judge(std::string_view bytes, size_t max_bytes = kMaxBytes) {
  Verdict whole = judge_whole(bytes, max_bytes);
  size_t decided_at = 0;
  const Verdict pieces = judge_in_pieces(bytes, max_bytes, decided_at);
  EXPECT_EQ(whole.result, pieces.result);
  EXPECT_EQ(whole.text, pieces.text);
  EXPECT_EQ(whole.head_bytes, pieces.head_bytes);
  return whole;
}

size_t decided_at(std::string_view bytes) {
  size_t size = 0;
  judge_in_pieces(bytes, kMaxBytes, size);
  return size;
}

std::string head_with(std::string_view lines) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n";
}

std::string head_of(std::string_view request_line) {
  return std::string(request_line) + "\r\nHost: a\r\n\r\n";
}

#define EXPECT_OK(bytes) EXPECT_EQ(judge(bytes).result, RequestResult::kOk) << (bytes)
#define EXPECT_BAD(bytes) EXPECT_EQ(judge(bytes).result, RequestResult::kBad) << (bytes)

TEST(RequestHead, ReadsAllParts) {
  const std::string head =
      "GET /chat/room?x=1&y=a?b HTTP/1.1\r\nHost: example.org:9001\r\nUpgrade:websocket\r\n"
      "X-Blanks: \t padded value \t \r\nEmpty:\r\n\r\n";
  const Verdict verdict = judge(head + "\x81\x80 frame bytes");
  ASSERT_EQ(verdict.result, RequestResult::kOk);
  EXPECT_EQ(verdict.head_bytes, head.size());
  const Request& request = verdict.request;
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, "/chat/room?x=1&y=a?b");
  EXPECT_EQ(request.path, "/chat/room");
  EXPECT_EQ(request.query, "x=1&y=a?b");
  EXPECT_EQ(request.host, "example.org:9001");
  EXPECT_EQ(request.version_minor, 1);
  ASSERT_EQ(request.headers.size(), 4U);
  EXPECT_EQ(request.headers[1].name, "Upgrade");
  EXPECT_EQ(request.headers[1].value, "websocket");
  EXPECT_EQ(request.headers[2].value, "padded value");
  EXPECT_EQ(request.headers[3].value, "");
}

TEST(RequestHead, NeedsMoreUntilTheEmptyLine) {
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (size_t size = 0; size < head.size(); ++size) {
    EXPECT_EQ(judge_whole(head.substr(0, size)).result, RequestResult::kNeedMore) << size;
  }
  EXPECT_OK(head);
}

TEST(RequestHead, ReusesAResultWithoutLeftovers) {
  Verdict verdict = judge_whole("GET http://h/p?q HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n");
  size_t head_bytes = 0;
  const char* text = "";
  ASSERT_EQ(parse_request("GET / HTTP/1.0\r\n\r\n", kMaxBytes, verdict.request, head_bytes, text), RequestResult::kOk);
  EXPECT_TRUE(verdict.request.headers.empty());
  EXPECT_EQ(verdict.request.query, "");
  EXPECT_EQ(verdict.request.host, "");
  EXPECT_EQ(verdict.request.version_minor, 0);
}

TEST(RequestHead, FirstByteThatStartsNoMethodIsBadAtOnce) {
  EXPECT_EQ(judge("\x16\x03\x01"sv).result, RequestResult::kBad);  // TLS ClientHello
  EXPECT_EQ(decided_at("\x16\x03\x01"sv), 1U);
  EXPECT_BAD("\0GET / HTTP/1.1\r\n"s);
  EXPECT_BAD(" GET / HTTP/1.1\r\n");
  EXPECT_BAD("\r\nGET / HTTP/1.1\r\n");
  EXPECT_BAD("\nGET / HTTP/1.1\r\n");
  EXPECT_EQ(decided_at("\r\nGET"), 1U);
  EXPECT_BAD("\x80");
  EXPECT_BAD(":");
}

TEST(RequestHead, MethodIsAnyToken) {
  EXPECT_EQ(judge(head_of("M-SEARCH / HTTP/1.1")).request.method, "M-SEARCH");
  EXPECT_EQ(judge(head_of("get / HTTP/1.1")).request.method, "get");
  EXPECT_BAD(head_of("G(T / HTTP/1.1"));
  EXPECT_BAD(head_of("G\xC3\xA9T / HTTP/1.1"));
  EXPECT_BAD(head_of("GET"));
}

TEST(RequestHead, RequestLineHasSingleBlanks) {
  EXPECT_BAD(head_of("GET  / HTTP/1.1"));
  EXPECT_BAD(head_of("GET /  HTTP/1.1"));
  EXPECT_BAD(head_of("GET / HTTP/1.1 "));
  EXPECT_BAD(head_of("GET\t/ HTTP/1.1"));
  EXPECT_BAD(head_of("GET /\tHTTP/1.1"));
  EXPECT_BAD(head_of("GET / "));
  EXPECT_BAD(head_of("GET /"));
}

TEST(RequestHead, TargetCharacters) {
  EXPECT_EQ(judge(head_of("GET /a%20b;c=1/~u?[x]{y}|\"\\^`<> HTTP/1.1")).request.query, "[x]{y}|\"\\^`<>");
  EXPECT_BAD(head_of("GET /a#b HTTP/1.1"));
  EXPECT_BAD(head_of("GET /a b HTTP/1.1"));
  EXPECT_BAD(head_of("GET /\x7F HTTP/1.1"));
  EXPECT_BAD(head_of("GET /\x01 HTTP/1.1"));
  EXPECT_BAD(head_of("GET /\0 HTTP/1.1"s));
  EXPECT_BAD(head_of("GET /\xC3\xA9 HTTP/1.1"));
  EXPECT_EQ(decided_at("GET /\xC3\xA9"), 6U);
}

TEST(RequestHead, OriginForm) {
  const Verdict slashes = judge(head_of("GET //other.example/x HTTP/1.1"));
  EXPECT_EQ(slashes.request.path, "//other.example/x");
  EXPECT_EQ(slashes.request.host, "a");
  const Verdict only_query = judge(head_of("GET /? HTTP/1.1"));
  EXPECT_EQ(only_query.request.path, "/");
  EXPECT_EQ(only_query.request.query, "");
  EXPECT_BAD(head_of("GET ?x HTTP/1.1"));
  EXPECT_EQ(decided_at("GET ?x"), 5U);
}

TEST(RequestHead, AbsoluteFormGivesTheHost) {
  const Verdict verdict = judge(head_of("GET http://Example.org:81/chat?x=/y HTTP/1.1"));
  ASSERT_EQ(verdict.result, RequestResult::kOk);
  EXPECT_EQ(verdict.request.path, "/chat");
  EXPECT_EQ(verdict.request.query, "x=/y");
  EXPECT_EQ(verdict.request.host, "Example.org:81");
  EXPECT_EQ(verdict.request.header("host"), "a");
  for (const char* scheme : {"https", "ws", "WSS"}) {
    EXPECT_EQ(judge(head_of("GET "s + scheme + "://h HTTP/1.1")).request.path, "/");
  }
  const Verdict query_only = judge(head_of("GET ws://[::1]:9?q HTTP/1.1"));
  EXPECT_EQ(query_only.request.path, "/");
  EXPECT_EQ(query_only.request.query, "q");
  EXPECT_EQ(query_only.request.host, "[::1]:9");
}

TEST(RequestHead, AbsoluteFormRefusals) {
  EXPECT_BAD(head_of("GET ftp://h/ HTTP/1.1"));
  EXPECT_BAD(head_of("GET http:/h/ HTTP/1.1"));
  EXPECT_BAD(head_of("GET http:///p HTTP/1.1"));
  EXPECT_BAD(head_of("GET http://:80/ HTTP/1.1"));
  EXPECT_BAD(head_of("GET http://user@h/ HTTP/1.1"));
  EXPECT_BAD(head_of("GET http://user:pw@h/ HTTP/1.1"));
  EXPECT_BAD(head_of("GET http://h:x/ HTTP/1.1"));
  EXPECT_BAD(head_of("GET path HTTP/1.1"));
  EXPECT_BAD(head_of("CONNECT h:80 HTTP/1.1"));
}

TEST(RequestHead, AsteriskFormIsForOptions) {
  EXPECT_EQ(judge(head_of("OPTIONS * HTTP/1.1")).request.path, "*");
  EXPECT_BAD(head_of("GET * HTTP/1.1"));
  EXPECT_BAD(head_of("OPTIONS *x HTTP/1.1"));
}

TEST(RequestHead, Versions) {
  EXPECT_EQ(judge("GET / HTTP/1.0\r\n\r\n").request.version_minor, 0);
  for (const char* line : {"GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9", "GET / HTTP/9.9", "PRI * HTTP/2.0"}) {
    EXPECT_EQ(judge(head_of(line)).result, RequestResult::kBadVersion) << line;
  }
  for (const char* line : {"GET / http/1.1", "GET / HTTP/1", "GET / HTTP/1.11", "GET / HTTP/11.1", "GET / HTTP/1,1",
                           "GET / HTTPS/1.1", "GET / ICY/1.1", "GET / HTTP/1.x", "GET / HTTP /1.1"}) {
    EXPECT_BAD(head_of(line));
  }
  EXPECT_EQ(judge_whole("GET / HTTP/2.0\r").result, RequestResult::kNeedMore);
  EXPECT_BAD("GET / HTTP/2.0\n");
}

TEST(RequestHead, LinesEndInCrLfOnly) {
  EXPECT_BAD("GET / HTTP/1.1\nHost: a\r\n\r\n");
  EXPECT_BAD("GET / HTTP/1.1\r\nHost: a\n\r\n");
  EXPECT_BAD("GET / HTTP/1.1\r\nHost: a\r\n\n");
  EXPECT_BAD("GET / HTTP/1.1\r\n\nHost: a\r\n\r\n");
  EXPECT_BAD("GET / HTTP/1.1\rHost: a\r\n\r\n");
  EXPECT_BAD("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n");
  EXPECT_BAD("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n");
  EXPECT_BAD("GET / HTTP/1.1\r\nHost: a\r\n\rX");
  EXPECT_EQ(judge("GET / HTTP/1.1\r\nHost: a\n").text, "a line ends in LF without CR");
}

TEST(RequestHead, FoldedLinesAreRefused) {
  EXPECT_BAD(head_with("X: 1\r\n folded\r\n"));
  EXPECT_BAD(head_with("X: 1\r\n\tfolded\r\n"));
  EXPECT_BAD(head_with("X: 1\r\n \r\n"));
  EXPECT_BAD("GET / HTTP/1.1\r\n Host: a\r\n\r\n");
}

TEST(RequestHead, HeaderNamesAreTokens) {
  EXPECT_BAD(head_with("X : 1\r\n"));
  EXPECT_BAD(head_with("X\t: 1\r\n"));
  EXPECT_BAD(head_with(": 1\r\n"));
  EXPECT_BAD(head_with("X\r\n"));
  EXPECT_BAD(head_with("X(y): 1\r\n"));
  EXPECT_BAD(head_with("X\xE9: 1\r\n"));
  EXPECT_BAD(head_with("X\0: 1\r\n"sv));
  EXPECT_BAD(head_with("\"X\": 1\r\n"));
  EXPECT_OK(head_with("!#$%&'*+-.^_`|~09azAZ: 1\r\n"));
}

TEST(RequestHead, HeaderValuesHaveNoControls) {
  for (int c = 0; c < 256; ++c) {
    const std::string head = head_with("X: a" + std::string(1, static_cast<char>(c)) + "b\r\n");
    const bool legal = c == '\t' || (c >= 0x20 && c != 0x7F);
    EXPECT_EQ(judge(head).result, legal ? RequestResult::kOk : RequestResult::kBad) << c;
  }
}

TEST(RequestHead, SingleHeadersMayNotRepeat) {
  for (const char* name : {"Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Authorization"}) {
    EXPECT_OK(head_with(name + ": 1\r\n"s));
    EXPECT_BAD(head_with(name + ": 1\r\n"s + name + ": 1\r\n"));
    EXPECT_BAD(head_with(name + ": 1\r\nX: y\r\n"s + name + ": 2\r\n"));
  }
  EXPECT_BAD(head_with("hOST: a\r\n"));
  EXPECT_BAD(head_with("ORIGIN: x\r\norigin: y\r\n"));
  for (const char* name :
       {"Upgrade", "Connection", "Cookie", "X-Forwarded-For", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"}) {
    EXPECT_OK(head_with(name + ": a\r\n"s + name + ": b\r\n"));
  }
}

TEST(RequestHead, HostIsNeededOnceAndWellFormed) {
  EXPECT_BAD("GET / HTTP/1.1\r\n\r\n");
  EXPECT_BAD("GET / HTTP/1.1\r\nX: 1\r\n\r\n");
  EXPECT_BAD("GET http://h/ HTTP/1.1\r\n\r\n");
  EXPECT_OK("GET / HTTP/1.0\r\n\r\n");
  EXPECT_OK("GET / HTTP/1.1\r\nHost:\r\n\r\n");
  for (const char* host : {"a.example", "a_b", "127.0.0.1:80", "[::1]", "[::ffff:1.2.3.4]:65535", "h:", "x%20y"}) {
    EXPECT_OK("GET / HTTP/1.1\r\nHost: "s + host + "\r\n\r\n");
  }
  for (const char* host : {"a b", "a/b", "user@a", "a:b", "a:65536", "a:1:2", ":80", "[::1", "[::g]", "[]", "::1",
                           "a?x", "a#x", "a\\b", "\xC3\xA9", "[::1]80", "a:-1", "a: 80"}) {
    EXPECT_BAD("GET / HTTP/1.1\r\nHost: "s + host + "\r\n\r\n");
  }
}

TEST(RequestHead, BodyLengthIsUnambiguous) {
  EXPECT_OK(head_with("Content-Length: 0\r\n"));
  EXPECT_OK(head_with("Content-Length: 9223372036854775807\r\n"));
  for (const char* length : {"", "-1", "+1", "1 2", "1, 1", "0x10", "1.0", "12345678901234567890"}) {
    EXPECT_BAD(head_with("Content-Length: "s + length + "\r\n"));
  }
  EXPECT_BAD(head_with("Content-Length: 5\r\nContent-Length: 6\r\n"));
  EXPECT_BAD(head_with("Content-Length: 5\r\nContent-Length: 5\r\n"));
  EXPECT_OK(head_with("Transfer-Encoding: chunked\r\n"));
  EXPECT_BAD(head_with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_BAD(head_with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"));
  EXPECT_BAD("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(RequestHead, AtMostAHundredHeaders) {
  std::string lines;
  for (size_t i = 1; i < wsb::core::kMaxRequestHeaders; ++i) lines += "X: 1\r\n";  // one is Host
  EXPECT_OK(head_with(lines));
  EXPECT_EQ(judge(head_with(lines + "X: 1\r\n")).result, RequestResult::kTooBig);
}

TEST(RequestHead, SizeLimitIsExact) {
  const std::string head = head_with("X: 1\r\n");
  EXPECT_EQ(judge(head, head.size()).result, RequestResult::kOk);
  EXPECT_EQ(judge(head + "more", head.size()).result, RequestResult::kOk);
  EXPECT_EQ(judge(head, head.size() - 1).result, RequestResult::kTooBig);
  EXPECT_EQ(judge(head.substr(0, 20), 20).result, RequestResult::kTooBig);
  EXPECT_EQ(judge(head.substr(0, 19), 20).result, RequestResult::kNeedMore);
  EXPECT_EQ(judge("GET / HTTP/1.1\r\nX: " + std::string(300, 'a'), 256).result, RequestResult::kTooBig);
  EXPECT_EQ(judge("GET /" + std::string(300, 'a'), 256).result, RequestResult::kTooBig);
  EXPECT_EQ(judge(std::string(300, 'A'), 256).result, RequestResult::kTooBig);
  EXPECT_EQ(judge_whole(std::string(1 << 20, 'A'), 1 << 20).result, RequestResult::kTooBig);
}

TEST(RequestHead, AnErrorWithinTheLimitComesBeforeTooBig) {
  EXPECT_EQ(judge("GET / HTTP/1.1\r\nX : " + std::string(300, 'a'), 256).result, RequestResult::kBad);
  EXPECT_EQ(judge("GET / HTTP/1.1\r\nX: " + std::string(300, 'a') + "\n", 256).result, RequestResult::kTooBig);
}

TEST(RequestHead, ErrorsAreFoundAtTheirByte) {
  EXPECT_EQ(decided_at("GET / HTTQ/1.1\r\n"), 10U);
  EXPECT_EQ(decided_at("GET / HTTP/1.1\r\nX : 1\r\n"), 18U);
  EXPECT_EQ(decided_at("GET / HTTP/1.1\r\nX: a\x01zzz"), 21U);
  EXPECT_EQ(decided_at("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nmore"), 34U);
}

TEST(RequestHead, EveryErrorHasAText) {
  for (const std::string& bytes : {"\x16"s, "GET x HTTP/1.1\r\n"s, head_of("GET / HTTP/3.0"), head_with("X : 1\r\n")}) {
    EXPECT_FALSE(judge(bytes).text.empty()) << bytes;
  }
  EXPECT_FALSE(judge("GET /aaaaaaaaaaaa", 8).text.empty());
}

TEST(RequestHeaders, LookUpIgnoresCase) {
  const std::string head = head_with("X-A: 1\r\nx-a: 2, 3\r\nX-B: \r\n");
  const Verdict verdict = judge(head);
  const Request& request = verdict.request;
  EXPECT_EQ(request.header("x-A"), "1");
  EXPECT_EQ(request.header("X-b"), "");
  EXPECT_FALSE(request.header("X").has_value());
  EXPECT_EQ(request.count("x-a"), 2U);
  EXPECT_EQ(request.count("none"), 0U);
  EXPECT_EQ(request.joined("X-A"), "1, 2, 3");
  EXPECT_EQ(request.joined("X-B"), "");
  EXPECT_EQ(request.joined("none"), "");
}

TEST(RequestHeaders, JoinKeepsEmptyValues) {
  const std::string head = head_with("X: \r\nX: b\r\n");
  EXPECT_EQ(judge(head).request.joined("x"), ", b");
}

TEST(RequestHeaders, TokensInLists) {
  const std::string head = head_with("Connection: keep-alive , UPGRADE\r\nConnection: x\r\nVia: upgraded\r\nY: ,,\r\n");
  const Verdict verdict = judge(head);
  EXPECT_TRUE(verdict.request.has_token("connection", "upgrade"));
  EXPECT_TRUE(verdict.request.has_token("connection", "keep-alive"));
  EXPECT_TRUE(verdict.request.has_token("connection", "X"));
  EXPECT_FALSE(verdict.request.has_token("connection", "keep"));
  EXPECT_FALSE(verdict.request.has_token("Via", "upgrade"));
  EXPECT_FALSE(verdict.request.has_token("Y", "upgrade"));
  EXPECT_FALSE(verdict.request.has_token("none", "upgrade"));
}

TEST(HttpText, Tokens) {
  EXPECT_TRUE(wsb::core::is_token("v2.0"));
  EXPECT_FALSE(wsb::core::is_token(""));
  EXPECT_FALSE(wsb::core::is_token("a b"));
  EXPECT_FALSE(wsb::core::is_token("a/b"));
  EXPECT_FALSE(wsb::core::is_token("a\0"sv));
  EXPECT_FALSE(wsb::core::is_token("\xC3\xA9"));
}

TEST(HttpText, CaseIsAsciiOnly) {
  EXPECT_TRUE(wsb::core::equals_ignoring_case("aZ-09", "Az-09"));
  EXPECT_FALSE(wsb::core::equals_ignoring_case("a", "ab"));
  EXPECT_FALSE(wsb::core::equals_ignoring_case("@", "`"));
  EXPECT_FALSE(wsb::core::equals_ignoring_case("[", "{"));
  EXPECT_FALSE(wsb::core::equals_ignoring_case("\xC9", "\xE9"));
}

TEST(HttpText, TrimAndLists) {
  EXPECT_EQ(wsb::core::trim(" \t a b \t"), "a b");
  EXPECT_EQ(wsb::core::trim(" \t "), "");
  EXPECT_EQ(wsb::core::trim(""), "");
  const std::vector<std::string_view> expected = {"a", "b c", "d"};
  EXPECT_EQ(wsb::core::split_list(",a,, b c\t, ,d,"), expected);
  EXPECT_TRUE(wsb::core::split_list(" , ,").empty());
  EXPECT_TRUE(wsb::core::split_list("").empty());
}

TEST(HttpText, Authorities) {
  const auto named = wsb::core::parse_authority("Example.org:0443");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->host, "Example.org");
  EXPECT_EQ(named->port, uint16_t{443});
  const auto v6 = wsb::core::parse_authority("[fe80::1]");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "[fe80::1]");
  EXPECT_FALSE(v6->port);
  EXPECT_FALSE(wsb::core::parse_authority(""));
  EXPECT_FALSE(wsb::core::parse_authority(":"));
  EXPECT_FALSE(wsb::core::parse_authority("a:100000"));
}

}  // namespace
