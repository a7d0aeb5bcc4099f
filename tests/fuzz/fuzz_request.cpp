// Request heads: any split gives the verdict of the whole, views lie inside the input, and whatever parses can be judged and answered.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/handshake.h"
#include "core/request.h"

namespace {

using namespace wsb::core;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Verdict {
  RequestResult result = RequestResult::kNeedMore;
  size_t head_bytes = 0;
  std::string_view text;
};

Verdict judge(std::string_view bytes, size_t max_bytes, Request& request) {
  Verdict verdict;
  const char* text = "";
  verdict.result = parse_request(bytes, max_bytes, request, verdict.head_bytes, text);
  verdict.text = text;
  const bool failed = verdict.result != RequestResult::kOk && verdict.result != RequestResult::kNeedMore;
  require(failed != verdict.text.empty());
  return verdict;
}

void check_prefixes(std::string_view bytes, size_t max_bytes, const Verdict& whole) {
  constexpr size_t kAllUpTo = 120;  // longer inputs in steps: each prefix is parsed from its start
  const size_t step = bytes.size() <= kAllUpTo ? 1 : bytes.size() / 20;
  Request request;
  bool decided = false;
  for (size_t size = 0; size <= bytes.size(); size += step) {
    const std::vector<char> exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const Verdict part = judge({exact.data(), exact.size()}, max_bytes, request);
    if (part.result == RequestResult::kNeedMore) {
      require(!decided);
      continue;
    }
    decided = true;
    require(part.result == whole.result && part.head_bytes == whole.head_bytes && part.text == whole.text);
  }
}

void check_inside(std::string_view head, std::string_view view) {
  require(view.empty() || (view.data() >= head.data() && view.data() + view.size() <= head.data() + head.size()));
}

void check_request(std::string_view head, const Request& request) {
  for (const std::string_view view : {request.method, request.target, request.path, request.query, request.host}) {
    check_inside(head, view);
  }
  require(is_token(request.method) && !request.path.empty());
  require(request.host.empty() || parse_authority(request.host));
  require(request.headers.size() <= kMaxRequestHeaders);
  for (const Header& header : request.headers) {
    check_inside(head, header.name);
    check_inside(head, header.value);
    require(is_token(header.name) && trim(header.value) == header.value);
    require(header.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    require(request.header(header.name).has_value() && request.count(header.name) > 0);
    require(request.joined(header.name).size() >= header.value.size());
  }
}

void check_credentials(const Request& request) {
  const auto token = cookie(request, "token");
  require(!token || token->find(';') == std::string::npos);
  const auto param = query_param(request.query, "token");
  require(!param || (param->size() <= request.query.size() && param->find('\0') == std::string::npos));
  const auto basic = basic_credentials(request);
  require(!basic || basic->user.find(':') == std::string::npos);
  const auto bearer = bearer_token(request);
  require(!bearer || !bearer->empty());
  require(!basic || !bearer);
}

void check_answer(const std::string& answer) {
  require(answer.find("\r\n\r\n") == answer.size() - 4);
}

void check_handshake(const Request& request, const HandshakeConfig& config) {
  Handshake handshake;
  Refusal refusal;
  if (judge_handshake(request, config, handshake, refusal)) {
    require(wants_websocket(request) && handshake.accept.size() == 28);
    require(handshake.deflate.agreed != handshake.deflate_response.empty());
    check_answer(build_switching_protocols(handshake, {}));
    return;
  }
  require(refusal.status >= 400 && refusal.refusal != 0);
  require(!refusal.body.empty() && status_text(refusal.status) != "Unknown");
  check_answer(build_response(refusal.status, "text/plain", refusal.body, refusal.headers, true));
}

const HandshakeConfig& plain_config() {
  static const HandshakeConfig config;
  return config;
}

const HandshakeConfig& rich_config() {
  static const HandshakeConfig config = [] {
    HandshakeConfig rich;
    rich.subprotocols = {"v2.0", "chat"};
    rich.require_subprotocol = true;
    rich.origins = {"https://*.example.org", "null"};
    rich.deflate.enabled = true;
    return rich;
  }();
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const size_t max_bytes : {size_t{256}, size_t{8192}}) {
    Request request;
    const Verdict whole = judge(bytes, max_bytes, request);
    check_prefixes(bytes, max_bytes, whole);
    if (whole.result == RequestResult::kNeedMore) require(size < max_bytes);
    if (whole.result != RequestResult::kOk) continue;
    require(whole.head_bytes <= max_bytes);
    check_request(bytes.substr(0, whole.head_bytes), request);
    check_credentials(request);
    check_handshake(request, plain_config());
    check_handshake(request, rich_config());
  }
  return 0;
}
