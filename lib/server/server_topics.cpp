// Topics across the workers.
#include <string>

#include "server/server.h"

namespace wsb::server {

int Server::subscribe(uint64_t id, std::string_view pattern) {
  return subscribe_as(id, pattern, nullptr, nullptr);
}

// With a wish there is an order to carry out if it succeeds.
int Server::subscribe_as(uint64_t id, std::string_view pattern, const ResumeWish* wish, ReplayOrder* order) {
  Worker* worker = worker_of(id);
  if (worker == nullptr) return WSB_E_CLOSED;
  if (context_.callbacks.on_subscribe != nullptr) {
    const std::string name(pattern);
    const wsb_subscribe_event event{sizeof event, id, worker->user(id), name.c_str(), name.size()};
    const Worker::CallbackScope scope;
    if (context_.callbacks.on_subscribe(&event, context_.callbacks.user) != 0) return WSB_E_REFUSED;
  }
  core::TopicTrie::Change change = core::TopicTrie::Change::kNone;
  const int result = subscribe_here(*worker, id, pattern, change, wish, order);
  if (change == core::TopicTrie::Change::kOnly) context_.backplane.want(pattern);
  return result;
}

int Server::subscribe_here(Worker& worker, uint64_t id, std::string_view pattern, core::TopicTrie::Change& change,
                           const ResumeWish* wish, ReplayOrder* order) {
  Topics& topics = context_.topics;
  const std::lock_guard<std::mutex> lock(topics.mutex());
  const int result = worker.subscribe(id, pattern, change, wish, order);
  if (change == core::TopicTrie::Change::kNone) return result;
  const Worker::CallbackScope later;                     // no end is told under the lock
  const bool resumes = wish != nullptr && wish->resume;  // its replay brings the durable ones
  topics.retained().match(pattern, [&](const core::RetainedMessages::Kept& kept) {
    if (kept.sequence == 0 || !resumes) send_retained(worker, id, pattern, kept);
  });
  return result;
}

int Server::unsubscribe(uint64_t id, std::string_view pattern) {
  Worker* worker = worker_of(id);
  if (worker == nullptr) return WSB_E_CLOSED;
  core::TopicTrie::Change change = core::TopicTrie::Change::kNone;
  uint64_t forgotten = 0;
  const int result = worker->unsubscribe(id, pattern, change, forgotten);
  if (forgotten != 0) context_.backplane.forget(forgotten);
  if (change == core::TopicTrie::Change::kOnly) context_.backplane.want_no_more(pattern);
  return result;
}

int Server::publish(const Publication& publication, uint32_t flags, PublishCounts& counts) {
  const bool retain = (flags & WSB_PUBLISH_RETAIN) != 0;
  const int result = publish_here(publication, retain, counts);
  if (result != WSB_OK) return result;
  context_.topics.count(counts);
  if ((flags & WSB_PUBLISH_LOCAL) == 0) {
    counts.backplane = context_.backplane.publish(publication.topic, *publication.message, retain);
  }
  return WSB_OK;
}

int Server::publish_here(const Publication& publication, bool retain, PublishCounts& counts) {
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
  return WSB_OK;
}

void Server::set_backplane(const wsb_backplane& backplane) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kCreated) throw ApiError(WSB_E_STATE, "the server was started before");
  if (!context_.backplane.set(backplane)) throw ApiError(WSB_E_STATE, "the server has a backplane");
  if (context_.backplane.has_presence()) presence_.cross();
}

int Server::open_backplane(const wsb_backplane_host& host) {
  return context_.backplane.open(host);
}

void Server::deliver(const Publication& publication, uint32_t flags) {
  PublishCounts counts;
  (void)publish_here(publication, (flags & WSB_PUBLISH_RETAIN) != 0, counts);
  context_.topics.count_delivered(counts);
}

}  // namespace wsb::server
