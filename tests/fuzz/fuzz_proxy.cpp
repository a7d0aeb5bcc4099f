// PROXY protocol headers: any split gives the verdict of the whole, bounds hold, and a refusal has a reason.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "core/proxy_header.h"

namespace {

using namespace wsb::core;

void require(bool holds) {
  if (!holds) std::abort();
}

ProxyHeaderResult judge(std::string_view bytes, ProxyHeader& header) {
  const std::vector<char> exact(bytes.begin(), bytes.end());  // so that the sanitizer sees a read beyond it
  const char* text = "";
  const ProxyHeaderResult result = parse_proxy_header({exact.data(), exact.size()}, header, text);
  require((result == ProxyHeaderResult::kBad) == (*text != '\0'));
  if (result == ProxyHeaderResult::kNeedMore) require(bytes.size() < kMostProxyHeaderBytes && !header.source);
  if (result == ProxyHeaderResult::kOk)
    require(header.bytes > 0 && header.bytes <= bytes.size() && header.bytes <= kMostProxyHeaderBytes);
  if (result == ProxyHeaderResult::kOk && header.source) require(parse_ip(format_ip(*header.source)) == header.source);
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ProxyHeader whole;
  const ProxyHeaderResult verdict = judge(bytes, whole);
  constexpr size_t kAllUpTo = 300;  // longer inputs in steps
  const size_t step = size <= kAllUpTo ? 1 : size / 20;
  bool decided = false;
  for (size_t n = 0; n <= size; n += step) {
    ProxyHeader part;
    const ProxyHeaderResult result = judge(bytes.substr(0, n), part);
    require(result != ProxyHeaderResult::kNeedMore || !decided);
    decided = result != ProxyHeaderResult::kNeedMore;
    if (!decided) continue;
    require(result == verdict);
    if (result == ProxyHeaderResult::kOk)
      require(part.bytes == whole.bytes && part.source == whole.source && part.source_port == whole.source_port);
  }
  return 0;
}
