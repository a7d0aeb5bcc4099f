// Extension offers: what we answer is itself an acceptable offer of the same parameters, within what both sides asked.
// The first two bytes are our configuration.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/deflate.h"

namespace {

using namespace wsb::core;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Answer {
  bool well_formed = false;
  DeflateParams params;
  std::string response;
};

Answer negotiate(std::string_view offers, const DeflateConfig& config) {
  Answer answer;
  answer.well_formed = negotiate_deflate(offers, config, answer.params, answer.response);
  require(answer.params.agreed != answer.response.empty());
  require(answer.well_formed || !answer.params.agreed);
  require(config.enabled || !answer.params.agreed);
  return answer;
}

bool same(const DeflateParams& a, const DeflateParams& b) {
  return a.agreed == b.agreed && a.server_max_window_bits == b.server_max_window_bits &&
         a.client_max_window_bits == b.client_max_window_bits &&
         a.server_no_context_takeover == b.server_no_context_takeover &&
         a.client_no_context_takeover == b.client_no_context_takeover;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t n) {
  if (n < 2) return 0;
  DeflateConfig config;
  config.enabled = (bytes[0] & 0x80) == 0;
  config.server_max_window_bits = static_cast<uint8_t>(15 - bytes[0] % 7);
  config.client_max_window_bits = static_cast<uint8_t>(15 - bytes[1] % 7);
  config.server_no_context_takeover = (bytes[1] & 0x80) != 0;
  config.client_no_context_takeover = (bytes[1] & 0x40) != 0;
  const std::string offers(reinterpret_cast<const char*>(bytes) + 2, n - 2);

  const Answer answer = negotiate(offers, config);
  require(negotiate("other; a=\"1\", " + offers, config).response == answer.response);
  require(negotiate(offers + ", other", config).well_formed == answer.well_formed);
  require(!negotiate(offers + ", =", config).well_formed);
  if (!answer.params.agreed) return 0;

  require(answer.params.server_max_window_bits >= 9 &&
          answer.params.server_max_window_bits <= config.server_max_window_bits);
  require(answer.params.client_max_window_bits >= 8 && answer.params.client_max_window_bits <= 15);
  require(answer.params.server_no_context_takeover || !config.server_no_context_takeover);
  require(answer.params.client_no_context_takeover || !config.client_no_context_takeover);
  DeflateConfig open;
  open.enabled = true;
  require(same(negotiate(answer.response, open).params, answer.params));
  return 0;
}
