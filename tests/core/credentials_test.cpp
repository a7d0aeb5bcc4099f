// Cookies, query parameters, Basic and Bearer credentials of a request.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "core/request.h"

namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using wsb::core::query_param;
using wsb::core::Request;

Request with_header(std::string_view name, std::string_view value) {
  Request request;
  request.headers.push_back({name, value});
  return request;
}

std::optional<std::string> cookie_in(std::string_view value, std::string_view name) {
  return wsb::core::cookie(with_header("Cookie", value), name);
}

std::optional<std::string> basic(std::string_view authorization) {
  const auto credentials = wsb::core::basic_credentials(with_header("Authorization", authorization));
  if (!credentials) return std::nullopt;
  return credentials->user + "|" + credentials->password;
}

std::optional<std::string> bearer(std::string_view authorization) {
  return wsb::core::bearer_token(with_header("authorization", authorization));
}

TEST(Cookies, FirstOfTheName) {
  EXPECT_EQ(cookie_in("a=1; token=x; token=y", "token"), "x");
  EXPECT_EQ(cookie_in("token=x", "token"), "x");
  EXPECT_EQ(cookie_in("a=1;token=x;b=2", "token"), "x");
  EXPECT_EQ(cookie_in(" token = x ; b=2", "token"), "x");
  EXPECT_EQ(cookie_in("token=", "token"), "");
  EXPECT_EQ(cookie_in("token=a=b==", "token"), "a=b==");
}

TEST(Cookies, NamesAreExact) {
  EXPECT_FALSE(cookie_in("Token=x", "token"));
  EXPECT_FALSE(cookie_in("xtoken=x; token2=y", "token"));
  EXPECT_FALSE(cookie_in("token", "token"));
  EXPECT_FALSE(cookie_in("a=token=x", "token"));
  EXPECT_FALSE(cookie_in("", "token"));
  EXPECT_FALSE(cookie_in(";;;", "token"));
  EXPECT_FALSE(wsb::core::cookie(Request{}, "token"));
  EXPECT_FALSE(wsb::core::cookie(with_header("X-Cookie", "token=x"), "token"));
}

TEST(Cookies, QuotesAreRemovedInPairs) {
  EXPECT_EQ(cookie_in("a=\"x y\"", "a"), "x y");
  EXPECT_EQ(cookie_in("a=\"\"", "a"), "");
  EXPECT_EQ(cookie_in("a=\"", "a"), "\"");
  EXPECT_EQ(cookie_in("a=\"x", "a"), "\"x");
}

TEST(Cookies, AllCookieHeadersAreSearched) {
  Request request = with_header("Cookie", "a=1");
  request.headers.push_back({"COOKIE", "b=2; a=3"});
  EXPECT_EQ(wsb::core::cookie(request, "b"), "2");
  EXPECT_EQ(wsb::core::cookie(request, "a"), "1");
}

TEST(QueryParams, FirstOfTheName) {
  EXPECT_EQ(query_param("a=1&token=x&token=y", "token"), "x");
  EXPECT_EQ(query_param("token", "token"), "");
  EXPECT_EQ(query_param("token=", "token"), "");
  EXPECT_EQ(query_param("token=a=b", "token"), "a=b");
  EXPECT_EQ(query_param("&&token=x&", "token"), "x");
  EXPECT_FALSE(query_param("Token=x", "token"));
  EXPECT_FALSE(query_param("tok=x&tokens=y", "token"));
  EXPECT_FALSE(query_param("", "token"));
  EXPECT_FALSE(query_param("", ""));
  EXPECT_FALSE(query_param("&&", ""));
}

TEST(QueryParams, PercentAndPlusAreDecoded) {
  EXPECT_EQ(query_param("q=a+b%20c%2B%26%3d", "q"), "a b c+&=");
  EXPECT_EQ(query_param("q=%c3%A9", "q"), "\xC3\xA9");
  EXPECT_EQ(query_param("to%6Ben=x", "token"), "x");
  EXPECT_EQ(query_param("my+name=x", "my name"), "x");
  EXPECT_EQ(query_param("a%3Db=x", "a=b"), "x");
}

TEST(QueryParams, BadEscapesStay) {
  EXPECT_EQ(query_param("q=100%", "q"), "100%");
  EXPECT_EQ(query_param("q=%4", "q"), "%4");
  EXPECT_EQ(query_param("q=%zz%4g", "q"), "%zz%4g");
  EXPECT_EQ(query_param("q=%%41", "q"), "%A");
  EXPECT_EQ(query_param("q=%4&r=1", "q"), "%4");
  EXPECT_EQ(query_param("q=secret%00x", "q"), "secret%00x");
}

TEST(BasicCredentials, UserAndPassword) {
  EXPECT_EQ(basic("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "Aladdin|open sesame");  // RFC 7617, 2
  EXPECT_EQ(basic("basic dGVzdDoxMjPCow=="), "test|123\xC2\xA3");                 // RFC 7617, 2.1
  EXPECT_EQ(basic("BASIC   dTpwOnc6eA=="), "u|p:w:x");
  EXPECT_EQ(basic("Basic OnRva2Vu"), "|token");
  EXPECT_EQ(basic("Basic dXNlcjo="), "user|");
  EXPECT_EQ(basic("Basic Og=="), "|");
}

TEST(BasicCredentials, MalformedOnesAreAbsent) {
  for (const char* value : {"Basic",
                            "Basic ",
                            "Basic\tOg==",
                            "BasicOg==",
                            "Basicx Og==",
                            "Bearer Og==",
                            "Og==",
                            "Basic Og=",
                            "Basic Og",
                            "Basic Og===",
                            "Basic O=g=",
                            "Basic =",
                            "Basic ====",
                            "Basic A===",
                            "Basic O g=",
                            "Basic Og==Og==",
                            "Basic O*==",
                            "Basic OnRva2V_",
                            "Basic bm9jb2xvbg==",  // "nocolon"
                            "Basic dToAcA==",      // "u:\0p"
                            "Basic dTpwCg==",      // "u:p\n"
                            "Basic dX86cA=="}) {   // DEL in the user
    EXPECT_FALSE(basic(value)) << value;
  }
  EXPECT_FALSE(wsb::core::basic_credentials(Request{}));
}

TEST(BearerToken, B64Tokens) {
  EXPECT_EQ(bearer("Bearer mF_9.B5f-4.1JqM"), "mF_9.B5f-4.1JqM");  // RFC 6750, 2.1
  EXPECT_EQ(bearer("bearer   abc~+/=="), "abc~+/==");
  for (const char* value : {"Bearer", "Bearer ", "Bearer a b", "Bearer a=b", "Bearer =", "Bearer a,b", "Bearer \"a\"",
                            "Bearer\ta", "Bearera", "Basic Og==", "Bearer \xC3\xA9"}) {
    EXPECT_FALSE(bearer(value)) << value;
  }
  EXPECT_FALSE(wsb::core::bearer_token(Request{}));
}

}  // namespace
