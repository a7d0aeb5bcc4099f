// One table with a line per flag. Ranges are those of wsb_config, so that an error can name the flag instead of the field.
#include "options.h"

#include <sys/un.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "topic_protocol.h"

namespace tool {
namespace {

constexpr uint32_t kDefaultPort = 9001;
constexpr uint64_t kDefaultMessageBytes = 1 << 20;
constexpr uint64_t kDefaultQueueBytes = 1 << 20;
constexpr uint64_t kQueueSpareBytes = 64 * 1024;
constexpr uint32_t kDefaultHeartbeatMs = 25000;
constexpr uint64_t kMaxSizeBytes = uint64_t{1} << 40;
constexpr size_t kMaxUnixPathBytes = sizeof(sockaddr_un::sun_path) - 1;

// One flag's value as it was given. Each reading throws UsageError if the value does not fit.
class Value {
 public:
  Value(std::string_view flag, std::string_view text) : flag_(flag), text_(text) {}

  [[noreturn]] void refuse(const std::string &wanted) const {
    throw UsageError(std::string(flag_) + " must be " + wanted + ", not '" + std::string(text_) + "'");
  }

  std::string text(size_t max_bytes = std::string::npos) const {
    if (text_.empty()) refuse("followed by a value");
    if (text_.size() > max_bytes) refuse("at most " + std::to_string(max_bytes) + " bytes long");
    return std::string(text_);
  }

  uint64_t number64(uint64_t min, uint64_t max, const char *other = "") const {
    uint64_t number = 0;
    const bool digits = !text_.empty() && text_.size() <= 18 &&
                        std::all_of(text_.begin(), text_.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (digits) {
      for (const char c : text_) number = number * 10 + static_cast<uint64_t>(c - '0');
    }
    if (!digits || number < min || number > max) {
      refuse("a number from " + std::to_string(min) + " to " + std::to_string(max) + other);
    }
    return number;
  }

  uint32_t number(uint32_t min, uint32_t max) const { return static_cast<uint32_t>(number64(min, max)); }

  bool is_off() const { return text_ == "off"; }

  // As number, where "0" and "off" mean off, which the library is told by `off`.
  uint32_t number_or_off(uint32_t min, uint32_t max, uint32_t off) const {
    if (text_ == "0" || text_ == "off") return off;
    return static_cast<uint32_t>(number64(min, max, " or off"));
  }

  uint32_t choice(std::initializer_list<std::pair<const char *, uint32_t>> choices) const {
    std::string names;
    for (const auto &[name, value] : choices) {
      if (text_ == name) return value;
      names += (names.empty() ? "" : "|") + std::string(name);
    }
    refuse(names);
  }

  std::string pattern() const {
    std::string name(text_);
    if (wsb_topic_covers(name.data(), name.size(), name.data(), name.size()) < 0)
      refuse("a topic or a pattern of topics");
    return name;
  }

  void append_to(std::string &list) const {
    if (!list.empty()) list += ',';
    list += text();
  }

 private:
  std::string_view flag_;
  std::string_view text_;
};

struct Flag {
  const char *name;
  const char *field;  // of wsb_config, NULL if the library does not see this flag
  bool takes_value;
  void (*set)(Options &options, const Value &value);
};

constexpr uint32_t kDayMs = 86400000;

constexpr Flag kFlags[] = {
    {"--host", "host", true, [](Options &o, const Value &v) { o.host = v.text(); }},
    {"--port", "port", true, [](Options &o, const Value &v) { o.config.port = v.number(0, 65535); }},
    {"--unix", "unix_path", true, [](Options &o, const Value &v) { o.unix_path = v.text(kMaxUnixPathBytes); }},
    {"--workers", "workers", true, [](Options &o, const Value &v) { o.config.workers = v.number(1, 64); }},
    {"--mode", nullptr, true,
     [](Options &o, const Value &v) {
       o.mode = static_cast<Mode>(v.choice({{"echo", 0}, {"broadcast", 1}, {"sink", 2}}));
     }},
    {"--heartbeat-ms", "heartbeat_interval_ms", true,
     [](Options &o, const Value &v) { o.config.heartbeat_interval_ms = v.number_or_off(50, kDayMs, WSB_OFF); }},
    {"--heartbeat-timeout-ms", "heartbeat_timeout_ms", true,
     [](Options &o, const Value &v) { o.config.heartbeat_timeout_ms = v.number(20, kDayMs - 1); }},
    {"--liveness", "heartbeat_liveness", true,
     [](Options &o, const Value &v) {
       o.config.heartbeat_liveness = v.choice({{"any", WSB_LIVENESS_ANY}, {"pong", WSB_LIVENESS_PONG}});
     }},
    {"--app-beat-ms", "app_beat_ms", true,
     [](Options &o, const Value &v) { o.config.app_beat_ms = v.number_or_off(50, kDayMs, 0); }},
    {"--subprotocols", "subprotocols", true, [](Options &o, const Value &v) { o.subprotocols = v.text(); }},
    {"--require-subprotocol", "require_subprotocol", false,
     [](Options &o, const Value &) { o.config.require_subprotocol = 1; }},
    {"--origin", "origins", true, [](Options &o, const Value &v) { v.append_to(o.origins); }},
    {"--token", nullptr, true,
     [](Options &o, const Value &v) {
       o.token = v.text();
       o.has_token = true;
     }},
    {"--dashboard-token", nullptr, true,
     [](Options &o, const Value &v) {
       o.dashboard_token = v.text();
       o.has_dashboard_token = true;
     }},
    {"--auth-timeout-ms", "auth_timeout_ms", true,
     [](Options &o, const Value &v) { o.config.auth_timeout_ms = v.number_or_off(50, 600000, 0); }},
    {"--idle-timeout-ms", "idle_timeout_ms", true,
     [](Options &o, const Value &v) { o.config.idle_timeout_ms = v.number_or_off(50, 604800000, 0); }},
    {"--max-message-bytes", "max_message_bytes", true,
     [](Options &o, const Value &v) { o.config.max_message_bytes = v.number64(1, kMaxSizeBytes); }},
    {"--max-queue-bytes", "max_queue_bytes", true,
     [](Options &o, const Value &v) { o.config.max_queue_bytes = v.number64(1024, kMaxSizeBytes); }},
    {"--slow-consumer", "slow_consumer", true,
     [](Options &o, const Value &v) {
       o.config.slow_consumer =
           v.choice({{"refuse", WSB_SLOW_REFUSE}, {"close", WSB_SLOW_CLOSE}, {"drop-oldest", WSB_SLOW_DROP_OLDEST}});
     }},
    {"--max-connections-per-address", "max_connections_per_address", true,
     [](Options &o, const Value &v) { o.config.max_connections_per_address = v.number_or_off(1, 16000000, 0); }},
    {"--max-connections", "max_connections", true,
     [](Options &o, const Value &v) { o.config.max_connections = v.number(1, 16000000); }},
    {"--handshake-timeout-ms", "handshake_timeout_ms", true,
     [](Options &o, const Value &v) { o.config.handshake_timeout_ms = v.number(50, 600000); }},
    {"--close-timeout-ms", "close_timeout_ms", true,
     [](Options &o, const Value &v) { o.config.close_timeout_ms = v.number(50, 600000); }},
    {"--trusted-proxy", "trusted_proxies", true, [](Options &o, const Value &v) { v.append_to(o.trusted_proxies); }},
    {"--proxy-protocol", "proxy_protocol", true,
     [](Options &o, const Value &v) {
       o.config.proxy_protocol = v.choice({{"off", WSB_PROXY_PROTOCOL_OFF},
                                           {"trusted", WSB_PROXY_PROTOCOL_TRUSTED},
                                           {"required", WSB_PROXY_PROTOCOL_REQUIRED}});
     }},
    {"--deflate", "deflate", false, [](Options &o, const Value &) { o.config.deflate = 1; }},
    {"--tls-cert", "tls_cert_file", true, [](Options &o, const Value &v) { o.tls_cert = v.text(); }},
    {"--tls-key", "tls_key_file", true, [](Options &o, const Value &v) { o.tls_key = v.text(); }},
    {"--tls-client-ca", "tls_ca_file", true,
     [](Options &o, const Value &v) {
       o.tls_client_ca = v.text();
       o.config.tls_client_cert = WSB_CLIENT_CERT_REQUIRED;
     }},
    {"--stop-deadline-ms", nullptr, true,
     [](Options &o, const Value &v) { o.stop_deadline_ms = v.number(1, 3600000); }},
    {"--stop-spread-ms", nullptr, true, [](Options &o, const Value &v) { o.stop_spread_ms = v.number(0, 3599999); }},
    {"--topics", nullptr, false, [](Options &o, const Value &) { o.topics = true; }},
    {"--may-subscribe", nullptr, true, [](Options &o, const Value &v) { o.may_subscribe.push_back(v.pattern()); }},
    {"--may-publish", nullptr, true, [](Options &o, const Value &v) { o.may_publish.push_back(v.pattern()); }},
    {"--max-topics", "max_topics_per_connection", true,
     [](Options &o, const Value &v) { o.config.max_topics_per_connection = v.number(1, 1000000); }},
    {"--nats", nullptr, true, [](Options &o, const Value &v) { o.nats = v.text(); }},
    {"--nats-prefix", nullptr, true, [](Options &o, const Value &v) { o.nats_prefix = v.pattern(); }},
    {"--nats-credentials", nullptr, true, [](Options &o, const Value &v) { o.nats_credentials = v.text(); }},
    {"--nats-ca", nullptr, true, [](Options &o, const Value &v) { o.nats_ca = v.text(); }},
    {"--nats-cert", nullptr, true, [](Options &o, const Value &v) { o.nats_cert = v.text(); }},
    {"--nats-key", nullptr, true, [](Options &o, const Value &v) { o.nats_key = v.text(); }},
    {"--nats-buffer-bytes", nullptr, true,
     [](Options &o, const Value &v) {
       o.nats_refuse = v.is_off();
       if (!o.nats_refuse) o.nats_buffer_bytes = v.number64(1024, uint64_t{1} << 32, " or off");
     }},
    {"--durable", nullptr, true,
     [](Options &o, const Value &v) {
       const std::string pattern = v.pattern();
       if (pattern.find(',') != std::string::npos) v.refuse("without commas");
       o.durable += (o.durable.empty() ? "" : ",") + pattern;
     }},
    {"--durable-max-bytes", nullptr, true,
     [](Options &o, const Value &v) { o.durable_max_bytes = v.number64(1024, uint64_t{1} << 50); }},
    {"--durable-max-age-s", nullptr, true,
     [](Options &o, const Value &v) { o.durable_max_age_s = v.number_or_off(1, 315360000, WSB_OFF); }},
    {"--durable-replicas", nullptr, true, [](Options &o, const Value &v) { o.durable_replicas = v.number(1, 5); }},
    {"--max-replay", nullptr, true, [](Options &o, const Value &v) { o.max_replay = v.number(1, 100000000); }},
    {"--presence-ttl-ms", nullptr, true, [](Options &o, const Value &v) { o.presence_ttl_ms = v.number(1000, 600000); }},
    {"--commands", nullptr, false, [](Options &o, const Value &) { o.commands = true; }},
    {"--events", nullptr, false, [](Options &o, const Value &) { o.events = true; }},
    {"--quiet", nullptr, false, [](Options &o, const Value &) { o.quiet = true; }},
    {"--help", nullptr, false, [](Options &o, const Value &) { o.help = true; }},
    {"--version", nullptr, false, [](Options &o, const Value &) { o.version = true; }},
};

const Flag &find_flag(std::string_view name) {
  for (const Flag &flag : kFlags) {
    if (name == flag.name) return flag;
  }
  if (name.substr(0, 1) != "-") throw UsageError("unexpected argument '" + std::string(name) + "'");
  throw UsageError("unknown flag " + std::string(name));
}

// What one flag alone cannot tell.
void check_together(const Options &options) {
  const wsb_config &config = options.config;
  const uint32_t interval = config.heartbeat_interval_ms == 0 ? kDefaultHeartbeatMs : config.heartbeat_interval_ms;
  if (config.heartbeat_timeout_ms >= interval) {
    throw UsageError("--heartbeat-timeout-ms must be below --heartbeat-ms (" + std::to_string(interval) + ")");
  }
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    throw UsageError(options.tls_cert.empty() ? "--tls-key needs --tls-cert" : "--tls-cert needs --tls-key");
  }
  if (!options.tls_client_ca.empty() && options.tls_cert.empty()) throw UsageError("--tls-client-ca needs --tls-cert");
  if (config.require_subprotocol != 0 && options.subprotocols.empty()) {
    throw UsageError("--require-subprotocol needs --subprotocols");
  }
  const bool for_topics =
      !options.may_subscribe.empty() || !options.may_publish.empty() || config.max_topics_per_connection != 0;
  if (for_topics && !options.topics) {
    throw UsageError("--may-subscribe, --may-publish and --max-topics need --topics");
  }
  const bool for_nats = !options.nats_prefix.empty() || !options.nats_credentials.empty() || !options.nats_ca.empty() ||
                        !options.nats_cert.empty() || !options.nats_key.empty() || options.nats_refuse ||
                        options.nats_buffer_bytes != 0 || !options.durable.empty() || options.presence_ttl_ms != 0;
  if (for_nats && options.nats.empty()) {
    throw UsageError(
        "--nats-prefix, --nats-credentials, --nats-ca, --nats-cert, --nats-key, --nats-buffer-bytes, --durable and "
        "--presence-ttl-ms need --nats");
  }
  // Presence keeps as many replicas, so they need no durable topic.
  if (options.durable_replicas != 0 && options.nats.empty()) throw UsageError("--durable-replicas needs --nats");
  const bool for_durable = options.durable_max_bytes != 0 || options.durable_max_age_s != 0 || options.max_replay != 0;
  if (for_durable && options.durable.empty()) {
    throw UsageError("--durable-max-bytes, --durable-max-age-s and --max-replay need --durable");
  }
  if (config.proxy_protocol != WSB_PROXY_PROTOCOL_OFF && options.trusted_proxies.empty()) {
    throw UsageError("--proxy-protocol needs --trusted-proxy");
  }
  if (options.stop_spread_ms >= options.stop_deadline_ms) {
    throw UsageError("--stop-spread-ms must be below --stop-deadline-ms (" + std::to_string(options.stop_deadline_ms) +
                     ")");
  }
}

const char *text_or_null(const std::string &text) {
  return text.empty() ? nullptr : text.c_str();
}

}  // namespace

Options::Options() {
  wsb_config_init(&config);
  config.port = kDefaultPort;
}

wsb_config Options::library_config() const {
  wsb_config result = config;
  result.host = text_or_null(host);
  result.unix_path = text_or_null(unix_path);
  result.subprotocols = text_or_null(subprotocols);
  result.origins = text_or_null(origins);
  result.trusted_proxies = text_or_null(trusted_proxies);
  result.tls_cert_file = text_or_null(tls_cert);
  result.tls_key_file = text_or_null(tls_key);
  result.tls_ca_file = text_or_null(tls_client_ca);
  if (result.max_queue_bytes == 0) {
    // The largest message must fit as an echo even when the queue is still half full (on_drain's level), or nothing would move it.
    const uint64_t message = config.max_message_bytes == 0 ? kDefaultMessageBytes : config.max_message_bytes;
    result.max_queue_bytes = std::clamp(2 * message + kQueueSpareBytes, kDefaultQueueBytes, kMaxSizeBytes);
  }
  return result;
}

Options parse_options(int argc, const char *const *argv) {
  Options options;
  for (int at = 1; at < argc; ++at) {
    const std::string_view argument = argv[at];
    const size_t equals = argument.substr(0, 2) == "--" ? argument.find('=') : std::string_view::npos;
    const Flag &flag = find_flag(argument.substr(0, equals));
    std::string_view value;
    if (equals != std::string_view::npos) {
      if (!flag.takes_value) throw UsageError(std::string(flag.name) + " takes no value");
      value = argument.substr(equals + 1);
    } else if (flag.takes_value) {
      // A flag here is a forgotten value rather than a value; one that really begins so is given after an equals sign.
      if (++at == argc || std::string_view(argv[at]).substr(0, 2) == "--") {
        throw UsageError(std::string(flag.name) + " needs a value");
      }
      value = argv[at];
    }
    flag.set(options, Value(flag.name, value));
  }
  if (!options.help && !options.version) check_together(options);
  if (options.topics)
    options.subprotocols += (options.subprotocols.empty() ? "" : ",") + std::string(kTopicSubprotocol);
  return options;
}

std::string with_flag_for_field(const std::string &text) {
  const size_t end = std::min(text.find_first_of(": "), text.size());
  for (const Flag &flag : kFlags) {
    if (flag.field != nullptr && text.compare(0, end, flag.field) == 0) return flag.name + text.substr(end);
  }
  return text;
}

const char *help_text() {
  return R"(usage: wsbeat-server [FLAG]...  ws:// on any path; http:// /, /healthz, /metrics
Listen     --host ADDRESS (127.0.0.1)  --port N (9001; 0: any free)  --unix PATH
           --workers N (1)  --tls-cert FILE --tls-key FILE --tls-client-ca FILE
Heartbeat  --heartbeat-ms N|off (25000)  --heartbeat-timeout-ms N (half of it)
           --liveness any|pong (any)  --app-beat-ms N|off (off): if asked
Messages   --mode echo|broadcast|sink (echo)  --deflate: accept compression
           --max-message-bytes N (1048576)  --max-queue-bytes N (two of them)
           --slow-consumer refuse|close|drop-oldest (refuse): when that is full
           --commands: obey /close, /abort, /ping, /pause, /flood, /auth, /info
Topics     --topics: speak wsbeat.topics.v1  --max-topics N (100): of one client
           --may-subscribe PATTERN, --may-publish PATTERN (all); repeat for more
           --nats URL,URL  --nats-prefix TOPIC (wsbeat)  --nats-credentials FILE
           --nats-ca, --nats-cert, --nats-key FILE  --nats-buffer-bytes N|off
           --durable PATTERN  --durable-max-bytes N  --durable-max-age-s N|off
           --durable-replicas N  --max-replay N (10000)  --presence-ttl-ms N
Admission  --subprotocols A,B: best first  --require-subprotocol: else 400
           --token SECRET: else 401  --dashboard-token SECRET  --origin PATTERN
           --auth-timeout-ms N|off (off): instead "/auth SECRET" in time
           --max-connections N (1000000)  --max-connections-per-address N|off
           --trusted-proxy CIDR (none)  --proxy-protocol off|trusted|required
Times      --handshake-timeout-ms N (10000)  --close-timeout-ms N (5000)
           --idle-timeout-ms N|off  --stop-deadline-ms N  --stop-spread-ms N
Output     --events: JSON lines on stdout  --quiet: no log  --help  --version
)";
}

}  // namespace tool
