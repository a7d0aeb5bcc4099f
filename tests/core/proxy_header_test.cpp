// PROXY protocol headers: what is read from good ones, why bad ones are refused, and that pieces give the verdict of the whole.
#include "core/proxy_header.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using wsb::core::ProxyHeader;
using wsb::core::ProxyHeaderResult;

constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;

struct Verdict {
  ProxyHeaderResult result = ProxyHeaderResult::kNeedMore;
  ProxyHeader header;
  std::string why;
};

Verdict judge(std::string_view bytes) {
  Verdict verdict;
  const char* why = "";
  verdict.result = wsb::core::parse_proxy_header(bytes, verdict.header, why);
  verdict.why = why;
  return verdict;
}

// "1.2.3.4:5", "none" without a source, "need more", or why it is bad.
std::string told(std::string_view bytes) {
  const Verdict verdict = judge(bytes);
  if (verdict.result == ProxyHeaderResult::kNeedMore) return "need more";
  if (verdict.result == ProxyHeaderResult::kBad) return verdict.why;
  if (!verdict.header.source) return "none";
  return wsb::core::format_ip(*verdict.header.source) + " " + std::to_string(verdict.header.source_port);
}

std::string block(uint8_t command, uint8_t family, std::string_view addresses) {
  std::string out(kSignature);
  out += static_cast<char>(command);
  out += static_cast<char>(family);
  out += static_cast<char>(addresses.size() >> 8);
  out += static_cast<char>(addresses.size() & 0xFF);
  out += addresses;
  return out;
}

constexpr std::string_view kFour =
    "\xC0\x00\x02\x01\x0A\x00\x00\x01\xDE\xAD\x01\xBB"sv;  // 192.0.2.1:57005 to 10.0.0.1:443
const std::string kSix =
    "\x20\x01\x0d\xb8" + std::string(11, '\0') + "\x07" + std::string(16, '\1') + "\x13\x89\x00\x50"s;

TEST(ProxyLine, Addresses) {
  EXPECT_EQ(told("PROXY TCP4 192.0.2.1 10.0.0.1 57005 443\r\n"), "192.0.2.1 57005");
  EXPECT_EQ(told("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255 65535");
  EXPECT_EQ(told("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0 0");
  EXPECT_EQ(told("PROXY TCP6 2001:db8::7 ::1 5001 80\r\n"), "2001:db8::7 5001");
  EXPECT_EQ(told("PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"), "1.2.3.4 1");
}

TEST(ProxyLine, UnknownTellsNobody) {
  EXPECT_EQ(told("PROXY UNKNOWN\r\n"), "none");
  EXPECT_EQ(told("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
                 "65535\r\n"),
            "none");
  EXPECT_EQ(told("PROXY UNKNOWNS\r\n"), "PROXY line: neither TCP4, TCP6 nor UNKNOWN");
}

TEST(ProxyLine, EndsWhereTheConnectionBegins) {
  const Verdict verdict = judge("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nGET / HTTP/1.1\r\n");
  EXPECT_EQ(verdict.result, ProxyHeaderResult::kOk);
  EXPECT_EQ(verdict.header.bytes, "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n"sv.size());
}

TEST(ProxyLine, Malformed) {
  for (const std::string_view line : {"PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n"sv,
                                      "PROXY TCP4 1.2.3.4 5.6.7.8 9 10 11\r\n"sv,
                                      "PROXY TCP4 1.2.3.4 5.6.7.8 9 10 \r\n"sv,
                                      "PROXY  TCP4 1.2.3.4 5.6.7.8 9 10\r\n"sv,
                                      "PROXY TCP4  1.2.3.4 5.6.7.8 9 10\r\n"sv,
                                      "PROXY TCP4 1.2.3.4 5.6.7.8 09 10\r\n"sv,
                                      "PROXY TCP4 1.2.3.4 5.6.7.8 9 65536\r\n"sv,
                                      "PROXY TCP4 1.2.3.4 5.6.7.8 -9 10\r\n"sv,
                                      "PROXY TCP4 1.2.3.4 5.6.7.8 +9 10\r\n"sv,
                                      "PROXY TCP4 1.2.3 5.6.7.8 9 10\r\n"sv,
                                      "PROXY TCP4 1.2.3.4 five 9 10\r\n"sv,
                                      "PROXY TCP4 ::1 ::1 9 10\r\n"sv,
                                      "PROXY TCP6 1.2.3.4 5.6.7.8 9 10\r\n"sv,
                                      "PROXY TCP6 ::1%lo ::1 9 10\r\n"sv,
                                      "PROXY TCP5 1.2.3.4 5.6.7.8 9 10\r\n"sv,
                                      "PROXY tcp4 1.2.3.4 5.6.7.8 9 10\r\n"sv,
                                      "PROXY \r\n"sv,
                                      "PROXY TCP4\r\n"sv,
                                      "PROXY TCP4 1.2.3.4\0 5.6.7.8 9 10\r\n"sv,
                                      "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n\r\n"sv}) {
    const Verdict verdict = judge(line);
    EXPECT_EQ(verdict.result, ProxyHeaderResult::kBad) << line;
    EXPECT_FALSE(verdict.header.source) << line;
    EXPECT_EQ(verdict.why.substr(0, 12), "PROXY line: ") << line;
  }
}

TEST(ProxyLine, AtMost107Bytes) {
  const std::string start = "PROXY UNKNOWN ";
  EXPECT_EQ(told(start + std::string(105 - start.size(), 'x') + "\r\n"), "none");
  EXPECT_EQ(told(start + std::string(106 - start.size(), 'x') + "\r\n"), "PROXY line: too long");
  EXPECT_EQ(told(start + std::string(106 - start.size(), 'x')), "need more");
  EXPECT_EQ(told(start + std::string(107 - start.size(), 'x')), "PROXY line: too long");
}

TEST(ProxyBlock, Addresses) {
  EXPECT_EQ(told(block(0x21, 0x11, kFour)), "192.0.2.1 57005");
  EXPECT_EQ(told(block(0x21, 0x21, kSix)), "2001:db8::7 5001");
}

TEST(ProxyBlock, WithoutSource) {
  EXPECT_EQ(told(block(0x20, 0x00, "")), "none");
  EXPECT_EQ(told(block(0x20, 0x11, kFour)), "none");  // the proxy's own: addresses do not count
  EXPECT_EQ(told(block(0x20, 0xFF, "x")), "none");    // nor does the family
  EXPECT_EQ(told(block(0x21, 0x00, "")), "none");
  EXPECT_EQ(told(block(0x21, 0x00, "anything")), "none");
  EXPECT_EQ(told(block(0x21, 0x31, std::string(216, 'u'))), "none");
}

TEST(ProxyBlock, WhatFollowsTheAddressesIsSkipped) {
  const std::string header = block(0x21, 0x11, std::string(kFour) + "\x04\x00\x03" + "abc");
  const Verdict verdict = judge(header + "\x16\x03\x01");
  EXPECT_EQ(verdict.result, ProxyHeaderResult::kOk);
  EXPECT_EQ(verdict.header.bytes, header.size());
  EXPECT_EQ(verdict.header.source_port, 57005);
}

TEST(ProxyBlock, Malformed) {
  EXPECT_EQ(told(block(0x21, 0x11, kFour.substr(1))), "PROXY block: shorter than its addresses");
  EXPECT_EQ(told(block(0x21, 0x21, kFour)), "PROXY block: shorter than its addresses");
  EXPECT_EQ(told(block(0x21, 0x31, kFour)), "PROXY block: shorter than its addresses");
  for (const int family : {0x01, 0x10, 0x12, 0x22, 0x32, 0x41, 0x13, 0xFF}) {
    EXPECT_EQ(told(block(0x21, static_cast<uint8_t>(family), std::string(216, 'x'))),
              "PROXY block: family or transport that is not spoken here");
  }
  for (const int command : {0x22, 0x2F, 0x10, 0x31, 0x00, 0xFF}) {
    EXPECT_EQ(told(std::string(kSignature) + static_cast<char>(command)), "PROXY block: unknown version or command");
  }
}

TEST(ProxyBlock, AtMost4096Bytes) {
  EXPECT_EQ(told(block(0x21, 0x11, std::string(kFour) + std::string(4080 - kFour.size(), 't'))), "192.0.2.1 57005");
  EXPECT_EQ(told(std::string(kSignature) + "\x21\x11\x0F\xF1"s), "PROXY block: too long");
  EXPECT_EQ(told(std::string(kSignature) + "\x21\x11\xFF\xFF"s), "PROXY block: too long");
}

TEST(ProxyHeader, PiecesGiveTheVerdictOfTheWhole) {
  const std::string headers[] = {"PROXY TCP6 2001:db8::7 ::1 5001 80\r\n", "PROXY UNKNOWN\r\n", block(0x21, 0x21, kSix),
                                 block(0x20, 0, "")};
  for (const std::string& header : headers) {
    for (size_t size = 0; size < header.size(); ++size) EXPECT_EQ(told(header.substr(0, size)), "need more") << size;
    EXPECT_EQ(judge(header).result, ProxyHeaderResult::kOk);
    EXPECT_EQ(judge(header).header.bytes, header.size());
  }
}

TEST(ProxyHeader, EverythingElseIsNone) {
  for (const std::string_view bytes : {"GET / HTTP/1.1\r\n"sv, "PROXIES\r\n"sv, "proxy TCP4"sv, "P\r\n"sv,
                                       "\x16\x03\x01\x02"sv, "\r\n\r\nx"sv, "\0"sv, "\r\n\r\n\0\r\nQUIT\r"sv}) {
    EXPECT_EQ(told(bytes), "no PROXY header") << bytes;
  }
}

}  // namespace
