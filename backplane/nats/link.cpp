// From NATS's threads to the server.
#include "link.h"

#include <nats/nats.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "core/utf8.h"
#include "durable_topics.h"

namespace wsb::nats {

std::string header_value(uint64_t origin, uint64_t number, uint32_t kind, uint32_t flags, uint64_t exclude) {
  char text[96];
  const int length =
      std::snprintf(text, sizeof text, "%016" PRIx64 " %" PRIu64 " %s%s", origin, number,
                    kind == WSB_TEXT ? "text" : "binary", (flags & WSB_PUBLISH_RETAIN) != 0 ? " retain" : "");
  if (exclude != 0) {
    (void)std::snprintf(text + length, sizeof text - static_cast<size_t>(length), " not=%" PRIu64, exclude);
  }
  return text;
}

// Words that are not known belong to a later version.
bool read_header(const char* value, Header& out) {
  char kind[8] = "";
  int used = 0;
  const int fields = std::sscanf(value, "%16" SCNx64 " %20" SCNu64 " %7s%n", &out.origin, &out.number, kind, &used);
  const bool text = std::strcmp(kind, "text") == 0;
  if (fields < 3 || out.number == 0 || (!text && std::strcmp(kind, "binary") != 0)) return false;
  out.kind = text ? WSB_TEXT : WSB_BINARY;
  std::string_view rest = value + used;
  while (!rest.empty()) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(word.size());
    if (word == "retain") out.flags = WSB_PUBLISH_RETAIN;
    if (word.substr(0, 4) == "not=") (void)std::from_chars(word.data() + 4, word.data() + word.size(), out.exclude);
  }
  return true;
}

int64_t steady_ms() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

void Link::set_state(uint32_t now, const std::string& text) {
  const uint32_t before = state.exchange(now);
  wake();
  if (before != now) say(text);
}

void Link::wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex);  // so that nobody misses it between looking and waiting
  }
  changed.notify_all();
}

void Link::say(const std::string& text) {
  const std::lock_guard<std::mutex> lock(host_mutex_);
  if (host_ != nullptr) host_->changed(host_->server, state, text.c_str());
}

void Link::cut() {
  const std::lock_guard<std::mutex> lock(host_mutex_);
  host_ = nullptr;
}

void Link::tell_presence(uint64_t watch, std::string_view member, bool present) {
  const std::lock_guard<std::mutex> lock(host_mutex_);
  if (host_ != nullptr) host_->presence(host_->server, watch, member.data(), member.size(), present ? 1 : 0);
}

void Link::deliver(natsMsg* message) {
  const std::string_view subject = natsMsg_GetSubject(message);
  if (subject.size() <= prefix.size() || subject.compare(0, prefix.size(), prefix) != 0) return;
  const std::string_view topic = subject.substr(prefix.size());
  if (durable != nullptr && durable->overlaps(topic)) return;
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
  wsb_backplane_message given{};
  given.size = sizeof given;
  given.topic = topic.data();
  given.topic_length = topic.size();
  given.data = data;
  given.length = length;
  given.kind = header.kind;
  given.flags = header.flags;
  host_->deliver(host_->server, &given);
}

}  // namespace wsb::nats
