// wsb_nats_create: reading the options, and the table of functions.
#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>

#include "backplane.h"
#include "core/topic_name.h"
#include "replays.h"

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

void take_durable(wsb::nats::DurableSettings& out, const wsb_nats_options& given) {
  if (given.durable != nullptr) {
    try {
      out.patterns = wsb::nats::DurableTopics::read(given.durable);
    } catch (const std::runtime_error& wrong) {
      throw std::runtime_error(std::string("durable: ") + wrong.what());
    }
  }
  constexpr uint32_t kMostAgeS = 3650U * 86'400;
  constexpr int64_t kMsPerS = 1000;
  uint32_t age_s = 86'400;
  if (given.durable_max_age_s == WSB_OFF) {
    age_s = 0;
  } else {
    take(age_s, given.durable_max_age_s, 1, kMostAgeS, "durable_max_age_s");
  }
  out.max_age_ms = age_s * kMsPerS;
  take(out.max_bytes, given.durable_max_bytes, 1024, uint64_t{1} << 50, "durable_max_bytes");
  take(out.replicas, given.durable_replicas, 1, 5, "durable_replicas");
  take(out.max_replay, given.max_replay, 1, 100'000'000, "max_replay");
  take(out.memory_bytes, given.replay_memory_bytes, 1024, uint64_t{1} << 32, "replay_memory_bytes");
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
  take(out.presence_ttl_ms, given.presence_ttl_ms, 1000, 600'000, "presence_ttl_ms");
  if (given.refuse_when_down > 1) throw std::runtime_error("refuse_when_down: neither 0 nor 1");
  out.refuse_when_down = given.refuse_when_down == 1;
  const wsb::core::TopicError error = wsb::core::check_topic(out.prefix);
  if (error != wsb::core::TopicError::kNone)
    throw std::runtime_error(std::string("prefix: ") + wsb::core::topic_error_text(error));
  if (out.prefix.size() > kMostPrefixBytes) throw std::runtime_error("prefix: longer than 128 bytes");
  take_durable(out.durable, given);
  constexpr size_t kMostStreamNameBytes = 255;  // JetStream's
  if (!out.durable.patterns.empty() && wsb::nats::stream_name(out.prefix).size() > kMostStreamNameBytes) {
    throw std::runtime_error("prefix: too long to name a stream");
  }
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

int nats_join(void* self, const char* topic, size_t topic_length, const char* member, size_t member_length,
              uint64_t number) {
  return guarded([&]() -> int {
    of(self).presence().join({topic, topic_length}, {member, member_length}, number);
    return WSB_OK;
  });
}

int nats_leave(void* self, const char* /*topic*/, size_t /*topic_length*/, uint64_t number) {
  return guarded([&]() -> int {
    of(self).presence().leave(number);
    return WSB_OK;
  });
}

int nats_watch(void* self, const char* topic, size_t topic_length, uint64_t watch) {
  return guarded([&]() -> int {
    of(self).presence().watch({topic, topic_length}, watch);
    return WSB_OK;
  });
}

int nats_unwatch(void* self, uint64_t watch) {
  return guarded([&]() -> int {
    of(self).presence().unwatch(watch);
    return WSB_OK;
  });
}

uint32_t nats_state(void* self) {
  return of(self).state();
}

void nats_close(void* self) {
  delete static_cast<NatsBackplane*>(self);
}

int nats_keeps(void* self, const char* pattern, size_t length) {
  return of(self).durable()->topics.overlaps({pattern, length}) ? 1 : 0;
}

int nats_store(void* self, const wsb_backplane_message* message, void (*done)(void*, int, uint64_t, int),
               void* context) {
  return guarded([&] { return of(self).store(*message, done, context); });
}

int nats_replay(void* self, const char* pattern, size_t length, uint64_t after, uint64_t ticket) {
  return guarded([&]() -> int {
    of(self).durable()->replays->begin({pattern, length}, after, ticket);
    return WSB_OK;
  });
}

void nats_forget(void* self, uint64_t ticket) {
  (void)guarded([&]() -> int {
    of(self).durable()->replays->forget(ticket);
    return WSB_OK;
  });
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
    wsb_backplane table{};
    table.size = sizeof table;
    table.open = nats_open;
    table.publish = nats_publish;
    table.subscribe = nats_subscribe;
    table.unsubscribe = nats_unsubscribe;
    table.state = nats_state;
    table.close = nats_close;
    if (made->durable() != nullptr) {
      table.keeps = nats_keeps;
      table.store = nats_store;
      table.replay = nats_replay;
      table.forget = nats_forget;
    }
    table.join = nats_join;
    table.leave = nats_leave;
    table.watch = nats_watch;
    table.unwatch = nats_unwatch;
    table.self = made.release();
    *out = table;
    return WSB_OK;
  } catch (const Malformed& wrong) {
    return failed(WSB_E_INVALID, wrong.what(), error, capacity);
  } catch (const std::bad_alloc&) {
    return failed(WSB_E_NOMEM, "out of memory", error, capacity);
  } catch (const std::exception& wrong) {
    return failed(WSB_E_CONFIG, wrong.what(), error, capacity);
  }
}
