// The two zlib codecs of permessage-deflate (RFC 7692, section 7.2).
#include "core/deflate.h"

#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>
#include <new>

#include "core/buffer.h"

namespace wsb::core {

namespace {

constexpr uint8_t kTail[4] = {0x00, 0x00, 0xFF, 0xFF};  // end of a sync flush, not on the wire (7.2.1)
constexpr size_t kMostPerCall = size_t{1} << 30;        // zlib counts in unsigned int
constexpr size_t kLeastInflateRoom = 512;
constexpr size_t kLeastDeflateRoom = 64;    // zlib repeats its flush marker when it gets 6 or less
constexpr int kAlignedBlockBoundary = 128;  // z_stream::data_type: right behind a block, no bits of the last byte left

// Without context takeover a codec lives for one message, so its memory comes from what the thread has kept.
voidpf take_memory(voidpf /*opaque*/, uInt items, uInt size) {
  Buffer* const buffer = Buffer::create(size_t{items} * size);
  return buffer != nullptr ? buffer->bytes() : nullptr;
}

void give_memory_back(voidpf /*opaque*/, voidpf memory) {
  (static_cast<Buffer*>(memory) - 1)->release();
}

z_stream empty_stream() noexcept {
  z_stream stream = {};
  stream.zalloc = take_memory;
  stream.zfree = give_memory_back;
  return stream;
}

uInt clamp(size_t n) noexcept {
  return static_cast<uInt>(std::min(n, kMostPerCall));
}

}  // namespace

struct Inflater::Impl {
  ~Impl() {
    if (started) inflateEnd(&stream);
  }

  // One call of zlib; raises `used` and `written` by what it took and gave.
  int pump(const uint8_t* bytes, size_t n, size_t& used, uint8_t* out, size_t room, size_t& written) noexcept {
    const uInt offered = clamp(n);
    const uInt space = clamp(room);
    stream.next_in = bytes;
    stream.avail_in = offered;
    stream.next_out = out;
    stream.avail_out = space;
    const int code = ::inflate(&stream, Z_SYNC_FLUSH);
    used += offered - stream.avail_in;
    written += space - stream.avail_out;
    return code;
  }

  z_stream stream = empty_stream();
  bool started = false;
  bool any_input = false;           // of this message
  bool behind_final_block = false;  // zlib stands still there until it is told that another stream begins
  size_t tail_used = 0;
};

Inflater::Inflater(const DeflateParams& params) noexcept : params_(params) {}
Inflater::~Inflater() = default;

bool Inflater::start() noexcept {
  impl_.reset(new (std::nothrow) Impl);
  if (impl_ == nullptr) return false;
  // Peers whose zlib was asked for 8 use 9 in fact; a larger window than theirs does no harm.
  const int bits = std::max<int>(params_.client_max_window_bits, 9);
  impl_->started = inflateInit2(&impl_->stream, -bits) == Z_OK;
  if (!impl_->started) impl_.reset();
  return impl_ != nullptr;
}

void Inflater::end_message() noexcept {
  impl_->any_input = false;
  impl_->tail_used = 0;
  if (params_.client_no_context_takeover) impl_.reset();
}

InflateResult Inflater::inflate_some(const uint8_t* bytes, size_t n, bool last, uint8_t* out, size_t room,
                                     Step& step) noexcept {
  step = Step{};
  if (n == 0 && (impl_ == nullptr || !impl_->any_input)) {
    step.done = true;
    return InflateResult::kOk;
  }
  if (impl_ == nullptr && !start()) return InflateResult::kNoMemory;
  Impl& impl = *impl_;
  impl.any_input = true;

  while (!step.done) {
    const bool in_tail = step.taken == n;
    if (in_tail && impl.behind_final_block) {
      step.done = true;
      break;
    }
    if (impl.behind_final_block) {
      if (inflateResetKeep(&impl.stream) != Z_OK) return InflateResult::kCorrupt;
      impl.behind_final_block = false;
    }
    const int code = in_tail ? impl.pump(kTail + impl.tail_used, last ? sizeof kTail - impl.tail_used : 0,
                                         impl.tail_used, out + step.written, room - step.written, step.written)
                             : impl.pump(bytes + step.taken, n - step.taken, step.taken, out + step.written,
                                         room - step.written, step.written);
    const bool tail_taken = impl.tail_used == sizeof kTail;
    if (code == Z_MEM_ERROR) return InflateResult::kNoMemory;
    if (code == Z_STREAM_END) {
      if (impl.tail_used > 0 && !tail_taken) return InflateResult::kCorrupt;
      impl.behind_final_block = true;
      continue;
    }
    if (code != Z_OK && code != Z_BUF_ERROR) return InflateResult::kCorrupt;
    if (tail_taken && impl.stream.data_type == kAlignedBlockBoundary) {
      step.done = true;  // judged at once: a call without input would blur data_type
      break;
    }
    if (step.written == room) return InflateResult::kOk;
    if (impl.stream.avail_out == 0 || step.taken < n) continue;
    if (tail_taken) return InflateResult::kCorrupt;
    step.done = !last;
  }
  if (last) end_message();
  return InflateResult::kOk;
}

InflateResult Inflater::inflate(const uint8_t* bytes, size_t n, bool last, size_t max_out, ByteBuffer& out) noexcept {
  Step step;
  while (!step.done) {
    const bool full = out.size() >= max_out;
    if (!full && out.size() == out.capacity()) {
      const size_t guess = std::min(std::max(n * 2, kLeastInflateRoom), max_out - out.size());
      if (!out.make_room(guess, max_out)) return InflateResult::kNoMemory;
    }
    uint8_t beyond;
    uint8_t* const to = full ? &beyond : out.data() + out.size();
    const size_t room = full ? sizeof beyond : std::min(out.capacity(), max_out) - out.size();
    const InflateResult result = inflate_some(bytes, n, last, to, room, step);
    if (full && step.written > 0) return InflateResult::kTooBig;
    if (!full) out.set_size(out.size() + step.written);
    if (result != InflateResult::kOk) return result;
    bytes += step.taken;
    n -= step.taken;
  }
  return InflateResult::kOk;
}

struct Deflater::Impl {
  ~Impl() {
    if (started) deflateEnd(&stream);
  }

  // Appends all of it, the tail included.
  bool compress(const uint8_t* bytes, size_t n, ByteBuffer& out) noexcept {
    stream.next_in = bytes;
    for (size_t left = n; left > 0;) {
      const uInt part = clamp(left);
      const int flush = part == left ? Z_SYNC_FLUSH : Z_NO_FLUSH;
      stream.avail_in = part;
      do {
        if (out.capacity() - out.size() < kLeastDeflateRoom && !out.make_room(std::max(n / 2, kLeastDeflateRoom)))
          return false;
        const uInt room = clamp(out.capacity() - out.size());
        stream.next_out = out.data() + out.size();
        stream.avail_out = room;
        if (::deflate(&stream, flush) == Z_STREAM_ERROR) return false;
        out.set_size(out.size() + room - stream.avail_out);
      } while (stream.avail_out == 0);
      left -= part;
    }
    return true;
  }

  z_stream stream = empty_stream();
  bool started = false;
};

Deflater::Deflater(const DeflateParams& params, uint8_t level, uint8_t mem_level) noexcept
    : params_(params), level_(level), mem_level_(mem_level) {}
Deflater::~Deflater() = default;

bool Deflater::start() noexcept {
  impl_.reset(new (std::nothrow) Impl);
  if (impl_ == nullptr) return false;
  impl_->started = deflateInit2(&impl_->stream, level_, Z_DEFLATED, -static_cast<int>(params_.server_max_window_bits),
                                mem_level_, Z_DEFAULT_STRATEGY) == Z_OK;
  if (!impl_->started) impl_.reset();
  return impl_ != nullptr;
}

bool Deflater::deflate(const uint8_t* bytes, size_t n, ByteBuffer& out) noexcept {
  if (n == 0) {
    const uint8_t empty_block = 0;  // 7.2.3.6; zlib writes nothing when it is flushed twice
    return out.append(&empty_block, 1);
  }
  if (impl_ == nullptr && !start()) return false;
  const size_t size_before = out.size();
  if (!impl_->compress(bytes, n, out)) {
    out.set_size(size_before);
    impl_.reset();
    return false;
  }
  out.set_size(out.size() - sizeof kTail);
  if (params_.server_no_context_takeover) impl_.reset();
  return true;
}

}  // namespace wsb::core
