// Telling the backplane what is wanted, once for all workers.
#include "server/backplane.h"

#include <new>

namespace wsb::server {

bool Backplane::set(const wsb_backplane& calls) noexcept {
  if (present()) return false;
  calls_ = calls;
  durable_.store(calls.keeps != nullptr, std::memory_order_relaxed);
  present_.store(true, std::memory_order_relaxed);
  return true;
}

int Backplane::open(const wsb_backplane_host& host) {
  if (!present()) return WSB_OK;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (opened_) return WSB_OK;
  host_ = host;
  const int result = calls_.open(calls_.self, &host_);
  opened_ = result == WSB_OK;
  return result;
}

// While it waits for the backplane's threads, these may be inside on_log and call anything: nobody waits for closing_.
void Backplane::close() noexcept {
  if (!present_.exchange(false)) return;
  const std::unique_lock<std::shared_mutex> alone(closing_);
  calls_.close(calls_.self);
}

void Backplane::want(std::string_view pattern) {
  const std::shared_lock<std::shared_mutex> open(closing_, std::try_to_lock);
  if (!open || !present()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto wanted = wanted_.emplace(pattern, 0).first;
  const int64_t count = ++wanted->second;
  if (count == 0) wanted_.erase(wanted);
  if (count == 1) (void)calls_.subscribe(calls_.self, pattern.data(), pattern.size());
}

void Backplane::want_no_more(std::string_view pattern) noexcept {
  const std::shared_lock<std::shared_mutex> open(closing_, std::try_to_lock);
  if (!open || !present()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  try {
    const auto wanted = wanted_.emplace(pattern, 0).first;
    if (--wanted->second != 0) return;
    wanted_.erase(wanted);
  } catch (const std::bad_alloc&) {  // it is brought for nobody, then
    return;
  }
  (void)calls_.unsubscribe(calls_.self, pattern.data(), pattern.size());
}

int Backplane::publish(std::string_view topic, const core::Buffer& message, bool retain) noexcept {
  if (!present()) return durable_ ? WSB_E_STATE : WSB_OK;  // of what was perhaps a durable topic it cannot be said
  const std::shared_lock<std::shared_mutex> open(closing_, std::try_to_lock);
  if (!open || !present()) return WSB_E_STATE;
  const wsb_backplane_message crossing{sizeof crossing,
                                       topic.data(),
                                       topic.size(),
                                       message.payload(),
                                       message.payload_size(),
                                       static_cast<uint32_t>(message.opcode),
                                       retain ? uint32_t{WSB_PUBLISH_RETAIN} : 0,
                                       0,
                                       0,
                                       nullptr,
                                       0};
  const int result = calls_.publish(calls_.self, &crossing);
  (result == WSB_OK ? published_ : refused_).fetch_add(1, std::memory_order_relaxed);
  return result;
}

int Backplane::keeps(std::string_view pattern) noexcept {
  if (!durable_.load(std::memory_order_relaxed)) return 0;
  const std::shared_lock<std::shared_mutex> open(closing_, std::try_to_lock);
  if (!open || !present()) return WSB_E_STATE;
  return calls_.keeps(calls_.self, pattern.data(), pattern.size()) == 1 ? 1 : 0;
}

int Backplane::store(const wsb_backplane_message& message, void (*done)(void*, int, uint64_t, int),
                     void* context) noexcept {
  const std::shared_lock<std::shared_mutex> open(closing_, std::try_to_lock);
  if (!open || !present() || !opened_) return WSB_E_STATE;
  return calls_.store(calls_.self, &message, done, context);
}

int Backplane::replay(std::string_view pattern, uint64_t after, uint64_t ticket) noexcept {
  const std::shared_lock<std::shared_mutex> open(closing_, std::try_to_lock);
  if (!open || !present() || !opened_) return WSB_E_STATE;
  return calls_.replay(calls_.self, pattern.data(), pattern.size(), after, ticket);
}

void Backplane::forget(uint64_t ticket) noexcept {
  const std::shared_lock<std::shared_mutex> open(closing_, std::try_to_lock);
  if (open && present() && opened_) calls_.forget(calls_.self, ticket);
}

void Backplane::add_metrics(wsb_metrics& totals) noexcept {
  const std::shared_lock<std::shared_mutex> open(closing_, std::try_to_lock);
  totals.backplane_state = open && present() ? calls_.state(calls_.self) : 0;
  totals.backplane_published = published_.load(std::memory_order_relaxed);
  totals.backplane_refused = refused_.load(std::memory_order_relaxed);
  totals.backplane_received = received_.load(std::memory_order_relaxed);
}

}  // namespace wsb::server
