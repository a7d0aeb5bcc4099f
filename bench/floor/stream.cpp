// The upgrade (RFC 6455, 4.2.2) and frames (5.2), both answered in place: every answer is shorter than what it answers.
#include "stream.h"

#include <openssl/evp.h>

#include <cstdint>
#include <cstring>

namespace floor_of {

namespace {

constexpr char kKeyName[] = "Sec-WebSocket-Key: ";
constexpr size_t kKeySize = 24;
constexpr size_t kAcceptSize = 28;
constexpr char kGuid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr char kAnswer[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
constexpr uint64_t kMostBytes = 1 << 30;  // beyond it sums would overflow
constexpr size_t kAnswerSize = sizeof kAnswer - 1 + kAcceptSize + 4;

// Writes kAcceptSize characters.
void write_accept(char *to, const char *key) {
  static EVP_MD_CTX *const context = EVP_MD_CTX_new();
  uint8_t digest[EVP_MAX_MD_SIZE];
  uint8_t text[kAcceptSize + 1];
  EVP_DigestInit_ex(context, EVP_sha1(), nullptr);
  EVP_DigestUpdate(context, key, kKeySize);
  EVP_DigestUpdate(context, kGuid, sizeof kGuid - 1);
  EVP_DigestFinal_ex(context, digest, nullptr);
  EVP_EncodeBlock(text, digest, 20);
  std::memcpy(to, text, kAcceptSize);
}

// Forwards, so that `to` may lie before `from` and overlap it.
void move_unmasked(char *to, const char *from, size_t size, const char *mask) {
  uint64_t wide = 0;
  std::memcpy(&wide, mask, 4);
  wide |= wide << 32;
  size_t i = 0;
  for (; i + 16 <= size; i += 16) {
    uint64_t words[2];
    std::memcpy(words, from + i, 16);
    words[0] ^= wide;
    words[1] ^= wide;
    std::memcpy(to + i, words, 16);
  }
  for (; i < size; ++i) to[i] = static_cast<char>(from[i] ^ mask[i & 3]);
}

struct Header {
  size_t size = 0;  // with the mask; 0: not complete
  uint64_t payload = 0;
};

Header read_header(const char *at, const char *end) {
  Header header;
  const auto have = static_cast<size_t>(end - at);
  if (have < 2) return header;
  const unsigned short_length = static_cast<uint8_t>(at[1]) & 0x7f;
  const size_t length_bytes = short_length == 127 ? 8 : short_length == 126 ? 2 : 0;
  if (have < 6 + length_bytes) return header;
  header.payload = length_bytes == 0 ? short_length : 0;
  for (size_t i = 0; i < length_bytes; ++i) header.payload = header.payload << 8 | static_cast<uint8_t>(at[2 + i]);
  header.size = 6 + length_bytes;
  return header;
}

}  // namespace

Taken Stream::take(char *data, size_t size) {
  Taken taken{data, 0, data, size, 0, false};
  char *const end = data + size;
  char *to = data;
  if (!open_) {
    const auto *head_end = static_cast<const char *>(memmem(data, size, "\r\n\r\n", 4));
    if (head_end == nullptr) return taken;
    const auto head = static_cast<size_t>(head_end + 4 - data);
    const auto *key = static_cast<const char *>(memmem(data, head, kKeyName, sizeof kKeyName - 1));
    taken.refused = key == nullptr || head < kAnswerSize || key + sizeof kKeyName - 1 + kKeySize > head_end;
    if (taken.refused) return taken;
    char accept[kAcceptSize];
    write_accept(accept, key + sizeof kKeyName - 1);
    std::memcpy(to, kAnswer, sizeof kAnswer - 1);
    std::memcpy(to + sizeof kAnswer - 1, accept, kAcceptSize);
    std::memcpy(to + kAnswerSize - 4, "\r\n\r\n", 4);
    to += kAnswerSize;
    taken.rest += head;
    open_ = true;
  }
  for (;;) {
    const Header header = read_header(taken.rest, end);
    taken.want = header.size + header.payload;
    taken.refused = header.payload > kMostBytes;
    if (taken.refused || header.size == 0 || taken.want > static_cast<size_t>(end - taken.rest)) break;
    char *const payload = taken.rest + header.size;
    char mask[4];
    std::memcpy(mask, payload - 4, 4);
    std::memmove(to, taken.rest, header.size - 4);
    to[1] = static_cast<char>(to[1] & 0x7f);
    move_unmasked(to + header.size - 4, payload, header.payload, mask);
    to += header.size - 4 + header.payload;
    taken.rest = payload + header.payload;
  }
  taken.out_size = static_cast<size_t>(to - data);
  taken.rest_size = static_cast<size_t>(end - taken.rest);
  return taken;
}

}  // namespace floor_of
