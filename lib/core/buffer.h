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
  uint8_t head_room = 0;     // a message: unused bytes before its frame
  uint8_t header_bytes = 0;  // a message: size of the frame header before the payload
  Opcode opcode = Opcode::kBinary;
  uint8_t size_class = 0;      // of BufferCache: how much memory there really is
  BufferPool* pool = nullptr;  // where a chunk returns to; null: freed
  size_t capacity = 0;
  size_t size = 0;

  uint8_t* bytes() noexcept { return reinterpret_cast<uint8_t*>(this + 1); }
  const uint8_t* bytes() const noexcept { return reinterpret_cast<const uint8_t*>(this + 1); }
  uint8_t* frame() noexcept { return bytes() + head_room; }  // a message: `size` bytes
  const uint8_t* payload() const noexcept { return bytes() + head_room + header_bytes; }
  size_t payload_size() const noexcept { return size - header_bytes; }

  static Buffer* create(size_t capacity) noexcept;  // null without memory
  // More capacity for a buffer with one reference and no pool, its content kept. Null without memory: it is as it was.
  static Buffer* grow(Buffer* buffer, size_t capacity) noexcept;
  // One whole unmasked data frame.
  static Buffer* create_message(Opcode opcode, const void* data, size_t n) noexcept;
  void retain() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept;
};

// Buffers that a thread has freed, kept for its next ones: in the steady state messages cost no allocation, and the memory of large ones does not go
// to the kernel and come back page by page.
class BufferCache {
 public:
  static constexpr size_t kMaxKeptBytes = 8 << 20;

  BufferCache() noexcept = default;
  ~BufferCache() { clear(); }
  BufferCache(const BufferCache&) = delete;
  BufferCache& operator=(const BufferCache&) = delete;

  // This thread's from now on (null: none); returns what it was. Buffer::create and release use it.
  static BufferCache* make_current(BufferCache* cache) noexcept;
  size_t kept_bytes() const noexcept { return kept_bytes_; }
  // Frees all that is kept.
  void clear() noexcept;

 private:
  friend struct Buffer;
  static constexpr size_t kClasses = 64;  // four sizes to each power of two, from 80 bytes to 4 MiB
  // 0: none, too large to be kept.
  static uint8_t class_for(size_t capacity) noexcept;
  static size_t bytes_of(uint8_t size_class) noexcept;
  void* take(uint8_t size_class) noexcept;  // null if none is kept
  bool keep(void* memory, uint8_t size_class) noexcept;

  struct Kept {
    Kept* next;
  };
  Kept* kept_[kClasses] = {};
  size_t kept_bytes_ = 0;
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
