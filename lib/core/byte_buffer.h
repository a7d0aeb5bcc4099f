// A growing array of bytes that never fills what it is about to overwrite, and reports lack of memory instead of
// throwing. There is room for a frame's header before them, so that they can become a message.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "core/buffer.h"

namespace wsb::core {

class ByteBuffer {
 public:
  ByteBuffer() noexcept = default;
  ~ByteBuffer() {
    if (buffer_ != nullptr) buffer_->release();
  }
  ByteBuffer(ByteBuffer&& other) noexcept { swap(other); }
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    ByteBuffer(std::move(other)).swap(*this);
    return *this;
  }
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;

  uint8_t* data() noexcept {
    return buffer_ != nullptr ? buffer_->bytes() + kMaxServerHeader : nullptr;
  }  // null before the first allocation
  const uint8_t* data() const noexcept { return const_cast<ByteBuffer*>(this)->data(); }
  size_t size() const noexcept { return size_; }
  size_t capacity() const noexcept { return buffer_ != nullptr ? buffer_->capacity - kMaxServerHeader : 0; }
  bool empty() const noexcept { return size_ == 0; }

  // Exactly `capacity` bytes if there are fewer. False: no memory, nothing has changed.
  bool reserve(size_t capacity) noexcept {
    if (capacity <= this->capacity()) return true;
    if (capacity > PTRDIFF_MAX - kMaxServerHeader) return false;
    const size_t total = capacity + kMaxServerHeader;
    Buffer* grown = buffer_ != nullptr ? Buffer::grow(buffer_, total) : Buffer::create(total);
    if (grown == nullptr) return false;
    buffer_ = grown;
    return true;
  }

  // Room for `n` bytes more, doubling but not beyond `max_capacity` unless these bytes need it. False: no memory,
  // nothing has changed.
  bool make_room(size_t n, size_t max_capacity = PTRDIFF_MAX) noexcept {
    if (n <= capacity() - size_) return true;
    if (n > PTRDIFF_MAX - size_) return false;
    const size_t doubled = std::max(capacity() * 2, kSmallest);
    return reserve(std::max(size_ + n, std::min(doubled, max_capacity)));
  }

  bool append(const void* bytes, size_t n) noexcept {
    if (n == 0) return true;
    if (!make_room(n)) return false;
    std::memcpy(data() + size_, bytes, n);
    size_ += n;
    return true;
  }

  // Makes bytes that were written behind the end, inside the capacity, part of the content; or cuts the content.
  void set_size(size_t size) noexcept { size_ = size; }
  void clear() noexcept { size_ = 0; }  // keeps the memory
  void release() noexcept { ByteBuffer().swap(*this); }
  // The content as a message, shared: it must not be changed any more, only released. Null if there is none, or it was shared with another opcode.
  BufferRef share(Opcode opcode) noexcept {
    if (buffer_ == nullptr) return {};
    if (buffer_->header_bytes == 0) {
      const size_t header = header_size(size_);
      buffer_->head_room = static_cast<uint8_t>(kMaxServerHeader - header);
      buffer_->header_bytes = static_cast<uint8_t>(header);
      buffer_->size = header + size_;
      buffer_->opcode = opcode;
      build_header(buffer_->frame(), opcode, true, false, size_);
    }
    return buffer_->opcode == opcode ? BufferRef::share(buffer_) : BufferRef();
  }

  void swap(ByteBuffer& other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(size_, other.size_);
  }

 private:
  static constexpr size_t kSmallest = 128;

  Buffer* buffer_ = nullptr;
  size_t size_ = 0;
};

}  // namespace wsb::core
