// The request head, read strictly from left to right: each error belongs to one byte, so pieces get the same verdict as
// the whole.
#include "core/request.h"

#include <algorithm>

#include "core/char_class.h"

namespace wsb::core {
namespace {

// Headers that the parser itself judges, as bits of a set.
enum Judged : unsigned {
  kHost = 1,
  kOrigin = 2,
  kKey = 4,
  kVersion = 8,
  kAuthorization = 16,
  kContentLength = 32,
  kTransferEncoding = 64,
};

struct JudgedHeader {
  std::string_view name;
  Judged bit;
};

constexpr JudgedHeader kJudgedHeaders[] = {
    {"Host", kHost},
    {"Origin", kOrigin},
    {"Sec-WebSocket-Key", kKey},
    {"Sec-WebSocket-Version", kVersion},
    {"Authorization", kAuthorization},
    {"Content-Length", kContentLength},
    {"Transfer-Encoding", kTransferEncoding},
};
constexpr unsigned kSingle = kHost | kOrigin | kKey | kVersion | kAuthorization | kContentLength;
constexpr size_t kMaxContentLengthDigits = 19;  // fits 64 bits
constexpr size_t kUsualHeaders = 24;            // room taken at once

bool is_content_length(std::string_view value) noexcept {
  if (value.empty() || value.size() > kMaxContentLengthDigits) return false;
  for (const char c : value) {
    if (!is_digit(c)) return false;
  }
  return true;
}

bool is_web_scheme(std::string_view scheme) noexcept {
  return equals_ignoring_case(scheme, "http") || equals_ignoring_case(scheme, "https") ||
         equals_ignoring_case(scheme, "ws") || equals_ignoring_case(scheme, "wss");
}

class HeadParser {
 public:
  HeadParser(std::string_view bytes, Request& out) noexcept
      : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()), request_(out) {}

  RequestResult parse() {
    RequestResult result = request_line();
    if (result == RequestResult::kOk) result = header_lines();
    return result == RequestResult::kOk ? judge_whole() : result;
  }
  size_t consumed() const noexcept { return static_cast<size_t>(at_ - begin_); }
  const char* text() const noexcept { return text_; }

 private:
  RequestResult request_line();
  RequestResult version(char& major, char& minor);
  bool split_target() noexcept;
  RequestResult header_lines();
  RequestResult header_line();
  RequestResult judge_header(const Header& header);
  RequestResult judge_whole();
  RequestResult line_end();
  RequestResult expect(char c, const char* text);

  bool at_end() const noexcept { return at_ == end_; }
  RequestResult bad(const char* text) noexcept {
    text_ = text;
    return RequestResult::kBad;
  }
  std::string_view span(uint8_t char_class) noexcept {
    const char* start = at_;
    while (at_ != end_ && is_in_class(*at_, char_class)) ++at_;
    return {start, static_cast<size_t>(at_ - start)};
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  Request& request_;
  const char* text_ = "";
  unsigned seen_ = 0;  // set of Judged
};

RequestResult HeadParser::expect(char c, const char* text) {
  if (at_end()) return RequestResult::kNeedMore;
  if (*at_ != c) return bad(text);
  ++at_;
  return RequestResult::kOk;
}

RequestResult HeadParser::line_end() {
  if (!at_end() && *at_ == '\n') return bad("a line ends in LF without CR");
  const RequestResult result = expect('\r', "a character that is not allowed in a line");
  return result == RequestResult::kOk ? expect('\n', "a CR without LF") : result;
}

RequestResult HeadParser::request_line() {
  request_.method = span(kTokenChar);
  if (at_end()) return RequestResult::kNeedMore;
  if (request_.method.empty() || *at_ != ' ') return bad("the method is not a token");
  ++at_;
  if (!at_end() && *at_ != '/' && *at_ != '*' && !is_alpha(*at_)) return bad("the target has no form that is served");
  request_.target = span(kTargetChar);
  if (at_end()) return RequestResult::kNeedMore;
  if (*at_ != ' ') return bad("the target has a character that is not allowed");
  if (!split_target()) return bad("the target has no form that is served");
  ++at_;
  char major = 0;
  char minor = 0;
  RequestResult result = version(major, minor);
  if (result == RequestResult::kOk) result = line_end();
  if (result != RequestResult::kOk) return result;
  if (major != '1' || minor > '1') {
    text_ = "only HTTP/1.1 and HTTP/1.0 are spoken here";
    return RequestResult::kBadVersion;
  }
  if (request_.path == "*" && request_.method != "OPTIONS") return bad("the target * is for OPTIONS");
  request_.version_minor = static_cast<uint8_t>(minor - '0');
  return RequestResult::kOk;
}

RequestResult HeadParser::version(char& major, char& minor) {
  constexpr const char* kText = "the request line does not end in HTTP/x.y";
  constexpr std::string_view kForm = "HTTP/x.y";
  for (const char c : kForm) {
    if (at_end()) return RequestResult::kNeedMore;
    const bool digit_here = c == 'x' || c == 'y';
    if (digit_here ? !is_digit(*at_) : *at_ != c) return bad(kText);
    if (c == 'x') major = *at_;
    if (c == 'y') minor = *at_;
    ++at_;
  }
  return RequestResult::kOk;
}

bool HeadParser::split_target() noexcept {
  const std::string_view target = request_.target;
  size_t path_at = 0;
  if (target == "*") {
    request_.path = target;
    return true;
  }
  if (target[0] != '/') {
    const size_t colon = target.find(':');
    if (colon == std::string_view::npos || target.substr(colon, 3) != "://" || !is_web_scheme(target.substr(0, colon)))
      return false;
    const size_t authority_at = colon + 3;
    path_at = std::min(target.find_first_of("/?", authority_at), target.size());
    request_.host = target.substr(authority_at, path_at - authority_at);
    if (!parse_authority(request_.host)) return false;
  }
  const size_t question = std::min(target.find('?', path_at), target.size());
  request_.path = target.substr(path_at, question - path_at);
  // An absolute form without a path means "/" (RFC 9110, 4.2.3); its "//" lends a view that points into the head.
  if (request_.path.empty()) request_.path = target.substr(target.find('/'), 1);
  request_.query = target.substr(std::min(question + 1, target.size()));
  return true;
}

RequestResult HeadParser::header_lines() {
  while (!at_end() && *at_ != '\r' && *at_ != '\n') {
    if (request_.headers.size() == kMaxRequestHeaders) {
      text_ = "too many headers";
      return RequestResult::kTooBig;
    }
    const RequestResult result = header_line();
    if (result != RequestResult::kOk) return result;
  }
  return line_end();
}

RequestResult HeadParser::header_line() {
  if (*at_ == ' ' || *at_ == '\t') return bad("a header line starts with a blank (folded lines are obsolete)");
  Header header;
  header.name = span(kTokenChar);
  if (at_end()) return RequestResult::kNeedMore;
  if (*at_ == ' ' || *at_ == '\t') return bad("a blank before the colon of a header");
  if (header.name.empty() || *at_ != ':') return bad("a header name is not a token");
  ++at_;
  header.value = trim(span(kValueChar));
  const RequestResult result = line_end();
  if (result != RequestResult::kOk) return result;
  request_.headers.push_back(header);
  return judge_header(header);
}

RequestResult HeadParser::judge_header(const Header& header) {
  unsigned bit = 0;
  for (const JudgedHeader& judged : kJudgedHeaders) {
    if (equals_ignoring_case(judged.name, header.name)) bit = judged.bit;
  }
  if (bit == 0) return RequestResult::kOk;
  if ((seen_ & bit & kSingle) != 0) return bad("a header that must be single is repeated");
  seen_ |= bit;
  if (bit == kHost) {
    if (!header.value.empty() && !parse_authority(header.value)) return bad("Host is not a host with an optional port");
    if (request_.host.empty()) request_.host = header.value;
  } else if (bit == kContentLength && !is_content_length(header.value)) {
    return bad("Content-Length is not a number");
  } else if (bit == kTransferEncoding && request_.version_minor == 0) {
    return bad("Transfer-Encoding in HTTP/1.0");
  }
  constexpr unsigned kBoth = kContentLength | kTransferEncoding;
  if ((seen_ & kBoth) == kBoth) return bad("both Content-Length and Transfer-Encoding");
  return RequestResult::kOk;
}

RequestResult HeadParser::judge_whole() {
  if (request_.version_minor == 1 && (seen_ & kHost) == 0) return bad("Host is missing");
  return RequestResult::kOk;
}

}  // namespace

RequestResult parse_request(std::string_view bytes, size_t max_bytes, Request& out, size_t& head_bytes,
                            const char*& text) {
  out.method = out.target = out.path = out.query = out.host = {};
  out.version_minor = 1;
  out.headers.clear();
  out.headers.reserve(kUsualHeaders);
  head_bytes = 0;
  HeadParser parser(bytes.substr(0, max_bytes), out);
  const RequestResult result = parser.parse();
  text = parser.text();
  if (result == RequestResult::kOk) {
    head_bytes = parser.consumed();
  } else if (result == RequestResult::kNeedMore && bytes.size() >= max_bytes) {
    text = "the request head is too big";
    return RequestResult::kTooBig;
  }
  return result;
}

}  // namespace wsb::core
