// Addresses, CIDR sets, and the client's address through trusted proxies.
#include "core/proxy.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::string_view_literals;
using wsb::core::CidrSet;
using wsb::core::format_ip;
using wsb::core::parse_ip;
using wsb::core::Request;

std::string normal(std::string_view text) {
  const auto ip = parse_ip(text);
  return ip ? format_ip(*ip) : "none";
}

CidrSet set_of(std::string_view list) {
  CidrSet set;
  std::string bad;
  EXPECT_TRUE(set.add_list(list, bad)) << bad;
  return set;
}

std::string client(std::string_view peer, const std::vector<std::string_view>& forwarded, std::string_view trusted) {
  Request request;
  request.headers.push_back({"Host", "a"});
  for (const std::string_view value : forwarded) {
    request.headers.push_back({"x-forwarded-FOR", value});
    request.headers.push_back({"X-Real-IP", "6.6.6.6"});
  }
  return client_address(peer, request, set_of(trusted));
}

TEST(IpText, Addresses) {
  EXPECT_EQ(normal("1.2.3.4"), "1.2.3.4");
  EXPECT_EQ(normal("::ffff:1.2.3.4"), "1.2.3.4");
  EXPECT_EQ(normal("::FFFF:102:304"), "1.2.3.4");
  EXPECT_EQ(parse_ip("::ffff:1.2.3.4"), parse_ip("1.2.3.4"));
  EXPECT_EQ(normal("::1"), "::1");
  EXPECT_EQ(normal("::"), "::");
  EXPECT_EQ(normal("0.0.0.0"), "0.0.0.0");
  EXPECT_EQ(normal("255.255.255.255"), "255.255.255.255");
}

TEST(IpText, Rfc5952) {
  EXPECT_EQ(normal("2001:0DB8:0000:0000:0001:0000:0000:0001"), "2001:db8::1:0:0:1");
  EXPECT_EQ(normal("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1");
  EXPECT_EQ(normal("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1");
  EXPECT_EQ(normal("ABCD::0123"), "abcd::123");
}

TEST(IpText, Refused) {
  for (const std::string_view text : {""sv,
                                      "1.2.3"sv,
                                      "1.2.3.4.5"sv,
                                      "1.2.3.256"sv,
                                      "01.2.3.4"sv,
                                      "1.2.3.4 "sv,
                                      " 1.2.3.4"sv,
                                      "1.2.3.4:80"sv,
                                      "0x1.2.3.4"sv,
                                      "16909060"sv,
                                      "[::1]"sv,
                                      "::1%eth0"sv,
                                      "fe80::1%1"sv,
                                      ":::"sv,
                                      "1::2::3"sv,
                                      "g::"sv,
                                      "1:2:3:4:5:6:7"sv,
                                      "::1\0"sv,
                                      "1.2.3.4\0x"sv,
                                      "unix"sv,
                                      "localhost"sv,
                                      "::ffff:1.2.3"sv,
                                      "1111:2222:3333:4444:5555:6666:255.255.255.2555"sv}) {
    EXPECT_FALSE(parse_ip(text)) << text;
  }
}

TEST(CidrSets, BlocksAndAddresses) {
  const CidrSet set = set_of(" 10.0.0.0/8,127.0.0.1 ,, 192.168.4.0/22, fd00::/8, 2001:db8::7");
  EXPECT_FALSE(set.empty());
  for (const char* in :
       {"10.0.0.0", "10.255.255.255", "127.0.0.1", "::ffff:10.1.2.3", "192.168.7.255", "fd12::1", "2001:db8::7"}) {
    EXPECT_TRUE(set.contains(std::string_view(in))) << in;
  }
  for (const char* out : {"11.0.0.0", "9.255.255.255", "127.0.0.2", "192.168.8.0", "192.168.3.255", "fe00::1",
                          "fc00::", "2001:db8::8", "::1", "unix", "", "10.0.0", "a00::"}) {
    EXPECT_FALSE(set.contains(std::string_view(out))) << out;
  }
}

TEST(CidrSets, PrefixLengthsOfEveryBit) {
  for (unsigned bits = 0; bits <= 32; ++bits) {
    const CidrSet set = set_of("170.85.170.85/" + std::to_string(bits));
    EXPECT_TRUE(set.contains("170.85.170.85"sv));
    for (unsigned flipped = 0; flipped < 32; ++flipped) {
      auto ip = *parse_ip("170.85.170.85");
      uint8_t& byte = ip[12 + flipped / 8];
      byte = static_cast<uint8_t>(byte ^ (0x80U >> flipped % 8));
      EXPECT_EQ(set.contains(ip), flipped >= bits) << bits << " " << flipped;
    }
  }
}

TEST(CidrSets, WholeFamilies) {
  EXPECT_TRUE(set_of("0.0.0.0/0").contains("8.8.8.8"sv));
  EXPECT_FALSE(set_of("0.0.0.0/0").contains("2001:db8::1"sv));
  EXPECT_TRUE(set_of("::/0").contains("2001:db8::1"sv));
  EXPECT_TRUE(set_of("::ffff:10.0.0.0/104").contains("10.9.9.9"sv));
  EXPECT_FALSE(set_of("::ffff:10.0.0.0/104").contains("11.9.9.9"sv));
  EXPECT_TRUE(set_of("10.1.2.3/8").contains("10.9.9.9"sv));
}

TEST(CidrSets, Unix) {
  EXPECT_TRUE(set_of("unix").contains("unix"sv));
  EXPECT_FALSE(set_of("unix").empty());
  EXPECT_FALSE(set_of("unix").contains("127.0.0.1"sv));
  EXPECT_FALSE(set_of("0.0.0.0/0, ::/0").contains("unix"sv));
}

TEST(CidrSets, EmptyLists) {
  EXPECT_TRUE(CidrSet().empty());
  EXPECT_TRUE(set_of("").empty());
  EXPECT_TRUE(set_of(" , ").empty());
  EXPECT_FALSE(CidrSet().contains("127.0.0.1"sv));
  EXPECT_FALSE(CidrSet().contains("unix"sv));
}

TEST(CidrSets, BadMembersAreNamedAndChangeNothing) {
  for (const char* member : {"10.0.0.0/33", "10.0.0.0/", "/8", "10.0.0.0/8/8", "10.0.0.0/-1", "10.0.0.0/+8",
                             "10.0.0.0/ 8", "10.0.0.0/008x", "10.0.0.0/0008", "fd00::/129", "fd00::/1000", "10.0.0/8",
                             "localhost", "unix/8", "[::1]", "::1%lo", "10.0.0.1:80", "*"}) {
    CidrSet set = set_of("10.1.1.1");
    std::string bad;
    EXPECT_FALSE(set.add_list("10.2.2.2, unix, " + std::string(member) + ", ::1", bad)) << member;
    EXPECT_EQ(bad, member);
    EXPECT_TRUE(set.contains("10.1.1.1"sv));
    EXPECT_FALSE(set.contains("10.2.2.2"sv));
    EXPECT_FALSE(set.contains("unix"sv));
  }
}

TEST(CidrSets, ListsAdd) {
  CidrSet set = set_of("10.1.1.1");
  std::string bad;
  EXPECT_TRUE(set.add_list("10.2.2.2", bad));
  EXPECT_TRUE(set.contains("10.1.1.1"sv));
  EXPECT_TRUE(set.contains("10.2.2.2"sv));
}

TEST(ClientAddress, UntrustedPeersAreNotBelieved) {
  EXPECT_EQ(client("9.9.9.9", {"1.1.1.1"}, ""), "9.9.9.9");
  EXPECT_EQ(client("9.9.9.9", {"1.1.1.1"}, "10.0.0.0/8"), "9.9.9.9");
  EXPECT_EQ(client("unix", {"1.1.1.1"}, "10.0.0.0/8"), "unix");
  EXPECT_EQ(client("::ffff:9.9.9.9", {}, ""), "9.9.9.9");
  EXPECT_EQ(client("2001:DB8:0::1", {}, ""), "2001:db8::1");
}

TEST(ClientAddress, TrustedPeersAreBelieved) {
  EXPECT_EQ(client("10.0.0.1", {"1.1.1.1"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("::ffff:10.0.0.1", {"1.1.1.1"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("unix", {"1.1.1.1"}, "unix"), "1.1.1.1");
  EXPECT_EQ(client("fd00::1", {"2001:DB8::0:1"}, "fd00::/8"), "2001:db8::1");
  EXPECT_EQ(client("10.0.0.1", {"::ffff:1.1.1.1"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("10.0.0.1", {}, "10.0.0.0/8"), "10.0.0.1");
  EXPECT_EQ(client("unix", {}, "unix"), "unix");
}

TEST(ClientAddress, RightmostUntrustedMemberCounts) {
  EXPECT_EQ(client("10.0.0.1", {"6.6.6.6, 1.1.1.1"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("10.0.0.1", {"6.6.6.6, 1.1.1.1, 10.0.0.2"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("10.0.0.1", {"10.0.0.3, 1.1.1.1, 10.0.0.2"}, "10.0.0.0/8"), "1.1.1.1");
}

TEST(ClientAddress, LeftmostIfAllAreTrusted) {
  EXPECT_EQ(client("10.0.0.1", {"10.0.0.3, 10.0.0.2"}, "10.0.0.0/8"), "10.0.0.3");
}

TEST(ClientAddress, SeveralHeadersAreOneList) {
  EXPECT_EQ(client("10.0.0.1", {"6.6.6.6, 1.1.1.1", "10.0.0.3,10.0.0.2"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("10.0.0.1", {"6.6.6.6", "1.1.1.1"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("10.0.0.1", {"1.1.1.1", ""}, "10.0.0.0/8"), "1.1.1.1");
}

TEST(ClientAddress, MalformedMembersEndTheSearch) {
  for (const char* member :
       {"unknown", "_hidden",   "1.1.1",       "1.1.1.1:",    "1.1.1.1:x", "1.1.1.1:65536", "1.1.1.1:-1", "[::1",
        "::1]",    "[::1]x",    "[::1]:",      "[::1]:x",     "[]",        "[1.1.1.1]",     "[::1%lo]",   "unix",
        "unix:",   "1.1.1.1 2", "\"1.1.1.1\"", "for=1.1.1.1", "1.1.1.1;",  "[[::1]]",       "::1:99999"}) {
    const std::string list = "6.6.6.6, " + std::string(member);
    EXPECT_EQ(client("10.0.0.1", {list}, "10.0.0.0/8"), "10.0.0.1") << member;
    EXPECT_EQ(client("10.0.0.1", {list + ", 10.0.0.2"}, "10.0.0.0/8"), "10.0.0.2") << member;
    EXPECT_EQ(client("unix", {list}, "unix"), "unix") << member;
  }
}

TEST(ClientAddress, PortsAreDropped) {
  EXPECT_EQ(client("10.0.0.1", {"1.1.1.1:5"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("10.0.0.1", {"6.6.6.6, [2001:db8::1]:65535"}, "10.0.0.0/8"), "2001:db8::1");
  EXPECT_EQ(client("10.0.0.1", {"[2001:db8::1]"}, "10.0.0.0/8"), "2001:db8::1");
  EXPECT_EQ(client("10.0.0.1", {"[::ffff:1.1.1.1]:80"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("10.0.0.1", {"1.1.1.1, 10.0.0.2:80"}, "10.0.0.0/8"), "1.1.1.1");
}

TEST(ClientAddress, EmptyMembersAreSkipped) {
  EXPECT_EQ(client("10.0.0.1", {"1.1.1.1, ,\t,"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("10.0.0.1", {",1.1.1.1"}, "10.0.0.0/8"), "1.1.1.1");
  EXPECT_EQ(client("10.0.0.1", {""}, "10.0.0.0/8"), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.1", {",,"}, "10.0.0.0/8"), "10.0.0.1");
}

}  // namespace
