// What on_handshake and on_http see of a request, and how they answer it.
#include <algorithm>
#include <optional>
#include <string>

#include "capi/guard.h"
#include "core/frame.h"
#include "server/request_context.h"

namespace {

using wsb::capi::fail;
using wsb::capi::guarded;

constexpr size_t kMaxBodyBytes = 16 * 1024 * 1024;

// A text that lives as long as the request; NULL when absent or without memory.
template <typename Find>
const char *text_of(const wsb_request *request, Find &&find) noexcept {
  if (request == nullptr) return nullptr;
  try {
    std::optional<std::string> found = find();
    if (!found) return nullptr;
    return const_cast<wsb_request *>(request)->keep(std::move(*found));  // always made non-const, by the library
  } catch (const std::exception &) {
    return nullptr;
  }
}

int check_handshake(const wsb_request *request) noexcept {
  if (request == nullptr) return fail(WSB_E_INVALID, "request is NULL");
  if (request->handshake == nullptr) return fail(WSB_E_STATE, "only in on_handshake");
  return WSB_OK;
}

bool is_header_text(const std::string &text) noexcept {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

}  // namespace

extern "C" {

const char *wsb_request_method(const wsb_request *request) noexcept {
  return text_of(request, [&] { return std::string(request->request.method); });
}

const char *wsb_request_path(const wsb_request *request) noexcept {
  return text_of(request, [&] { return std::string(request->request.path); });
}

const char *wsb_request_query(const wsb_request *request) noexcept {
  return text_of(request, [&] { return std::string(request->request.query); });
}

const char *wsb_request_peer(const wsb_request *request) noexcept {
  return request != nullptr ? request->peer.c_str() : nullptr;
}

const char *wsb_request_header(const wsb_request *request, const char *name) noexcept {
  return text_of(request, [&]() -> std::optional<std::string> {
    if (name == nullptr || request->request.count(name) == 0) return std::nullopt;
    return request->request.joined(name);
  });
}

int wsb_request_header_at(const wsb_request *request, size_t index, const char **name, const char **value) noexcept {
  if (request == nullptr || name == nullptr || value == nullptr || index >= request->request.headers.size()) return 0;
  const wsb::core::Header &header = request->request.headers[index];
  *name = text_of(request, [&] { return std::string(header.name); });
  *value = text_of(request, [&] { return std::string(header.value); });
  return *name != nullptr && *value != nullptr ? 1 : 0;
}

const char *wsb_request_cookie(const wsb_request *request, const char *name) noexcept {
  return text_of(request, [&] { return name != nullptr ? wsb::core::cookie(request->request, name) : std::nullopt; });
}

const char *wsb_request_query_param(const wsb_request *request, const char *name) noexcept {
  return text_of(request,
                 [&] { return name != nullptr ? wsb::core::query_param(request->request.query, name) : std::nullopt; });
}

const char *wsb_request_basic_user(const wsb_request *request) noexcept {
  return text_of(request, [&]() -> std::optional<std::string> {
    std::optional<wsb::core::Basic> basic = wsb::core::basic_credentials(request->request);
    return basic ? std::optional<std::string>(std::move(basic->user)) : std::nullopt;
  });
}

const char *wsb_request_basic_password(const wsb_request *request) noexcept {
  return text_of(request, [&]() -> std::optional<std::string> {
    std::optional<wsb::core::Basic> basic = wsb::core::basic_credentials(request->request);
    return basic ? std::optional<std::string>(std::move(basic->password)) : std::nullopt;
  });
}

const char *wsb_request_bearer_token(const wsb_request *request) noexcept {
  return text_of(request, [&] { return wsb::core::bearer_token(request->request); });
}

const char *wsb_request_client_subject(const wsb_request *request) noexcept {
  return text_of(request, [&]() -> std::optional<std::string> {
    std::string subject = request->transport.client_subject();
    return subject.empty() ? std::nullopt : std::optional<std::string>(std::move(subject));
  });
}

const char *wsb_request_subprotocol_at(const wsb_request *request, size_t index) noexcept {
  if (request == nullptr || request->handshake == nullptr || index >= request->handshake->offered.size())
    return nullptr;
  return request->handshake->offered[index].c_str();
}

const char *wsb_request_subprotocol(const wsb_request *request) noexcept {
  if (request == nullptr) return nullptr;
  return request->handshake != nullptr ? request->handshake->subprotocol.c_str() : "";
}

int wsb_request_select_subprotocol(wsb_request *request, const char *subprotocol) noexcept {
  return guarded([&]() -> int {
    const int bad = check_handshake(request);
    if (bad != WSB_OK) return bad;
    const auto &offered = request->handshake->offered;
    if (subprotocol != nullptr && std::find(offered.begin(), offered.end(), subprotocol) == offered.end()) {
      return fail(WSB_E_INVALID, "subprotocol: the client did not offer it");
    }
    request->handshake->subprotocol = subprotocol != nullptr ? subprotocol : "";
    return WSB_OK;
  });
}

int wsb_request_add_header(wsb_request *request, const char *name, const char *value) noexcept {
  return guarded([&]() -> int {
    if (request == nullptr || name == nullptr || value == nullptr)
      return fail(WSB_E_INVALID, "request, name or value is NULL");
    if (!wsb::core::may_add_header(name, value)) {
      return fail(WSB_E_INVALID, "name or value: not allowed in a header, or set by the library itself");
    }
    request->headers.emplace_back(name, value);
    return WSB_OK;
  });
}

int wsb_request_set_user(wsb_request *request, void *conn_user) noexcept {
  const int bad = check_handshake(request);
  if (bad == WSB_OK) request->conn_user = conn_user;
  return bad;
}

int wsb_request_authenticate(wsb_request *request) noexcept {
  const int bad = check_handshake(request);
  if (bad == WSB_OK) request->authenticated = true;
  return bad;
}

int wsb_request_respond(wsb_request *request, uint32_t status, const char *content_type, const void *body,
                        size_t length) noexcept {
  return guarded([&]() -> int {
    if (request == nullptr) return fail(WSB_E_INVALID, "request is NULL");
    if (request->answered) return fail(WSB_E_STATE, "answered before");
    const uint32_t least = request->handshake != nullptr ? 300 : 200;
    if (status < least || status > 599)
      return fail(WSB_E_INVALID, "status: not within " + std::to_string(least) + "..599");
    if (body == nullptr && length != 0) return fail(WSB_E_INVALID, "body is NULL");
    if (length > kMaxBodyBytes) return fail(WSB_E_TOO_BIG, "length: a body has at most 16 MiB");
    std::string type = content_type != nullptr ? content_type : "";
    if (!is_header_text(type)) return fail(WSB_E_INVALID, "content_type: control characters");
    if (length != 0) request->body.assign(static_cast<const char *>(body), length);
    request->content_type = std::move(type);
    request->status = status;
    request->answered = true;
    return WSB_OK;
  });
}

}  // extern "C"
