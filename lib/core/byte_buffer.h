// A growing array of bytes that never fills what it is about to overwrite, and reports lack of memory instead of
// throwing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace wsb::core {

class ByteBuffer {
 public:
  ByteBuffer() noexcept = default;
  ~ByteBuffer() { std::free(data_); }
  ByteBuffer(ByteBuffer&& other) noexcept { swap(other); }
  ByteBuffer& operator=(ByteBuffer&& other) noexcept {
    ByteBuffer(std::move(other)).swap(*this);
    return *this;
  }
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;

  uint8_t* data() noexcept { return data_; }  // null before the first allocation
  const uint8_t* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  size_t capacity() const noexcept { return capacity_; }
  bool empty() const noexcept { return size_ == 0; }

  // Exactly `capacity` bytes if there are fewer. False: no memory, nothing has changed.
  bool reserve(size_t capacity) noexcept {
    if (capacity <= capacity_) return true;
    if (capacity > PTRDIFF_MAX) return false;
    void* grown = std::realloc(data_, capacity);
    if (grown == nullptr) return false;
    data_ = static_cast<uint8_t*>(grown);
    capacity_ = capacity;
    return true;
  }

  // Room for `n` bytes more, doubling but not beyond `max_capacity` unless these bytes need it. False: no memory,
  // nothing has changed.
  bool make_room(size_t n, size_t max_capacity = PTRDIFF_MAX) noexcept {
    if (n <= capacity_ - size_) return true;
    if (n > PTRDIFF_MAX - size_) return false;
    const size_t doubled = std::max(capacity_ * 2, kSmallest);
    return reserve(std::max(size_ + n, std::min(doubled, max_capacity)));
  }

  bool append(const void* bytes, size_t n) noexcept {
    if (n == 0) return true;
    if (!make_room(n)) return false;
    std::memcpy(data_ + size_, bytes, n);
    size_ += n;
    return true;
  }

  // Makes bytes that were written behind the end, inside the capacity, part of the content; or cuts the content.
  void set_size(size_t size) noexcept { size_ = size; }
  void clear() noexcept { size_ = 0; }  // keeps the memory
  void release() noexcept { ByteBuffer().swap(*this); }

  void swap(ByteBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  static constexpr size_t kSmallest = 128;

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace wsb::core
