// A connection whose allocations fail, one after the other: as long as its worker aborts it when memory runs out in the
// middle of something, there is still exactly one end, and what leaves can be read.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "connection_fixture.h"
#include "core/deflate.h"

namespace {

constexpr size_t kNone = SIZE_MAX;
size_t allocations_until_failure = kNone;  // of operator new, in this program

bool fails_now() {
  if (allocations_until_failure == kNone) return false;
  if (allocations_until_failure != 0) {
    --allocations_until_failure;
    return false;
  }
  allocations_until_failure = kNone;
  return true;
}

}  // namespace

// Not inlined, or compilers take their malloc for that of somebody else's new.
[[gnu::noinline]] void* operator new(size_t n) {
  void* const memory = fails_now() ? nullptr : std::malloc(n);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void* operator new(size_t n, const std::nothrow_t&) noexcept {
  return fails_now() ? nullptr : std::malloc(n);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}

namespace {

using namespace wsb::core;
using namespace wsb::core::testing;

// Takes note without taking memory.
class Notes final : public ConnectionEvents {
 public:
  void on_message(Connection&, bool, const uint8_t*, size_t) override {}
  void on_fragment(Connection&, const EventData&) override {}
  void on_pong(Connection&, const uint8_t*, size_t, bool, uint32_t) override {}
  void on_drain(Connection&) override {}
  void on_closed(Connection&, const CloseInfo& info) override {
    ++closed;
    cause = info.cause;
    clean = info.clean;
    reason_bytes = info.reason.size();
  }
  void on_dropped(Connection&, size_t) override {}
  Unread unread(Connection&) override { return Unread::kNothing; }

  size_t closed = 0;
  size_t reason_bytes = 0;
  uint32_t cause = 0;
  bool clean = false;
};

class ConnectionMemoryTest : public ConnectionTest {
 protected:
  // The `allocation`th from now fails; none if there are fewer.
  template <typename Work>
  void with_failure(size_t allocation, Work&& work) {
    allocations_until_failure = allocation;
    try {
      work();
    } catch (const std::bad_alloc&) {
      conn->abort(WSB_CAUSE_NETWORK_ERROR, notes);
    }
    left_until_failure = allocations_until_failure;
    allocations_until_failure = kNone;
  }
  void write_all() {
    Span span;
    while (conn->outbox().gather(&span, 1) != 0) {
      wire.append(view_of(span.data, span.size));
      conn->wrote(span.size, now, 0, notes);
    }
  }
  static std::string noise(size_t n, uint32_t seed) {
    std::mt19937 random(seed);
    std::string out(n, '\0');
    for (char& byte : out) byte = static_cast<char>(random());
    return out;
  }

  Notes notes;
  size_t left_until_failure = kNone;
};

TEST_F(ConnectionMemoryTest, WhereverMemoryRunsOutThereIsOneEnd) {
  config.heartbeat = {1000, 500, false};
  config.slow_consumer = WSB_SLOW_DROP_OLDEST;
  deflate.agreed = true;
  const std::string reason(120, 'r');
  const std::string big(6000, 'b');
  std::string messages = client_frame(1, "frag") + client_frame(kFin | 9, "ping") + client_frame(kFin, "ments");
  std::string half = client_frame(kFin | 2, big);
  std::string close = client_frame(kFin | 8, close_frame(1000, reason).payload);
  bool failed = true;
  size_t allocation = 0;
  for (; failed; ++allocation) {
    SCOPED_TRACE(allocation);
    ASSERT_LT(allocation, 1000u);
    notes = Notes();
    wire.clear();
    std::string input[] = {messages, half.substr(0, 3000), half.substr(3000), close};
    conn = std::make_unique<Connection>(config, pool, now);
    bool opened = false;
    with_failure(allocation, [&] {
      if (!conn->open(kAnswer, deflate, true, 0, now)) return;
      opened = true;
      for (int i = 0; i < 3; ++i) conn->send(Opcode::kBinary, big.data(), big.size(), notes, now);
      conn->ping("are you there", 13, now);
      conn->on_time(now + from_ms(1000), 0, notes);
      conn->receive(bytes_of(input[0]), input[0].size(), now, notes);
      conn->pause();
      conn->receive(bytes_of(input[1]), input[1].size(), now, notes);
      conn->resume();
      conn->receive(bytes_of(input[2]), input[2].size(), now, notes);
      conn->receive(bytes_of(input[3]), input[3].size(), now, notes);
      if (!conn->dead()) write_all();
    });
    failed = left_until_failure == kNone;
    if (!conn->dead()) conn->transport_ended(notes);
    ASSERT_EQ(notes.closed, opened ? 1u : 0u);
    if (!opened) continue;
    ASSERT_NE(notes.cause, 0u);
    ASSERT_EQ(wire.substr(0, kAnswer.size()), kAnswer.substr(0, wire.size()));
    wire.erase(0, kAnswer.size());
    ASSERT_NO_THROW(take_server_frames(wire));
  }
  EXPECT_GT(allocation, 10u) << "hardly anything could fail";
  EXPECT_TRUE(notes.clean) << "without a failure";
  EXPECT_EQ(notes.reason_bytes, 120u);
}

TEST_F(ConnectionMemoryTest, TheEndIsToldEvenIfItsReasonCannotBe) {
  open();
  receive_close(1000, std::string(120, 'r'));
  with_failure(0, [&] { conn->transport_ended(notes); });
  EXPECT_EQ(left_until_failure, kNone) << "nothing failed";
  EXPECT_EQ(notes.closed, 1u);
  EXPECT_EQ(notes.cause, uint32_t{WSB_CAUSE_PEER_CLOSE});
  EXPECT_EQ(notes.reason_bytes, 0u);
}

TEST_F(ConnectionMemoryTest, AHeartbeatThatFoundNoMemoryGoesOn) {
  config.heartbeat = {1000, 400, false};
  open();
  now += from_ms(1000);
  with_failure(0, [&] { conn->on_time(now, 0, notes); });
  EXPECT_EQ(left_until_failure, kNone) << "nothing failed";
  EXPECT_EQ(sent(), ServerFrames{});
  run_ms(1000);
  EXPECT_EQ(take_server_frames(wire).size(), 1u) << "the next ping";
  run_ms(400);
  EXPECT_TRUE(conn->dead()) << "and its deadline";
}

TEST_F(ConnectionMemoryTest, AMessageThatFoundNoPlaceLeavesNoTraceInTheWindow) {
  deflate.agreed = true;
  config.max_queue_bytes = 1 << 20;
  open();
  room = 0;
  size_t refused = 0;
  std::vector<std::string> accepted{noise(6000, 99)};
  ASSERT_EQ(send(accepted[0], Opcode::kBinary), Result::kOk);  // takes what the compressor needs
  for (uint32_t i = 0; i < 20; ++i) {
    const std::string message = noise(6000, i);
    Result result = Result::kOk;
    with_failure(0, [&] { result = send(message, Opcode::kBinary); });
    if (result == Result::kNoMemory) {
      ++refused;
      ASSERT_EQ(send(message, Opcode::kBinary), Result::kOk) << "what the window must not know yet";
    }
    accepted.push_back(message);
  }
  EXPECT_GT(refused, 2u);
  room = SIZE_MAX;
  const ServerFrames frames = sent();
  ASSERT_EQ(frames.size(), accepted.size());
  Inflater inflater(deflate);
  for (size_t i = 0; i < frames.size(); ++i) {
    ByteBuffer out;
    std::string data = frames[i].payload;
    if (frames[i].rsv1) {
      ASSERT_EQ(inflater.inflate(bytes_of(data), data.size(), true, 1 << 20, out), InflateResult::kOk);
      data = view_of(out.data(), out.size());
    }
    ASSERT_TRUE(data == accepted[i]) << i;
  }
}

}  // namespace
