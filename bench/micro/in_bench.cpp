// How fast the pure core takes bytes in: headers, masks, UTF-8, and a read buffer full of small frames.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/assembler.h"
#include "core/frame.h"
#include "core/utf8.h"

namespace {

using namespace wsb::core;

constexpr uint8_t kMask[4] = {0x37, 0xfa, 0x21, 0x3d};
constexpr size_t kReadBytes = 256 * 1024;

void count_bytes(benchmark::State &state, size_t bytes) {
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(bytes));
}

void unmask_in_place(benchmark::State &state) {
  std::vector<uint8_t> bytes(static_cast<size_t>(state.range(0)), 'x');
  for (auto iteration : state) {
    (void)iteration;
    unmask(bytes.data(), bytes.data(), bytes.size(), kMask, 1);
    benchmark::ClobberMemory();
  }
  count_bytes(state, bytes.size());
}
BENCHMARK(unmask_in_place)->Arg(64)->Arg(16 << 10)->Arg(1 << 20);

void check_utf8(benchmark::State &state, const std::string &word) {
  std::string text;
  while (text.size() + word.size() <= 16384) text += word;
  for (auto iteration : state) {
    (void)iteration;
    Utf8Checker checker;
    benchmark::DoNotOptimize(checker.feed(reinterpret_cast<const uint8_t *>(text.data()), text.size()) &&
                             checker.complete());
  }
  count_bytes(state, text.size());
}
BENCHMARK_CAPTURE(check_utf8, ascii, "All of this is plain ASCII. ");
BENCHMARK_CAPTURE(check_utf8, mixed,
                  "Stra\xc3\x9f"
                  "e, na\xc3\xafve caf\xc3\xa9 \xe2\x82\xac"
                  "5 \xf0\x9f\x98\x80 and some words between; ");
BENCHMARK_CAPTURE(check_utf8, greek, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5 ");

std::vector<uint8_t> masked_frames(uint8_t opcode, size_t payload_bytes) {
  std::vector<uint8_t> bytes;
  while (bytes.size() + payload_bytes + 6 <= kReadBytes) {
    bytes.push_back(static_cast<uint8_t>(0x80 | opcode));
    bytes.push_back(static_cast<uint8_t>(0x80 | payload_bytes));
    bytes.insert(bytes.end(), kMask, kMask + sizeof kMask);
    for (size_t i = 0; i < payload_bytes; ++i) bytes.push_back(static_cast<uint8_t>('a' ^ kMask[i % 4]));
  }
  return bytes;
}

// A read of 64-byte messages; parsing unmasks it, so each round starts from a copy (its cost is in the figure).
void assemble(benchmark::State &state, Opcode opcode) {
  const std::vector<uint8_t> fresh = masked_frames(static_cast<uint8_t>(opcode), 64);
  std::vector<uint8_t> read(fresh.size());
  Assembler assembler({}, false, nullptr);
  int64_t messages = 0;
  for (auto iteration : state) {
    (void)iteration;
    std::copy(fresh.begin(), fresh.end(), read.begin());
    uint8_t *at = read.data();
    for (size_t left = read.size(); left > 0; ++messages) {
      size_t consumed = 0;
      EventData data;
      if (assembler.next(at, left, consumed, data) != Event::kMessage) {
        state.SkipWithError("not a message");
        return;
      }
      benchmark::DoNotOptimize(data.data);
      at += consumed;
      left -= consumed;
    }
  }
  state.SetItemsProcessed(messages);
  count_bytes(state, fresh.size());
}
BENCHMARK_CAPTURE(assemble, binary_64, Opcode::kBinary);
BENCHMARK_CAPTURE(assemble, text_64, Opcode::kText);

}  // namespace
