// Answers written: 101, and whole responses to refused handshakes and plain requests (RFC 9110, RFC 9112).
#include "core/char_class.h"
#include "core/handshake.h"

namespace wsb::core {
namespace {

struct StatusText {
  uint32_t status;
  std::string_view text;
};

// The HTTP Status Code Registry of IANA.
constexpr StatusText kStatusTexts[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_headers(std::string& out, const HeaderList& headers) {
  for (const auto& [name, value] : headers) append_header(out, name, value);
}

size_t size_of(const HeaderList& headers) noexcept {
  constexpr size_t kPunctuation = 4;  // ": " and CRLF
  size_t size = 0;
  for (const auto& [name, value] : headers) size += name.size() + value.size() + kPunctuation;
  return size;
}

// RFC 9110, 15.3.5, 15.3.6, 15.4.5.
bool has_no_content(uint32_t status) noexcept {
  return status == 204 || status == 205 || status == 304;
}

bool starts_ignoring_case(std::string_view text, std::string_view prefix) noexcept {
  return equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

}  // namespace

std::string build_switching_protocols(const Handshake& handshake, const HeaderList& extra) {
  constexpr size_t kFixed = 256;  // status line, the library's own names
  std::string out;
  out.reserve(kFixed + handshake.subprotocol.size() + handshake.deflate_response.size() + size_of(extra));
  out += "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  append_header(out, "Sec-WebSocket-Accept", handshake.accept);
  if (!handshake.subprotocol.empty()) append_header(out, "Sec-WebSocket-Protocol", handshake.subprotocol);
  if (!handshake.deflate_response.empty()) append_header(out, "Sec-WebSocket-Extensions", handshake.deflate_response);
  append_headers(out, extra);
  out += "\r\n";
  return out;
}

std::string build_response(uint32_t status, std::string_view content_type, std::string_view body,
                           const HeaderList& extra, bool head_only) {
  constexpr size_t kFixed = 192;  // status line, the library's own headers
  const bool no_content = has_no_content(status);
  if (no_content) body = {};
  std::string out;
  out.reserve(kFixed + content_type.size() + size_of(extra) + body.size());
  out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(status_text(status)).append("\r\n");
  if (!content_type.empty() && !no_content) append_header(out, "Content-Type", content_type);
  // 204 may not carry a length, and that of 304 would speak of the answer to a GET (RFC 9110, 8.6).
  if (!no_content || status == 205) append_header(out, "Content-Length", std::to_string(body.size()));
  out += status == 426 ? "Upgrade: websocket\r\nConnection: Upgrade, close\r\n" : "Connection: close\r\n";
  append_headers(out, extra);
  out += "\r\n";
  if (!head_only) out += body;
  return out;
}

bool may_add_header(std::string_view name, std::string_view value) noexcept {
  if (!is_token(name)) return false;
  for (const std::string_view own : {"Connection", "Upgrade", "Content-Length", "Content-Type", "Transfer-Encoding"}) {
    if (equals_ignoring_case(name, own)) return false;
  }
  if (starts_ignoring_case(name, "Sec-WebSocket-")) return false;
  for (const char c : value) {
    if (c == '\t' || !is_in_class(c, kValueChar)) return false;
  }
  return true;
}

std::string_view status_text(uint32_t status) noexcept {
  for (const StatusText& entry : kStatusTexts) {
    if (entry.status == status) return entry.text;
  }
  return "Unknown";
}

}  // namespace wsb::core
