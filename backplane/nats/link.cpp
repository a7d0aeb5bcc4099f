// From NATS's threads to the server.
#include "link.h"

#include <nats/nats.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "core/utf8.h"

namespace wsb::nats {

std::string header_value(uint64_t origin, uint64_t number, uint32_t kind, uint32_t flags) {
  char text[64];
  (void)std::snprintf(text, sizeof text, "%016" PRIx64 " %" PRIu64 " %s%s", origin, number,
                      kind == WSB_TEXT ? "text" : "binary", (flags & WSB_PUBLISH_RETAIN) != 0 ? " retain" : "");
  return text;
}

bool read_header(const char* value, Header& out) {
  char kind[8] = "";
  char retain[8] = "";
  const int fields = std::sscanf(value, "%16" SCNx64 " %20" SCNu64 " %7s %7s", &out.origin, &out.number, kind, retain);
  const bool text = std::strcmp(kind, "text") == 0;
  if (fields < 3 || out.number == 0 || (!text && std::strcmp(kind, "binary") != 0)) return false;
  out.kind = text ? WSB_TEXT : WSB_BINARY;
  out.flags = fields == 4 && std::strcmp(retain, "retain") == 0 ? WSB_PUBLISH_RETAIN : 0;
  return true;
}

int64_t steady_ms() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

void Link::set_state(uint32_t now, const std::string& text) {
  const uint32_t before = state.exchange(now);
  {
    const std::lock_guard<std::mutex> lock(mutex);  // so that nobody misses it between looking and waiting
  }
  changed.notify_all();
  if (before != now) say(text);
}

void Link::say(const std::string& text) {
  const std::lock_guard<std::mutex> lock(host_mutex_);
  if (host_ != nullptr) host_->changed(host_->server, state, text.c_str());
}

void Link::cut() {
  const std::lock_guard<std::mutex> lock(host_mutex_);
  host_ = nullptr;
}

void Link::deliver(natsMsg* message) {
  const std::string_view subject = natsMsg_GetSubject(message);
  if (subject.size() <= prefix.size() || subject.compare(0, prefix.size(), prefix) != 0) return;
  const std::string_view topic = subject.substr(prefix.size());
  const char* const data = natsMsg_GetData(message);
  const auto length = static_cast<size_t>(natsMsg_GetDataLength(message));
  const char* value = nullptr;
  Header header;
  const bool ours = natsMsgHeader_Get(message, kHeader, &value) == NATS_OK && read_header(value, header);
  if (!ours) {  // of another NATS client
    header = Header();
    if (!core::is_valid_utf8(data, length)) header.kind = WSB_BINARY;
  }
  const std::lock_guard<std::mutex> lock(host_mutex_);
  if (host_ == nullptr || (ours && (header.origin == origin || !seen_.first_time(header.origin, header.number))))
    return;
  const wsb_backplane_message given{
      sizeof given, topic.data(), topic.size(), data, length, header.kind, header.flags, 0, 0, nullptr, 0};
  host_->deliver(host_->server, &given);
}

}  // namespace wsb::nats
