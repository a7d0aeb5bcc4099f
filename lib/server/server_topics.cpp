// Topics across the workers.
#include <string>

#include "server/server.h"

namespace wsb::server {

int Server::subscribe(uint64_t id, std::string_view pattern) {
  Worker* worker = worker_of(id);
  if (worker == nullptr) return WSB_E_CLOSED;
  if (context_.callbacks.on_subscribe != nullptr) {
    const std::string name(pattern);
    const wsb_subscribe_event event{sizeof event, id, worker->user(id), name.c_str(), name.size()};
    const Worker::CallbackScope scope;
    if (context_.callbacks.on_subscribe(&event, context_.callbacks.user) != 0) return WSB_E_REFUSED;
  }
  Topics& topics = context_.topics;
  const std::lock_guard<std::mutex> lock(topics.mutex());
  bool added = false;
  const int result = worker->subscribe(id, pattern, added);
  if (result != WSB_OK || !added) return result;
  const Worker::CallbackScope later;  // no end is told under the lock
  topics.retained().match(pattern, [&](core::Buffer& message) { (void)worker->send_message(id, &message); });
  return WSB_OK;
}

int Server::unsubscribe(uint64_t id, std::string_view pattern) {
  Worker* worker = worker_of(id);
  return worker != nullptr ? worker->unsubscribe(id, pattern) : WSB_E_CLOSED;
}

int Server::publish(const Publication& publication, bool retain, PublishCounts& counts) {
  Topics& topics = context_.topics;
  std::unique_lock<std::mutex> lock(topics.mutex(), std::defer_lock);
  if (retain) {
    lock.lock();
    if (publication.message->payload_size() == 0) {
      topics.retained().forget(publication.topic);
    } else if (!topics.retained().keep(publication.topic, core::BufferRef::share(publication.message))) {
      return WSB_E_TOO_BIG;
    }
  }
  for (const auto& worker : workers_) worker->publish(publication, counts);
  topics.count(counts);
  return WSB_OK;
}

}  // namespace wsb::server
