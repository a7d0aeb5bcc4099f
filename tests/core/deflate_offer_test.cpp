// Negotiation of permessage-deflate: the offers of RFC 7692, our wishes against the client's, and what is not
// well-formed.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "core/deflate.h"

namespace {

using wsb::core::DeflateConfig;
using wsb::core::DeflateParams;
using wsb::core::negotiate_deflate;

constexpr std::string_view kUntouched = "untouched";
constexpr std::string_view kMalformed = "malformed";

DeflateConfig enabled() {
  DeflateConfig config;
  config.enabled = true;
  return config;
}

// What is answered, kUntouched if nothing, kMalformed if the header is refused.
std::string answer(std::string_view offers, const DeflateConfig& config = enabled(), DeflateParams* params = nullptr) {
  std::string response(kUntouched);
  DeflateParams own;
  DeflateParams& out = params != nullptr ? *params : own;
  const bool well_formed = negotiate_deflate(offers, config, out, response);
  EXPECT_EQ(out.agreed, response != kUntouched) << offers;
  if (!well_formed) {
    EXPECT_FALSE(out.agreed) << offers;
    return std::string(kMalformed);
  }
  return response;
}

TEST(DeflateOffer, Rfc7692Examples) {
  EXPECT_EQ(answer("permessage-deflate"), "permessage-deflate");
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits; server_max_window_bits=10"),
            "permessage-deflate; server_max_window_bits=10");
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits; server_max_window_bits=10, "
                   "permessage-deflate; client_max_window_bits"),
            "permessage-deflate; server_max_window_bits=10");
  EXPECT_EQ(answer("permessage-deflate; server_no_context_takeover; client_max_window_bits"),
            "permessage-deflate; server_no_context_takeover");
  EXPECT_EQ(answer("permessage-foo, permessage-bar"), kUntouched);
  EXPECT_EQ(answer("permessage-foo; x=10, permessage-deflate"), "permessage-deflate");
}

TEST(DeflateOffer, ParametersOfTheClient) {
  DeflateParams params;
  EXPECT_EQ(
      answer("permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; "
             "client_max_window_bits=11",
             enabled(), &params),
      "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; "
      "client_max_window_bits=11");
  EXPECT_TRUE(params.server_no_context_takeover);
  EXPECT_TRUE(params.client_no_context_takeover);
  EXPECT_EQ(params.server_max_window_bits, 9);
  EXPECT_EQ(params.client_max_window_bits, 11);
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=15"), "permessage-deflate; server_max_window_bits=15");
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits=15"), "permessage-deflate");
}

TEST(DeflateOffer, AllWindowBits) {
  for (int bits = 0; bits <= 17; ++bits) {
    const std::string number = std::to_string(bits);
    DeflateParams params;
    const bool server_ok = bits >= 9 && bits <= 15;
    EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=" + number, enabled(), &params),
              server_ok ? "permessage-deflate; server_max_window_bits=" + number : kUntouched);
    EXPECT_EQ(params.server_max_window_bits, server_ok ? bits : 15);
    const bool client_ok = bits >= 8 && bits <= 15;
    const std::string told = bits == 15 ? "" : "; client_max_window_bits=" + number;
    EXPECT_EQ(answer("permessage-deflate; client_max_window_bits=" + number, enabled(), &params),
              client_ok ? "permessage-deflate" + told : kUntouched);
    EXPECT_EQ(params.client_max_window_bits, client_ok ? bits : 15);
  }
}

TEST(DeflateOffer, OurWishesAgainstTheClients) {
  DeflateConfig config = enabled();
  config.server_max_window_bits = 12;
  config.client_max_window_bits = 10;
  config.server_no_context_takeover = true;
  config.client_no_context_takeover = true;
  DeflateParams params;
  EXPECT_EQ(answer("permessage-deflate", config, &params),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12");
  EXPECT_EQ(params.client_max_window_bits, 15) << "a client that did not offer the parameter must not be asked";
  EXPECT_EQ(params.server_max_window_bits, 12);
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits; server_max_window_bits=14", config, &params),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; "
            "client_max_window_bits=10");
  EXPECT_EQ(params.client_max_window_bits, 10);
  EXPECT_EQ(answer("permessage-deflate; client_max_window_bits=9; server_max_window_bits=11", config, &params),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; "
            "client_max_window_bits=9");
}

TEST(DeflateOffer, DeclinedButNotMalformed) {
  for (const char* offer : {
           "permessage-deflate; unknown",
           "permessage-deflate; unknown=1",
           "permessage-deflate; server_no_context_takeover=1",
           "permessage-deflate; client_no_context_takeover=true",
           "permessage-deflate; server_max_window_bits",
           "permessage-deflate; server_max_window_bits=8",
           "permessage-deflate; server_max_window_bits=08",
           "permessage-deflate; server_max_window_bits=010",
           "permessage-deflate; server_max_window_bits=+10",
           "permessage-deflate; server_max_window_bits=10x",
           "permessage-deflate; server_max_window_bits=100",
           "permessage-deflate; client_max_window_bits=0",
           "permessage-deflate; client_max_window_bits=16",
           "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
           "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
           "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
           "permessage-deflate; client_max_window_bits; client_max_window_bits",
           "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
           "permessage-deflate; SERVER_NO_CONTEXT_TAKEOVER",
           "x-webkit-deflate-frame",
           "permessage-deflate2",
           "",
           " ",
           ",",
       }) {
    EXPECT_EQ(answer(offer), kUntouched) << offer;
  }
}

TEST(DeflateOffer, TheFirstAcceptableOfSeveral) {
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9, "
                   "permessage-deflate"),
            "permessage-deflate; server_max_window_bits=9");
  EXPECT_EQ(answer("permessage-deflate; unknown, permessage-deflate; client_no_context_takeover"),
            "permessage-deflate; client_no_context_takeover");
}

TEST(DeflateOffer, BlanksQuotesAndEmptyMembers) {
  EXPECT_EQ(answer("permessage-deflate;server_max_window_bits=\"10\""),
            "permessage-deflate; server_max_window_bits=10");
  EXPECT_EQ(answer("permessage-deflate; server_max_window_bits=\"1\\0\""),
            "permessage-deflate; server_max_window_bits=10");
  EXPECT_EQ(answer("\t permessage-deflate \t;  client_max_window_bits = 10 , , foo"),
            "permessage-deflate; client_max_window_bits=10");
  EXPECT_EQ(answer(",,permessage-deflate,"), "permessage-deflate");
  EXPECT_EQ(answer("foo; a=\"b\"; c, permessage-deflate"), "permessage-deflate");
}

TEST(DeflateOffer, Malformed) {
  for (const char* offer : {
           ";",
           "=",
           "permessage-deflate;",
           "permessage-deflate; ",
           "permessage-deflate; ;",
           "permessage-deflate;; client_max_window_bits",
           "permessage-deflate; =10",
           "permessage-deflate; client_max_window_bits=",
           "permessage-deflate; client_max_window_bits=, foo",
           "permessage-deflate; client_max_window_bits=\"",
           "permessage-deflate; client_max_window_bits=\"\"",
           "permessage-deflate; client_max_window_bits=\"10",
           "permessage-deflate; client_max_window_bits=\"10\\",
           "permessage-deflate; client_max_window_bits=\"1 0\"",
           "permessage-deflate; client_max_window_bits=\"a,b\"",
           "permessage-deflate; client_max_window_bits=10 11",
           "permessage-deflate client_max_window_bits",
           "permessage-deflate=10",
           "permessage deflate",
           "permessage/deflate",
           "\"permessage-deflate\"",
           "permessage-deflate, foo bar",
           "permessage-deflate, (",
           "permessage-deflate; \x80",
       }) {
    EXPECT_EQ(answer(offer), kMalformed) << offer;
  }
}

TEST(DeflateOffer, DisabledAgreesToNothingButStillJudges) {
  EXPECT_EQ(answer("permessage-deflate", DeflateConfig{}), kUntouched);
  EXPECT_EQ(answer("permessage-deflate;", DeflateConfig{}), kMalformed);
}

TEST(DeflateOffer, OutIsResetWhenNothingIsAgreed) {
  DeflateParams params;
  params.agreed = true;
  params.client_max_window_bits = 9;
  EXPECT_EQ(answer("foo", enabled(), &params), kUntouched);
  EXPECT_EQ(params.client_max_window_bits, 15);
}

}  // namespace
