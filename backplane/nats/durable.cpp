// Brings the stream about after each connection, then the feed and the store.
#include "durable.h"

#include <utility>

#include "core/utf8.h"
#include "feed.h"
#include "replays.h"
#include "store.h"

namespace wsb::nats {

namespace {

constexpr int64_t kEnsureAgainMs = 500;

}  // namespace

wsb_backplane_message Kept::given() const noexcept {
  wsb_backplane_message out{};
  out.size = sizeof out;
  out.topic = topic.data();
  out.topic_length = topic.size();
  out.data = data.data();
  out.length = data.size();
  out.kind = kind;
  out.flags = flags;
  out.sequence = sequence;
  out.exclude = exclude;
  return out;
}

Durable::Durable(LinkRef a_link, WireRef a_wire, std::shared_ptr<const DurableTopics> some_topics,
                 DurableSettings some_settings)
    : link(std::move(a_link)),
      wire(std::move(a_wire)),
      shared_topics(std::move(some_topics)),
      topics(*shared_topics),
      settings(std::move(some_settings)),
      feed(std::make_unique<Feed>(*this)),
      replays(std::make_unique<Replays>(*this)),
      store(std::make_unique<Store>(*this)) {}

Durable::~Durable() = default;

void Durable::start() {
  wire->listen(weak_from_this());
}

void Durable::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    feed->stop();
    replays->stop();
  }
  store->close();
}

bool Durable::read(natsMsg* message, uint64_t sequence, Kept& out) const {
  const std::string_view subject = natsMsg_GetSubject(message);
  const std::string& prefix = link->prefix;
  if (subject.size() <= prefix.size() || subject.compare(0, prefix.size(), prefix) != 0) return false;
  out.sequence = sequence;
  out.topic = subject.substr(prefix.size());
  out.data.assign(natsMsg_GetData(message), static_cast<size_t>(natsMsg_GetDataLength(message)));
  const char* value = nullptr;
  Header header;
  if (natsMsgHeader_Get(message, kHeader, &value) != NATS_OK || !read_header(value, header)) {
    if (!core::is_valid_utf8(out.data.data(), out.data.size())) out.kind = WSB_BINARY;
    return true;
  }
  out.kind = header.kind;
  out.flags = header.flags;
  if (header.origin == link->origin) {
    out.exclude = header.exclude;
    out.own_number = header.number;
  }
  return true;
}

void Durable::connected() {
  ++round_;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    feed->disconnected();
  }
  store->pause();
  ensure();
}

void Durable::look_again() {
  if (looking_.exchange(true)) return;
  wire->later(kEnsureAgainMs, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->looking_ = false;
    self->ensure();
  });
}

void Durable::ensure() {
  if (!wire->is_connected()) return;
  ensure_stream(wire, stream_config(topics, settings), [weak = weak_from_this(), round = round_](const Answer& answer) {
    if (const auto self = weak.lock())
      self->wire->post([weak, answer, round] {
        if (const auto again = weak.lock()) again->ensured(answer, round);
      });
  });
}

void Durable::ensured(const Answer& answer, uint64_t round) {
  if (round != round_) return;
  if (!answer.ok()) {
    if (answer.error != complaint_) say("durable topics: stream " + topics.stream() + ": " + answer.error);
    complaint_ = answer.error;
    return look_again();
  }
  if (!complaint_.empty()) say("durable topics: stream " + topics.stream() + " is there");
  complaint_.clear();
  feed->begin(stream_info(answer));
}

}  // namespace wsb::nats
