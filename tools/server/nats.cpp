// Loading the library by its name, so that this program runs without it and without NATS's client.
#include "nats.h"

#include <dlfcn.h>
#include <wsbeat/nats.h>

#include <array>
#include <stdexcept>
#include <string>
#include <utility>

namespace tool {
namespace {

// Its SONAME: until 1.0 a minor version may break the ABI.
std::string library_name() {
  std::string name = "libwsbeat-nats.so." + std::to_string(WSB_VERSION_MAJOR);
  if (WSB_VERSION_MAJOR == 0) name += "." + std::to_string(WSB_VERSION_MINOR);
  return name;
}

constexpr std::pair<const char *, const char *> kFlagOfField[] = {
    {"servers", "--nats"},        {"prefix", "--nats-prefix"},      {"credentials_file", "--nats-credentials"},
    {"tls_ca_file", "--nats-ca"}, {"tls_cert_file", "--nats-cert"}, {"tls_key_file", "--nats-key"},
    {"durable", "--durable"},
};

std::string with_flag(const std::string &text) {
  for (const auto &[field, flag] : kFlagOfField) {
    if (text.rfind(std::string(field) + ":", 0) == 0) return flag + text.substr(std::string(field).size());
  }
  return "--nats: " + text;
}

const char *text_or_null(const std::string &text) {
  return text.empty() ? nullptr : text.c_str();
}

}  // namespace

void join_nats(const Options &options, wsb_server *server) {
  if (options.nats.empty()) return;
  void *const library = dlopen(library_name().c_str(), RTLD_NOW | RTLD_LOCAL);  // stays until the end
  if (library == nullptr) throw std::runtime_error(std::string("--nats: ") + dlerror());
  const auto create = reinterpret_cast<decltype(&wsb_nats_create)>(dlsym(library, "wsb_nats_create"));
  if (create == nullptr) throw std::runtime_error(std::string("--nats: ") + dlerror());
  wsb_nats_options wished;
  wsb_nats_options_init(&wished);
  wished.servers = options.nats.c_str();
  wished.prefix = text_or_null(options.nats_prefix);
  wished.name = "wsbeat-server";
  wished.credentials_file = text_or_null(options.nats_credentials);
  wished.tls_ca_file = text_or_null(options.nats_ca);
  wished.tls_cert_file = text_or_null(options.nats_cert);
  wished.tls_key_file = text_or_null(options.nats_key);
  wished.buffer_bytes = options.nats_buffer_bytes;
  wished.refuse_when_down = options.nats_refuse ? 1 : 0;
  wished.durable = text_or_null(options.durable);
  wished.durable_max_bytes = options.durable_max_bytes;
  wished.durable_max_age_s = options.durable_max_age_s;
  wished.durable_replicas = options.durable_replicas;
  wished.max_replay = options.max_replay;
  wished.presence_ttl_ms = options.presence_ttl_ms;
  std::array<char, 512> error = {};
  wsb_backplane backplane;
  if (create(&wished, &backplane, error.data(), error.size()) != WSB_OK)
    throw std::runtime_error(with_flag(error.data()));
  if (wsb_server_set_backplane(server, &backplane) != WSB_OK) {
    backplane.close(backplane.self);
    throw std::runtime_error(std::string("--nats: ") + wsb_last_error());
  }
}

}  // namespace tool
