// Judging where a request comes from. What cannot be told (a proxy on this machine that adds no header) is in the manual page.
#include "access.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

#include "auth.h"

namespace tool {
namespace {

bool equal_in_any_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](unsigned char x, unsigned char y) {
           return std::tolower(x) == std::tolower(y);
         });
}

bool begins_with(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && equal_in_any_case(text.substr(0, start.size()), start);
}

std::string_view text_of(const char *text) {
  return text == nullptr ? std::string_view() : text;
}

// An address in text, not a name.
bool is_loopback_address(std::string_view address) {
  const std::string text(address);
  in_addr v4 = {};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6 = {};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

// "host", "host:port" or "[v6]:port" without its port.
std::string_view host_without_port(std::string_view host) {
  if (begins_with(host, "[")) return host.substr(1, std::min(host.find(']'), host.size()) - 1);
  return host.substr(0, host.find(':'));
}

bool names_this_machine(std::string_view host) {
  return equal_in_any_case(host, "localhost") || is_loopback_address(host);
}

// Every header by which proxies tell that they are one.
bool was_passed_on(const wsb_request *request) {
  static constexpr std::string_view kStarts[] = {"x-forwarded", "x-original-", "x-envoy-", "cf-"};
  static constexpr std::string_view kNames[] = {"forwarded",           "via",           "x-real-ip", "x-client-ip",
                                                "x-cluster-client-ip", "true-client-ip"};
  const char *name = nullptr;
  const char *value = nullptr;
  for (size_t at = 0; wsb_request_header_at(request, at, &name, &value) != 0; ++at) {
    const std::string_view header = name;
    const auto starts_so = [&](std::string_view start) { return begins_with(header, start); };
    const auto is_called = [&](std::string_view other) { return equal_in_any_case(header, other); };
    if (std::any_of(std::begin(kStarts), std::end(kStarts), starts_so)) return true;
    if (std::any_of(std::begin(kNames), std::end(kNames), is_called)) return true;
  }
  return false;
}

// A Unix socket is there for a proxy, and an inherited socket may listen anywhere.
bool listens_on_loopback(const Options &options) {
  if (!options.unix_path.empty() || options.config.listen_fd != 0) return false;
  return options.host.empty() || names_this_machine(options.host);
}

}  // namespace

bool comes_from_this_machine(const wsb_request *request) {
  if (was_passed_on(request)) return false;
  const std::string_view peer = text_of(wsb_request_peer(request));
  if (peer == "unix") return true;
  return is_loopback_address(peer) &&
         names_this_machine(host_without_port(text_of(wsb_request_header(request, "Host"))));
}

bool has_no_foreign_origin(const wsb_request *request) {
  const char *const header = wsb_request_header(request, "Origin");
  if (header == nullptr) return true;
  std::string_view origin = header;
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    if (begins_with(origin, scheme)) {
      return equal_in_any_case(origin.substr(scheme.size()), text_of(wsb_request_header(request, "Host")));
    }
  }
  return false;
}

bool has_dashboard(const Options &options) {
  return options.has_dashboard_token || (listens_on_loopback(options) && options.trusted_proxies.empty());
}

DashboardAccess judge_dashboard(const Options &options, const wsb_request *request) {
  if (!has_dashboard(options)) return DashboardAccess::kOff;
  const bool own_page = has_no_foreign_origin(request);
  if (options.has_dashboard_token) {
    // What a browser adds by itself proves nothing about the page that made it ask.
    const Carriers carriers = own_page ? Carriers::kAll : Carriers::kDeliberate;
    return request_carries(request, options.dashboard_token, "dashboard_token", carriers)
               ? DashboardAccess::kOperate
               : DashboardAccess::kNeedsDashboardToken;
  }
  if (!own_page || !comes_from_this_machine(request)) return DashboardAccess::kNotLocal;
  return request_has_token(options, request) ? DashboardAccess::kWatch : DashboardAccess::kNeedsToken;
}

}  // namespace tool
