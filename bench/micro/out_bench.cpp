// How fast the pure core sends and waits: frames, outbox, shared messages, kept buffers, the timer wheel, the registry.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/frame.h"
#include "core/outbox.h"
#include "core/registry.h"
#include "core/wheel.h"

namespace {

using namespace wsb::core;

constexpr size_t kMaxSpans = 64;

void build_header_of(benchmark::State &state) {
  const auto length = static_cast<uint64_t>(state.range(0));
  uint8_t out[kMaxServerHeader];
  for (auto iteration : state) {
    (void)iteration;
    benchmark::DoNotOptimize(build_header(out, Opcode::kBinary, true, false, length));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(build_header_of)->Arg(64)->Arg(16 << 10)->Arg(1 << 20);

// One turn of a busy connection: 16 messages in, one write out.
void outbox_turn(benchmark::State &state) {
  const std::string payload(static_cast<size_t>(state.range(0)), 'x');
  BufferPool pool;
  BufferCache cache;
  BufferCache::make_current(&cache);
  Outbox outbox(pool);
  Span spans[kMaxSpans];
  constexpr int kMessages = 16;
  for (auto iteration : state) {
    (void)iteration;
    for (int i = 0; i < kMessages; ++i) outbox.push_frame(Opcode::kBinary, false, payload.data(), payload.size());
    while (const size_t count = outbox.gather(spans, kMaxSpans)) {
      size_t bytes = 0;
      for (size_t i = 0; i < count; ++i) bytes += spans[i].size;
      outbox.consume(bytes);
    }
  }
  BufferCache::make_current(nullptr);
  state.SetItemsProcessed(state.iterations() * kMessages);
}
BENCHMARK(outbox_turn)->Arg(64)->Arg(1024)->Arg(16384);

// One broadcast message into many outboxes and out again.
void fan_out(benchmark::State &state) {
  const auto receivers = static_cast<size_t>(state.range(0));
  const std::string payload(128, 'x');
  BufferPool pool;
  BufferCache cache;
  BufferCache::make_current(&cache);
  std::vector<Outbox> outboxes;
  outboxes.reserve(receivers);
  for (size_t i = 0; i < receivers; ++i) outboxes.emplace_back(pool);
  Span spans[kMaxSpans];
  for (auto iteration : state) {
    (void)iteration;
    const BufferRef message(Buffer::create_message(Opcode::kText, payload.data(), payload.size()));
    for (Outbox &outbox : outboxes) outbox.push_message(BufferRef::share(message.get()));
    for (Outbox &outbox : outboxes) {
      benchmark::DoNotOptimize(outbox.gather(spans, kMaxSpans));
      outbox.consume(spans[0].size);
    }
  }
  outboxes.clear();
  BufferCache::make_current(nullptr);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(fan_out)->Arg(1000)->Arg(8000);

void make_and_free_message(benchmark::State &state) {
  const std::string payload(static_cast<size_t>(state.range(0)), 'x');
  BufferCache cache;
  BufferCache::make_current(state.range(1) != 0 ? &cache : nullptr);
  for (auto iteration : state) {
    (void)iteration;
    const BufferRef message(Buffer::create_message(Opcode::kBinary, payload.data(), payload.size()));
    benchmark::DoNotOptimize(message.get());
  }
  BufferCache::make_current(nullptr);
}
BENCHMARK(make_and_free_message)->ArgNames({"bytes", "kept"})->ArgsProduct({{128, 16 << 10, 1 << 20}, {0, 1}});

// n connections with a beat every 25 s: what one tick of 10 ms costs must depend on what is due, not on n.
void wheel_tick(benchmark::State &state) {
  constexpr TimeUs kInterval = 25'000'000;
  const auto nodes = static_cast<size_t>(state.range(0));
  TimeUs now = 1'000'000'000;
  Wheel wheel(now);
  std::vector<WheelNode> waiting(nodes);
  for (size_t i = 0; i < nodes; ++i) wheel.schedule(waiting[i], now + kInterval * (i + 1) / nodes);
  int64_t due = 0;
  for (auto iteration : state) {
    (void)iteration;
    now += Wheel::kTickUs;
    wheel.advance(now, [&](WheelNode &node) {
      ++due;
      wheel.schedule(node, now + kInterval);
    });
  }
  state.counters["due per tick"] = static_cast<double>(due) / static_cast<double>(state.iterations());
  for (WheelNode &node : waiting) wheel.cancel(node);
}
BENCHMARK(wheel_tick)->Arg(100)->Arg(10000)->Arg(1000000);

void wheel_schedule(benchmark::State &state) {
  TimeUs now = 1'000'000'000;
  Wheel wheel(now);
  WheelNode node;
  for (auto iteration : state) {
    (void)iteration;
    wheel.schedule(node, ++now + 5'000'000);
  }
  wheel.cancel(node);
}
BENCHMARK(wheel_schedule);

void registry_find(benchmark::State &state) {
  Registry registry(0);
  std::vector<uint64_t> ids;
  int entry = 0;
  for (int64_t i = 0; i < state.range(0); ++i) ids.push_back(registry.add(&entry));
  size_t at = 0;
  for (auto iteration : state) {
    (void)iteration;
    at = (at + 7919) % ids.size();
    benchmark::DoNotOptimize(registry.find(ids[at]));
  }
}
BENCHMARK(registry_find)->Arg(100)->Arg(100000);

void registry_come_and_go(benchmark::State &state) {
  Registry registry(0);
  int entry = 0;
  for (auto iteration : state) {
    (void)iteration;
    registry.remove(registry.add(&entry));
  }
}
BENCHMARK(registry_come_and_go);

}  // namespace
