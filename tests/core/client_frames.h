// For unit tests and fuzzing: builds what clients send, and records what an Assembler makes of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "core/assembler.h"

namespace wsb::core::testing {

inline const uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}
inline uint8_t* bytes_of(std::string& text) {
  return reinterpret_cast<uint8_t*>(text.data());
}
inline std::string_view view_of(const uint8_t* bytes, size_t n) {
  return {reinterpret_cast<const char*>(bytes), n};
}

inline constexpr uint8_t kFin = 0x80;
inline constexpr uint8_t kRsv1 = 0x40;

// `first` is the whole first byte: FIN, RSV and opcode. The length is the shortest form of `length`.
inline std::string client_header(int first, uint64_t length, std::string_view mask) {
  std::string out(1, static_cast<char>(first));
  const auto number = [&out](uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xFF);
  };
  if (length < 126) {
    number(0x80 | length, 1);
  } else if (length < 65536) {
    number(0x80 | 126, 1);
    number(length, 2);
  } else {
    number(0x80 | 127, 1);
    number(length, 8);
  }
  return out.append(mask);
}

inline std::string client_frame(int first, std::string_view payload, std::string_view mask = "\x37\xfa\x21\x3d") {
  std::string out = client_header(first, payload.size(), mask);
  for (size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ mask[i % 4]);
  return out;
}

// One event; pieces of a message are joined into one kMessage where the last came.
struct Seen {
  Event event;
  bool text;
  std::string data;
  bool operator==(const Seen& other) const { return event == other.event && text == other.text && data == other.data; }
};

struct Recording {
  std::vector<Seen> events;  // without kNeedMore and kError
  StreamError error = StreamError::kNone;
  std::string error_text;
  std::vector<size_t> pieces;  // lengths of kFragment events
  bool in_message = false;     // at the end
  size_t held_bytes = 0;       // at the end
  size_t most_held_bytes = 0;
  bool operator==(const Recording& other) const {
    return events == other.events && error == other.error && error_text == other.error_text &&
           in_message == other.in_message;
  }
};

// How many bytes come with the next read; at least 1.
using Cuts = std::function<size_t()>;
inline Cuts whole() {
  return [] { return SIZE_MAX; };
}
inline Cuts each(size_t n) {
  return [n] { return n; };
}

class Recorder {
 public:
  Recorder(const AssemblerLimits& limits, bool streaming, const DeflateParams* deflate)
      : assembler(limits, streaming, deflate), streaming_(streaming) {}

  // Every read lies in memory of exactly its size, with what the last left unconsumed before it.
  void feed(std::string_view bytes, const Cuts& cuts = whole()) {
    while (!bytes.empty() && recording.error == StreamError::kNone) {
      const size_t n = std::min(bytes.size(), cuts());
      read(bytes.substr(0, n));
      bytes.remove_prefix(n);
    }
    recording.in_message = assembler.in_message();
    recording.held_bytes = assembler.held_bytes();
  }

  Assembler assembler;
  Recording recording;

 private:
  static void require(bool condition, const char* what) {
    if (!condition) throw std::logic_error(what);
  }

  void read(std::string_view bytes) {
    size_t left = bytes.size();
    const std::unique_ptr<uint8_t[]> input(new uint8_t[left]);
    std::copy(bytes.begin(), bytes.end(), input.get());
    uint8_t* at = input.get();
    while (left > 0) {
      size_t consumed = 0;
      EventData data;
      const Event event = assembler.next(at, left, consumed, data);
      require(consumed <= left, "consumed more than there was");
      recording.most_held_bytes = std::max(recording.most_held_bytes, assembler.held_bytes());
      at += consumed;
      left -= consumed;
      if (event == Event::kError) {
        recording.error = assembler.error();
        recording.error_text = assembler.error_text();
        require(recording.error != StreamError::kNone && !recording.error_text.empty(), "an error without a reason");
        return;
      }
      if (event == Event::kNeedMore) {
        require(left == 0, "more needed although there is more");
        return;
      }
      record(event, data);
    }
  }

  void record(Event event, const EventData& data) {
    require(data.data != nullptr, "null data");
    const std::string_view view = view_of(data.data, data.length);
    require(event != (streaming_ ? Event::kMessage : Event::kFragment), "event of the other mode");
    if (event != Event::kFragment) {
      recording.events.push_back({event, data.text, std::string(view)});
      return;
    }
    require(data.offset == joined_.size(), "offset is not what came before");
    require(data.last || data.length > 0, "empty piece that is not the last");
    recording.pieces.push_back(data.length);
    joined_.append(view);
    if (!data.last) return;
    recording.events.push_back({Event::kMessage, data.text, joined_});
    joined_.clear();
  }

  bool streaming_;
  std::string joined_;
};

inline Recording record(std::string_view bytes, const AssemblerLimits& limits = {}, bool streaming = false,
                        const DeflateParams* deflate = nullptr, const Cuts& cuts = whole()) {
  Recorder recorder(limits, streaming, deflate);
  recorder.feed(bytes, cuts);
  return recorder.recording;
}

}  // namespace wsb::core::testing
