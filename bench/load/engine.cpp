// The loop of all links, and the bytes that they send.
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>

#include "link.h"
#include "stats.h"

namespace load {

namespace {

constexpr size_t kReadBytes = 1 << 18;
constexpr int kEvents = 256;
constexpr uint32_t kOpeningAtOnce = 64;  // below every server's backlog
constexpr double kOpenTimeoutS = 60;

// JSON as applications send it, so that compression has something to do.
std::string sample_text(size_t size) {
  std::string text;
  for (unsigned i = 0; text.size() < size; ++i) {
    text += R"({"id":)" + std::to_string(i * 7919 % 100000) + R"(,"type":"update","price":)" +
            std::to_string(i * 104729 % 9973) + R"(.25,"name":"item )" + std::to_string(i % 17) + "\"}\n";
  }
  text.resize(size);
  return text;
}

// Characters of one to four bytes.
std::string sample_utf8(size_t size) {
  static const std::string kWords =
      "Stra\xc3\x9f"
      "e, caf\xc3\xa9, \xce\xba\xcf\x8c\xcf\x83\xce\xbc\xce\xb5, \xe2\x82\xac 5 \xe4\xb8\x96\xe7\x95\x8c "
      "\xf0\x9f\x98\x80 and plain words; ";
  std::string text;
  while (text.size() + kWords.size() <= size) text += kWords;
  text.append(size - text.size(), '.');
  return text;
}

// Raw deflate as RFC 7692 wants it, without its tail.
std::string compress(const std::string &text) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) die("zlib");
  std::string out(deflateBound(&stream, text.size()) + 16, '\0');
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef *>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_SYNC_FLUSH) != Z_OK) die("zlib");
  out.resize(out.size() - stream.avail_out - 4);
  deflateEnd(&stream);
  return out;
}

}  // namespace

Pattern make_pattern(const Options &options, size_t size, uint32_t repeat) {
  static const char kKey[] = {0x37, static_cast<char>(0xfa), 0x21, 0x3d};
  std::string payload = options.deflate ? compress(sample_text(size))
                        : options.text  ? sample_utf8(size)
                                        : sample_text(size);
  std::string frame;
  frame += static_cast<char>(0x80 | (options.deflate ? 0x40 : 0) | (options.text ? 1 : 2));
  const size_t length = payload.size();
  const int length_bytes = length < 126 ? 0 : length < 65536 ? 2 : 8;
  frame += static_cast<char>(0x80 | (length_bytes == 0 ? static_cast<int>(length) : length_bytes == 2 ? 126 : 127));
  for (int i = length_bytes - 1; i >= 0; --i) frame += static_cast<char>(static_cast<uint64_t>(length) >> (8 * i));
  frame.append(kKey, sizeof kKey);
  for (size_t i = 0; i < length; ++i) frame += static_cast<char>(payload[i] ^ kKey[i % 4]);
  Pattern pattern;
  pattern.frame_bytes = frame.size();
  for (uint32_t i = 0; i < repeat; ++i) pattern.bytes += frame;
  return pattern;
}

Engine::Engine(const Options &its_options)
    : options(its_options), poller(epoll_create1(EPOLL_CLOEXEC)), input(kReadBytes, '\0') {
  if (poller < 0) die("epoll");
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  request = "GET " + options.path + " HTTP/1.1\r\nHost: " + options.host + ":" + std::to_string(options.port) +
            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
            "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
  if (options.deflate) {
    request +=
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
  }
  request += "\r\n";
  if (!options.tls) return;
  tls = SSL_CTX_new(TLS_client_method());
  if (tls == nullptr) die("TLS");
  SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

Engine::~Engine() {
  SSL_CTX_free(tls);
  close(poller);
}

void Engine::turn(int timeout_ms) {
  epoll_event events[kEvents];
  const int count = epoll_wait(poller, events, kEvents, timeout_ms);
  if (count < 0 && errno != EINTR) die("epoll_wait");
  for (int i = 0; i < count; ++i) static_cast<Link *>(events[i].data.ptr)->on_event(events[i].events);
}

void Engine::run_for(double seconds) {
  const uint64_t end = now_ns() + static_cast<uint64_t>(seconds * 1e9);
  while (now_ns() < end) turn(10);
}

std::vector<std::unique_ptr<Link>> Engine::open_all(Workload &workload, uint32_t count) {
  std::vector<std::unique_ptr<Link>> links;
  std::vector<Link *> opening;
  const uint64_t limit = now_ns() + static_cast<uint64_t>(kOpenTimeoutS * 1e9);
  while (links.size() < count || !opening.empty()) {
    while (links.size() < count && opening.size() < kOpeningAtOnce) {
      links.push_back(std::make_unique<Link>(*this, workload));
      links.back()->connect();
      opening.push_back(links.back().get());
    }
    turn(100);
    opening.erase(std::remove_if(opening.begin(), opening.end(), [](const Link *link) { return link->open(); }),
                  opening.end());
    errno = 0;
    if (now_ns() > limit) die("not every handshake was answered");
  }
  return links;
}

}  // namespace load
