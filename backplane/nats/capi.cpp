// wsb_nats_create: reading the options, and the table of functions.
#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>

#include "backplane.h"
#include "core/topic_name.h"

namespace {

using wsb::nats::NatsBackplane;
using wsb::nats::Settings;

struct Malformed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

wsb_nats_options sized(const wsb_nats_options* given) {
  wsb_nats_options out{};
  out.size = sizeof out;
  if (given == nullptr) return out;
  const size_t size = given->size;
  if (size < sizeof size || size > 65536 || size % alignof(wsb_nats_options) != 0) {
    throw Malformed("wsb_nats_options.size: use the init function");
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  const auto* known = bytes + std::min(size, sizeof out);
  if (std::any_of(known, bytes + size, [](unsigned char byte) { return byte != 0; })) {
    throw Malformed("wsb_nats_options sets a field that this library does not know");
  }
  std::memcpy(&out, given, std::min(size, sizeof out));
  return out;
}

void take(std::string& setting, const char* value) {
  if (value != nullptr && *value != '\0') setting = value;
}

template <typename T>
void take(T& setting, T value, uint64_t least, uint64_t most, const char* field) {
  if (value == 0) return;
  if (value < least || value > most)
    throw std::runtime_error(std::string(field) + ": " + std::to_string(value) + " is out of range");
  setting = value;
}

Settings settings_of(const wsb_nats_options& given) {
  constexpr size_t kMostPrefixBytes = 128;
  Settings out;
  take(out.servers, given.servers);
  take(out.prefix, given.prefix);
  take(out.name, given.name);
  take(out.credentials_file, given.credentials_file);
  take(out.tls_ca_file, given.tls_ca_file);
  take(out.tls_cert_file, given.tls_cert_file);
  take(out.tls_key_file, given.tls_key_file);
  take(out.buffer_bytes, given.buffer_bytes, 1024, uint64_t{1} << 32, "buffer_bytes");
  take(out.ping_interval_ms, given.ping_interval_ms, 100, 600'000, "ping_interval_ms");
  if (given.refuse_when_down > 1) throw std::runtime_error("refuse_when_down: neither 0 nor 1");
  out.refuse_when_down = given.refuse_when_down == 1;
  const wsb::core::TopicError error = wsb::core::check_topic(out.prefix);
  if (error != wsb::core::TopicError::kNone)
    throw std::runtime_error(std::string("prefix: ") + wsb::core::topic_error_text(error));
  if (out.prefix.size() > kMostPrefixBytes) throw std::runtime_error("prefix: longer than 128 bytes");
  return out;
}

NatsBackplane& of(void* self) {
  return *static_cast<NatsBackplane*>(self);
}

template <typename Work>
int guarded(Work&& work) noexcept {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return WSB_E_NOMEM;
  } catch (const std::exception&) {
    return WSB_E_SYSTEM;
  }
}

int nats_open(void* self, const wsb_backplane_host* host) {
  return guarded([&]() -> int {
    of(self).open(*host);
    return WSB_OK;
  });
}

int nats_publish(void* self, const wsb_backplane_message* message) {
  return guarded([&] { return of(self).publish(*message); });
}

int nats_subscribe(void* self, const char* pattern, size_t length) {
  return guarded([&] { return of(self).subscribe({pattern, length}, true); });
}

int nats_unsubscribe(void* self, const char* pattern, size_t length) {
  return guarded([&] { return of(self).subscribe({pattern, length}, false); });
}

uint32_t nats_state(void* self) {
  return of(self).state();
}

void nats_close(void* self) {
  delete static_cast<NatsBackplane*>(self);
}

int failed(int code, const char* text, char* error, size_t capacity) noexcept {
  if (capacity != 0) {
    const size_t length = std::min(std::strlen(text), capacity - 1);
    std::memcpy(error, text, length);
    error[length] = '\0';
  }
  return code;
}

}  // namespace

extern "C" int wsb_nats_create(const wsb_nats_options* options, wsb_backplane* out, char* error,
                               size_t capacity) noexcept {
  if (error == nullptr) capacity = 0;
  if (out == nullptr) return failed(WSB_E_INVALID, "out is NULL", error, capacity);
  try {
    auto made = std::make_unique<NatsBackplane>(settings_of(sized(options)));
    *out = {sizeof *out, made.release(), nats_open, nats_publish, nats_subscribe, nats_unsubscribe,
            nats_state,  nats_close,     nullptr,   nullptr,      nullptr,        nullptr,
            nullptr,     nullptr,        nullptr,   nullptr};
    return WSB_OK;
  } catch (const Malformed& wrong) {
    return failed(WSB_E_INVALID, wrong.what(), error, capacity);
  } catch (const std::bad_alloc&) {
    return failed(WSB_E_NOMEM, "out of memory", error, capacity);
  } catch (const std::exception& wrong) {
    return failed(WSB_E_CONFIG, wrong.what(), error, capacity);
  }
}
