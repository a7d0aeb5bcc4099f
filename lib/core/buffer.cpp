// Allocation and reuse of output buffers.
#include "core/buffer.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace wsb::core {

Buffer* Buffer::create(size_t capacity) noexcept {
  if (capacity > SIZE_MAX - sizeof(Buffer)) return nullptr;
  void* memory = std::malloc(sizeof(Buffer) + capacity);
  if (memory == nullptr) return nullptr;
  auto* buffer = new (memory) Buffer;
  buffer->capacity = capacity;
  return buffer;
}

Buffer* Buffer::create_message(Opcode opcode, const void* data, size_t n) noexcept {
  const size_t header = header_size(n);
  if (n > SIZE_MAX - header) return nullptr;
  Buffer* buffer = create(header + n);
  if (buffer == nullptr) return nullptr;
  build_header(buffer->bytes(), opcode, true, false, n);
  if (n != 0) std::memcpy(buffer->bytes() + header, data, n);
  buffer->size = header + n;
  buffer->header_bytes = static_cast<uint8_t>(header);
  buffer->opcode = opcode;
  return buffer;
}

void Buffer::release() noexcept {
  if (references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (pool != nullptr) {
    pool->put(this);
    return;
  }
  this->~Buffer();
  std::free(this);
}

BufferPool::~BufferPool() {
  for (Buffer* chunk : kept_) {
    chunk->pool = nullptr;
    chunk->references.store(1, std::memory_order_relaxed);
    chunk->release();
  }
}

Buffer* BufferPool::take() noexcept {
  if (kept_.empty()) {
    Buffer* chunk = Buffer::create(kChunkBytes);
    if (chunk != nullptr) chunk->pool = this;
    return chunk;
  }
  Buffer* chunk = kept_.back();
  kept_.pop_back();
  chunk->references.store(1, std::memory_order_relaxed);
  chunk->size = 0;
  return chunk;
}

void BufferPool::put(Buffer* chunk) noexcept {
  if (kept_.size() < kMaxKept) {
    kept_.push_back(chunk);
    return;
  }
  chunk->~Buffer();
  std::free(chunk);
}

}  // namespace wsb::core
