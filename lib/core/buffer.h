// Reference-counted bytes: chunks of framed output, and shared messages. Header and bytes are one allocation.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/frame.h"

namespace wsb::core {

class BufferPool;

struct Buffer {
  std::atomic<uint32_t> references{1};
  uint8_t header_bytes = 0;  // a message: size of the frame header before the payload
  Opcode opcode = Opcode::kBinary;
  BufferPool* pool = nullptr;  // where a chunk returns to; null: freed
  size_t capacity = 0;
  size_t size = 0;

  uint8_t* bytes() noexcept { return reinterpret_cast<uint8_t*>(this + 1); }
  const uint8_t* bytes() const noexcept { return reinterpret_cast<const uint8_t*>(this + 1); }
  const uint8_t* payload() const noexcept { return bytes() + header_bytes; }
  size_t payload_size() const noexcept { return size - header_bytes; }

  static Buffer* create(size_t capacity) noexcept;  // null without memory
  // One whole unmasked data frame.
  static Buffer* create_message(Opcode opcode, const void* data, size_t n) noexcept;
  void retain() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;
};

// One reference.
class BufferRef {
 public:
  BufferRef() noexcept = default;
  explicit BufferRef(Buffer* taken) noexcept : buffer_(taken) {}
  BufferRef(BufferRef&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  BufferRef& operator=(BufferRef&& other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  BufferRef(const BufferRef&) = delete;
  BufferRef& operator=(const BufferRef&) = delete;
  ~BufferRef() {
    if (buffer_ != nullptr) buffer_->release();
  }
  static BufferRef share(Buffer* buffer) noexcept {
    buffer->retain();
    return BufferRef(buffer);
  }
  Buffer* get() const noexcept { return buffer_; }
  Buffer* operator->() const noexcept { return buffer_; }
  explicit operator bool() const noexcept { return buffer_ != nullptr; }

 private:
  Buffer* buffer_ = nullptr;
};

// Chunks of one worker, kept for reuse. Chunks never leave their worker's thread.
class BufferPool {
 public:
  static constexpr size_t kChunkBytes = 16 * 1024;
  static constexpr size_t kMaxKept = 256;

  BufferPool() { kept_.reserve(kMaxKept); }  // put() must not need memory
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  Buffer* take() noexcept;  // an empty chunk; null without memory
  void put(Buffer* chunk) noexcept;

 private:
  std::vector<Buffer*> kept_;
};

}  // namespace wsb::core
