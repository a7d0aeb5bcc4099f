// The command line: what each flag means, and what is refused.
#pragma once

#include <wsbeat/wsbeat.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace tool {

enum class Mode { kEcho, kBroadcast, kSink };

struct Options {
  Options();

  // Numbers go straight here; library_config adds the texts.
  wsb_config config;
  std::string host;
  std::string unix_path;
  std::string subprotocols;
  std::string origins;
  std::string trusted_proxies;
  std::string token;
  std::string dashboard_token;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
  Mode mode = Mode::kEcho;
  uint32_t stop_deadline_ms = 5000;
  uint32_t stop_spread_ms = 0;
  std::vector<std::string> may_subscribe;  // patterns; none: all
  std::vector<std::string> may_publish;
  bool has_token = false;
  bool has_dashboard_token = false;
  bool topics = false;
  std::string nats;  // servers; "": no backplane
  std::string nats_prefix;
  std::string nats_credentials;
  std::string nats_ca;
  std::string nats_cert;
  std::string nats_key;
  uint64_t nats_buffer_bytes = 0;
  bool nats_refuse = false;
  std::string durable;  // patterns with commas
  uint64_t durable_max_bytes = 0;
  uint32_t durable_max_age_s = 0;
  uint32_t durable_replicas = 0;
  uint32_t max_replay = 0;
  uint32_t presence_ttl_ms = 0;
  bool commands = false;
  bool events = false;
  bool quiet = false;
  bool help = false;
  bool version = false;

  // The whole configuration; its texts live as long as these options.
  wsb_config library_config() const;
};

// The command line is wrong; the text is one line that names the flag.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws UsageError.
Options parse_options(int argc, const char *const *argv);

// An error of the library with the flag in place of the field of wsb_config that it begins with, if it does:
// "tls_cert_file 'x': unreadable" becomes "--tls-cert 'x': unreadable".
std::string with_flag_for_field(const std::string &text);

// What --help prints.
const char *help_text();

}  // namespace tool
