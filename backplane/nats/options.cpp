// Settings in the terms of NATS's client.
#include <nats/nats.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "backplane.h"

namespace wsb::nats {

namespace {

constexpr int64_t kConnectTimeoutMs = 2000;
constexpr int64_t kWriteDeadlineMs = 5000;
constexpr int64_t kReconnectWaitMs = 250;
constexpr int kMaxPingsOut = 2;
constexpr int kReconnectBufferBytes =
    1 << 20;  // what NATS's client takes before it has noticed that it is disconnected

void check(natsStatus status, const char* field) {
  if (status == NATS_OK) return;
  const char* detail = nats_GetLastError(nullptr);
  throw std::runtime_error(std::string(field) + ": " +
                           (detail != nullptr && *detail != '\0' ? detail : natsStatus_GetText(status)));
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> out;
  size_t begin = 0;
  while (begin <= list.size()) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const size_t first = list.find_first_not_of(' ', begin);
    if (first < end) out.push_back(list.substr(first, list.find_last_not_of(' ', end - 1) + 1 - first));
    begin = end + 1;
  }
  return out;
}

void set_servers(natsOptions* options, const std::string& list) {
  const std::vector<std::string> servers = split(list);
  std::vector<const char*> texts;
  texts.reserve(servers.size());
  for (const std::string& server : servers) texts.push_back(server.c_str());
  if (texts.empty()) throw std::runtime_error("servers: none");
  check(natsOptions_SetServers(options, texts.data(), static_cast<int>(texts.size())), "servers");
}

void set_credentials(natsOptions* options, const Settings& settings) {
  if (!settings.credentials_file.empty()) {
    check(natsOptions_SetUserCredentialsFromFiles(options, settings.credentials_file.c_str(), nullptr),
          "credentials_file");
  }
  if (settings.tls_cert_file.empty() != settings.tls_key_file.empty()) {
    throw std::runtime_error("tls_key_file: goes together with tls_cert_file, both or neither");
  }
  if (!settings.tls_ca_file.empty()) {
    check(natsOptions_SetSecure(options, true), "tls_ca_file");
    check(natsOptions_LoadCATrustedCertificates(options, settings.tls_ca_file.c_str()), "tls_ca_file");
  }
  if (!settings.tls_cert_file.empty()) {
    check(natsOptions_LoadCertificatesChain(options, settings.tls_cert_file.c_str(), settings.tls_key_file.c_str()),
          "tls_cert_file");
  }
}

void set_behaviour(natsOptions* options, const Settings& settings) {
  check(natsOptions_SetNoEcho(options, true), "no echo");
  check(natsOptions_SetSendAsap(options, true), "send asap");  // its flusher would hold messages for a millisecond
  check(natsOptions_SetTimeout(options, kConnectTimeoutMs), "timeout");
  check(natsOptions_SetWriteDeadline(options, kWriteDeadlineMs), "write deadline");
  check(natsOptions_SetMaxReconnect(options, -1), "reconnects");
  check(natsOptions_SetReconnectWait(options, kReconnectWaitMs), "reconnect wait");
  check(natsOptions_SetReconnectJitter(options, kReconnectWaitMs, kReconnectWaitMs), "reconnect jitter");
  check(natsOptions_SetReconnectBufSize(options, kReconnectBufferBytes), "reconnect buffer");
  check(natsOptions_SetPingInterval(options, settings.ping_interval_ms), "ping_interval_ms");
  check(natsOptions_SetMaxPingsOut(options, kMaxPingsOut), "pings");
  // One thread for all subscriptions: there may be thousands, and messages of one publisher stay in order across them.
  check(natsOptions_UseGlobalMessageDelivery(options, true), "delivery");
}

}  // namespace

natsOptions* make_options(const Settings& settings) {
  natsOptions* made = nullptr;
  check(natsOptions_Create(&made), "options");
  std::unique_ptr<natsOptions, decltype(&natsOptions_Destroy)> options(made, natsOptions_Destroy);
  set_servers(made, settings.servers);
  check(natsOptions_SetName(made, settings.name.c_str()), "name");
  set_credentials(made, settings);
  set_behaviour(made, settings);
  return options.release();
}

}  // namespace wsb::nats
