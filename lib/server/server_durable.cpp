// Durable topics: publications go to the backplane's store, and reach connections when it brings them.
#include <new>

#include "server/server.h"

namespace wsb::server {

namespace {

constexpr uint64_t kPresent = UINT64_MAX;  // wsb_backplane.replay: nothing but where things stand

struct StoreCall {
  DurableCounts* counts;
  void (*on_stored)(const wsb_stored_event* event, void* context);
  void* context;
};

void store_done(void* context, int result, uint64_t sequence, int duplicate) {
  const std::unique_ptr<StoreCall> call(static_cast<StoreCall*>(context));
  call->counts->stored_or_not(result == WSB_OK);
  if (call->on_stored == nullptr) return;
  const wsb_stored_event event{sizeof event, result, duplicate != 0 ? 1U : 0U, sequence};
  const Worker::CallbackScope scope;
  call->on_stored(&event, call->context);
}

}  // namespace

int Server::is_durable(std::string_view pattern) noexcept {
  return context_.backplane.keeps(pattern);
}

int Server::store(const StoreWish& wish, PublishCounts& counts) {
  const DurableMessage& message = wish.message;
  if (message.retain && !context_.topics.retained().fits(message.topic, core::header_size(message.size) + message.size))
    return WSB_E_TOO_BIG;
  const wsb_backplane_message stored{sizeof stored,
                                     message.topic.data(),
                                     message.topic.size(),
                                     message.data,
                                     message.size,
                                     static_cast<uint32_t>(message.opcode),
                                     message.retain ? uint32_t{WSB_PUBLISH_RETAIN} : 0,
                                     0,
                                     message.exclude,
                                     wish.key.data(),
                                     wish.key.size()};
  auto call = std::make_unique<StoreCall>(StoreCall{&context_.topics.durable(), wish.on_stored, wish.context});
  counts.backplane = context_.backplane.store(stored, store_done, call.get());
  if (counts.backplane == WSB_OK) {
    (void)call.release();  // the backplane's until it calls store_done, which may have been already
  } else {
    context_.topics.durable().stored_or_not(false);
  }
  context_.topics.count(counts);
  return WSB_OK;
}

// Throws std::bad_alloc. Without a subscription it is for all that are live.
core::BufferRef Server::frame(const DurableMessage& message, uint64_t conn, std::string_view subscription) const {
  if (context_.callbacks.on_durable != nullptr) {
    const wsb_durable_event event{sizeof event,
                                  message.topic.data(),
                                  message.topic.size(),
                                  conn != 0 ? subscription.data() : nullptr,
                                  subscription.size(),
                                  conn,
                                  message.sequence,
                                  message.data,
                                  message.size,
                                  static_cast<uint32_t>(message.opcode),
                                  0};
    const Worker::CallbackScope scope;
    wsb_message* const made = context_.callbacks.on_durable(&event, context_.callbacks.user);
    if (made != nullptr)
      return core::BufferRef(reinterpret_cast<core::Buffer*>(made));  // as in capi: another name for it
  }
  core::BufferRef framed(core::Buffer::create_message(message.opcode, message.data, message.size));
  if (!framed) throw std::bad_alloc();
  return framed;
}

void Server::send_retained(Worker& worker, uint64_t id, std::string_view pattern,
                           const core::RetainedMessages::Kept& kept) {
  if (kept.sequence == 0) {
    (void)worker.send_message(id, kept.message.get());
    return;
  }
  const core::Buffer& raw = *kept.message.get();
  const DurableMessage message{kept.topic, raw.payload(), raw.payload_size(), raw.opcode, true, kept.sequence, 0};
  const core::BufferRef framed = frame(message, id, pattern);
  (void)worker.send_message(id, framed.get());
}

int Server::subscribe_with(uint64_t id, std::string_view pattern, const ResumeWish& wish) {
  const int durable = is_durable(pattern);
  if (durable != 1) return subscribe(id, pattern);
  ResumeWish asked = wish;
  // No message has this number: as any other that is too great it is for the backplane to refuse.
  if (asked.resume && asked.after == kPresent) --asked.after;
  if (!asked.resume) asked.after = kPresent;
  ReplayOrder order;
  const int result = subscribe_as(id, pattern, &asked, &order);
  if (result != WSB_OK) return result;
  if (asked.resume) context_.topics.durable().replays.fetch_add(1, std::memory_order_relaxed);
  Worker& worker = *worker_of(id);
  const int begun = begin_replay(worker, order);
  if (begun == WSB_OK) return 1;
  core::TopicTrie::Change change = core::TopicTrie::Change::kNone;
  worker.cancel_subscription(order.ticket, change);
  if (change == core::TopicTrie::Change::kOnly) context_.backplane.want_no_more(pattern);
  return begun;
}

// With no lock held: the backplane may be in the middle of bringing something.
int Server::begin_replay(Worker& worker, const ReplayOrder& order) {
  if (order.instead_of != 0) context_.backplane.forget(order.instead_of);
  const int result = context_.backplane.replay(order.pattern, order.after, order.ticket);
  // Who unsubscribed meanwhile has made the backplane forget a ticket that it did not know yet.
  if (result == WSB_OK && !worker.is_replay_wanted(order.ticket)) context_.backplane.forget(order.ticket);
  return result;
}

// ------------------------------------------------------------------------------------------------------ from the backplane

void Server::deliver_durable(const DurableMessage& message) {
  std::vector<ReplayOrder> orders;
  try {
    bring(message, orders);
  } catch (const std::bad_alloc&) {
    log(WSB_LOG_ERROR, "out of memory: durable message " + std::to_string(message.sequence) + " reached not everyone");
  }
  for (const ReplayOrder& order : orders) {
    Worker& worker = *worker_of_ticket(order.ticket);
    if (begin_replay(worker, order) != WSB_OK) worker.replay_failed(order.ticket);
  }
}

void Server::bring(const DurableMessage& message, std::vector<ReplayOrder>& orders) {
  Topics& topics = context_.topics;
  std::unique_lock<std::mutex> lock(topics.mutex(), std::defer_lock);
  if (message.retain) {
    lock.lock();
    keep_durable(message);
  }
  bool wanted = false;
  for (const auto& worker : workers_) wanted = wanted || worker->has_live_receivers(message.topic);
  if (!wanted) return;
  const core::BufferRef framed = frame(message, 0, {});
  const Publication publication{message.topic, framed.get(), message.exclude};
  PublishCounts counts;
  for (const auto& worker : workers_) worker->deliver_durable(publication, message.sequence, counts, orders);
  topics.count_delivered(counts);
}

// With the topics' lock held. As it was published: each who subscribes later gets a message of its own.
void Server::keep_durable(const DurableMessage& message) {
  core::RetainedMessages& retained = context_.topics.retained();
  if (message.size == 0) {
    retained.forget(message.topic);
    return;
  }
  core::BufferRef raw(core::Buffer::create_message(message.opcode, message.data, message.size));
  if (!raw) throw std::bad_alloc();
  (void)retained.keep(message.topic, std::move(raw), message.sequence);
}

int Server::replayed(uint64_t ticket, const DurableMessage& message) {
  Worker* const worker = worker_of_ticket(ticket);
  if (worker == nullptr) return WSB_E_CLOSED;
  ReplayTarget target;
  bool wanted = false;
  const int offered = worker->offer_replayed(ticket, message, target, wanted);
  if (offered != WSB_OK || !wanted) return offered;
  return worker->post_replayed(ticket, frame(message, target.conn, target.pattern));
}

void Server::resumed(uint64_t ticket, uint64_t sequence, bool missed) {
  if (Worker* worker = worker_of_ticket(ticket); worker != nullptr) worker->resumed(ticket, sequence, missed);
}

Worker* Server::worker_of_ticket(uint64_t ticket) noexcept {
  const uint64_t index = ticket & ((uint64_t{1} << core::Registry::kWorkerBits) - 1);
  return index < workers_.size() ? workers_[index].get() : nullptr;
}

}  // namespace wsb::server
