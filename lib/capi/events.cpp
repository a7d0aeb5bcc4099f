// Queue delivery: batches of events.
#include <vector>

#include "capi/guard.h"
#include "server/event_queue.h"

using wsb::capi::fail;
using wsb::capi::guarded;
using wsb::server::EventNode;

struct wsb_batch {
  wsb_server *server;
  std::vector<EventNode *> nodes;
};

extern "C" {

int wsb_server_event_fd(wsb_server *server) noexcept {
  if (server == nullptr) return fail(WSB_E_INVALID, "server is NULL");
  if (server->event_queue() == nullptr) return fail(WSB_E_STATE, "the server was not created with queue delivery");
  return server->event_queue()->descriptor();
}

int wsb_server_next_events(wsb_server *server, size_t max, wsb_batch **out) noexcept {
  return guarded([&]() -> int {
    if (server == nullptr || out == nullptr)
      return fail(WSB_E_INVALID, server == nullptr ? "server is NULL" : "out is NULL");
    *out = nullptr;
    if (server->event_queue() == nullptr) return fail(WSB_E_STATE, "the server was not created with queue delivery");
    auto batch = std::make_unique<wsb_batch>();
    batch->server = server;
    batch->nodes = server->event_queue()->take(max);
    if (!batch->nodes.empty()) *out = batch.release();
    return WSB_OK;
  });
}

size_t wsb_batch_count(const wsb_batch *batch) noexcept {
  return batch != nullptr ? batch->nodes.size() : 0;
}

const wsb_event *wsb_batch_event(const wsb_batch *batch, size_t index) noexcept {
  return index < wsb_batch_count(batch) ? &batch->nodes[index]->event : nullptr;
}

// Events of one connection mostly come in runs: each run is reported to its worker at once.
void wsb_batch_release(wsb_batch *batch) noexcept {
  if (batch == nullptr) return;
  uint64_t conn = 0;
  uint32_t events = 0;
  uint64_t bytes = 0;
  const auto report = [&] {
    if (events == 0) return;
    wsb::server::Worker *worker = batch->server->worker_of(conn);
    (void)guarded([&]() -> int {
      worker->events_released(conn, events, bytes);
      return WSB_OK;
    });
  };
  for (EventNode *node : batch->nodes) {
    if (node->accounted) {
      if (node->event.conn != conn) {
        report();
        conn = node->event.conn;
        events = 0;
        bytes = 0;
      }
      ++events;
      bytes += node->accounted_bytes;
    }
    EventNode::destroy(node);
  }
  report();
  delete batch;
}

}  // extern "C"
