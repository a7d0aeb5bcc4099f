// One function per resource.
#include "http.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "access.h"
#include "auth.h"
#include "conn_json.h"
#include "page.h"
#include "process_metrics.h"

namespace tool {
namespace {

constexpr size_t kMaxListedConnections = 500;

struct Resource {
  std::string_view path;
  void (*answer)(App &app, wsb_request *request);
};

// Local delivery goes on without NATS, so its absence does not make the server unhealthy.
const char *nats_line(const App &app) {
  if (app.options.nats.empty()) return "";
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  wsb_server_get_metrics(app.server, &metrics);
  return metrics.backplane_state == WSB_BACKPLANE_UP ? "nats: up\n" : "nats: down\n";
}

void answer_health(App &app, wsb_request *request) {
  if (app.stopping) {
    respond_text(request, 503, "stopping\n");
  } else {
    respond_text(request, 200, std::string("ok\n") + nats_line(app));
  }
}

void answer_metrics(App &app, wsb_request *request) {
  std::string text(16 * 1024, '\0');
  while (true) {
    const int64_t length = wsb_server_metrics_text(app.server, text.data(), text.size() + 1);
    if (length < 0) return respond_text(request, 500, "no metrics\n");
    const bool whole = static_cast<size_t>(length) <= text.size();
    text.resize(static_cast<size_t>(length));
    if (whole) break;
  }
  append_process_metrics(text);
  respond(request, 200, "text/plain; version=0.0.4; charset=utf-8", text);
}

struct Listing {
  App &app;
  std::string json;
  size_t count;
};

int list_connection(wsb_conn conn, void *user) {
  Listing &listing = *static_cast<Listing *>(user);
  if (listing.app.dashboard.is_watcher(conn)) return 0;
  const size_t before = listing.json.size();
  if (listing.count > 0) listing.json += ',';
  if (!append_conn_json(listing.json, listing.app.server, conn)) {
    listing.json.resize(before);
    return 0;
  }
  return ++listing.count == kMaxListedConnections ? 1 : 0;
}

void answer_connections(App &app, wsb_request *request) {
  if (!request_has_token(app.options, request)) return respond_unauthorized(request, Challenge::kBearer);
  if (!app.options.has_token && !comes_from_this_machine(request)) {
    return respond_text(request, 403,
                        "for this machine only (at http://127.0.0.1 or http://localhost), unless there is a --token\n");
  }
  wsb_metrics metrics;
  wsb_metrics_init(&metrics);
  wsb_server_get_metrics(app.server, &metrics);
  const uint64_t watching = std::min(app.dashboard.watching(), metrics.connections);
  Listing listing = {app, "{\"total\":" + std::to_string(metrics.connections - watching) + ",\"connections\":[", 0};
  wsb_server_for_each(app.server, list_connection, &listing);
  listing.json += "]}\n";
  respond(request, 200, "application/json", listing.json);
}

void answer_dashboard(App &app, wsb_request *request) {
  app.dashboard.answer(request);
}

void answer_icon(App &, wsb_request *request) {
  respond(request, 204, nullptr, "");
}

constexpr Resource kResources[] = {
    {"/healthz", answer_health},        {"/metrics", answer_metrics},  {"/api/connections", answer_connections},
    {kDashboardPath, answer_dashboard}, {"/favicon.ico", answer_icon},
};

const PageFile *find_page_file(std::string_view path) {
  for (const PageFile &file : page_files()) {
    if (path == file.path) return &file;
  }
  return nullptr;
}

// Scripts and styles come from this server alone and are never in the markup; the page talks to this server alone.
void answer_page(wsb_request *request, const PageFile &file) {
  wsb_request_add_header(
      request, "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
      "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'");
  wsb_request_add_header(request, "Referrer-Policy", "no-referrer");
  respond(request, 200, file.type, file.bytes);
}

}  // namespace

void respond(wsb_request *request, uint32_t status, const char *type, std::string_view body) {
  wsb_request_add_header(request, "Cache-Control", "no-store");
  wsb_request_add_header(request, "X-Content-Type-Options", "nosniff");
  wsb_request_respond(request, status, type, body.data(), body.size());
}

void respond_text(wsb_request *request, uint32_t status, std::string_view text) {
  respond(request, status, "text/plain; charset=utf-8", text);
}

void answer_http(App &app, wsb_request *request) {
  const std::string_view method = wsb_request_method(request);
  if (method != "GET" && method != "HEAD") {
    wsb_request_add_header(request, "Allow", "GET, HEAD");
    return respond_text(request, 405, "GET and HEAD only\n");
  }
  const std::string_view path = wsb_request_path(request);
  for (const Resource &resource : kResources) {
    if (path == resource.path) return resource.answer(app, request);
  }
  const PageFile *const file = find_page_file(path);
  if (file != nullptr) return answer_page(request, *file);
  respond_text(request, 404, "not found\n");
}

}  // namespace tool
