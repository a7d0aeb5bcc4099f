// Encoding, byte by byte.
#include "kv_key.h"

#include <cstdint>
#include <cstdio>

namespace wsb::nats {

namespace {

bool is_plain(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

void append_code(std::string& out, char escape, char c) {
  char code[4];
  (void)std::snprintf(code, sizeof code, "%c%02X", escape, static_cast<unsigned>(static_cast<unsigned char>(c)));
  out += code;
}

int digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

std::string kv_key(std::string_view topic) {
  std::string out;
  out.reserve(topic.size());
  for (const char c : topic) {
    if (is_plain(c) || c == '_' || c == '/' || c == '.') {
      out += c;
    } else {
      append_code(out, '=', c);
    }
  }
  return out;
}

std::optional<std::string> kv_topic(std::string_view key) {
  std::string out;
  out.reserve(key.size());
  for (size_t i = 0; i < key.size(); ++i) {
    const char c = key[i];
    if (c != '=') {
      out += c;
      continue;
    }
    const int high = i + 2 < key.size() ? digit(key[i + 1]) : -1;
    const int low = high >= 0 ? digit(key[i + 2]) : -1;
    if (low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (kv_key(out) != key) return std::nullopt;  // written otherwise than here
  return out;
}

std::string kv_bucket(std::string_view prefix, std::string_view purpose) {
  constexpr size_t kMostBytes = 180;  // a stream's name has at most 255
  constexpr uint64_t kFnvOffset = 14695981039346656037U;
  constexpr uint64_t kFnvPrime = 1099511628211U;
  std::string out;
  uint64_t hash = kFnvOffset;
  for (const char c : prefix) {
    hash = (hash ^ static_cast<unsigned char>(c)) * kFnvPrime;
    if (is_plain(c)) {
      out += c;
    } else {
      append_code(out, '_', c);
    }
  }
  if (out.size() > kMostBytes) {
    char number[20];
    (void)std::snprintf(number, sizeof number, "__%016llX", static_cast<unsigned long long>(hash));
    out.resize(kMostBytes);
    out += number;
  }
  return out.append("-").append(purpose);
}

}  // namespace wsb::nats
