// Allocation and reuse of output buffers.
#include "core/buffer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace wsb::core {

namespace {
// No destructor, so that the library can be unloaded.
thread_local BufferCache* current_cache = nullptr;
}  // namespace

Buffer* Buffer::create(size_t capacity) noexcept {
  if (capacity > PTRDIFF_MAX - sizeof(Buffer)) return nullptr;
  const uint8_t size_class = BufferCache::class_for(capacity);
  void* memory = nullptr;
  if (size_class != 0 && current_cache != nullptr) memory = current_cache->take(size_class);
  if (memory == nullptr)
    memory = std::malloc(sizeof(Buffer) + (size_class != 0 ? BufferCache::bytes_of(size_class) : capacity));
  if (memory == nullptr) return nullptr;
  auto* buffer = new (memory) Buffer;
  buffer->capacity = capacity;
  buffer->size_class = size_class;
  return buffer;
}

Buffer* Buffer::grow(Buffer* buffer, size_t capacity) noexcept {
  if (buffer->size_class == 0) {  // the kernel moves pages instead of bytes
    if (capacity > PTRDIFF_MAX - sizeof(Buffer)) return nullptr;
    auto* grown = static_cast<Buffer*>(std::realloc(static_cast<void*>(buffer), sizeof(Buffer) + capacity));
    if (grown != nullptr) grown->capacity = capacity;
    return grown;
  }
  if (capacity <= BufferCache::bytes_of(buffer->size_class)) {
    buffer->capacity = capacity;
    return buffer;
  }
  Buffer* grown = create(capacity);
  if (grown == nullptr) return nullptr;
  std::memcpy(grown->bytes(), buffer->bytes(), buffer->capacity);
  buffer->release();
  return grown;
}

void BufferCache::clear() noexcept {
  for (Kept*& kept : kept_) {
    while (kept != nullptr) std::free(std::exchange(kept, kept->next));
  }
  kept_bytes_ = 0;
}

BufferCache* BufferCache::make_current(BufferCache* cache) noexcept {
  return std::exchange(current_cache, cache);
}

// Class 1 + 4 * e + k holds 64 * 2^e * (1 + (k + 1) / 4) bytes.
uint8_t BufferCache::class_for(size_t capacity) noexcept {
  constexpr size_t kLeast = 65;
  const size_t last = std::max(capacity, kLeast) - 1;
  const auto octave = static_cast<unsigned>(63 - __builtin_clzll(last));
  const size_t quarter = (last >> (octave - 2)) & 3;
  const size_t index = (octave - 6) * 4 + quarter;
  return index < kClasses ? static_cast<uint8_t>(index + 1) : 0;
}

size_t BufferCache::bytes_of(uint8_t size_class) noexcept {
  const unsigned index = size_class - 1U;
  return (size_t{5} + index % 4) << (index / 4 + 4);
}

void* BufferCache::take(uint8_t size_class) noexcept {
  Kept*& first = kept_[size_class - 1];
  if (first == nullptr) return nullptr;
  kept_bytes_ -= sizeof(Buffer) + bytes_of(size_class);
  return std::exchange(first, first->next);
}

bool BufferCache::keep(void* memory, uint8_t size_class) noexcept {
  const size_t bytes = sizeof(Buffer) + bytes_of(size_class);
  if (kept_bytes_ + bytes > kMaxKeptBytes) return false;
  kept_bytes_ += bytes;
  Kept*& first = kept_[size_class - 1];
  first = new (memory) Kept{first};
  return true;
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
  const uint8_t its_class = size_class;
  this->~Buffer();
  if (its_class != 0 && current_cache != nullptr && current_cache->keep(this, its_class)) return;
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
