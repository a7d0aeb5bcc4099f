// Negotiation of permessage-deflate (RFC 7692, section 7.1): the client's Sec-WebSocket-Extensions judged, ours
// written.
#include <algorithm>

#include "core/deflate.h"
#include "core/request.h"

namespace wsb::core {

namespace {

constexpr std::string_view kExtension = "permessage-deflate";
constexpr std::string_view kServerNoTakeover = "server_no_context_takeover";
constexpr std::string_view kClientNoTakeover = "client_no_context_takeover";
constexpr std::string_view kServerBits = "server_max_window_bits";
constexpr std::string_view kClientBits = "client_max_window_bits";

constexpr uint8_t kLeastWindowBits = 8;  // RFC 7692, 7.1.2
constexpr uint8_t kMostWindowBits = 15;
constexpr uint8_t kLeastZlibBits = 9;  // zlib cannot deflate with 8

// Reads the grammar of RFC 6455, 9.1, with blanks allowed between all its parts as RFC 2616 did.
class Scanner {
 public:
  explicit Scanner(std::string_view text) noexcept : rest_(text) {}

  bool at_end() noexcept {
    skip_blanks();
    return rest_.empty();
  }
  bool take(char c) noexcept {
    skip_blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool token(std::string_view& out) noexcept {
    skip_blanks();
    out = rest_.substr(0, rest_.find_first_of(" \t,;=\""));
    rest_.remove_prefix(out.size());
    return is_token(out);
  }
  // A token, or a quoted string whose content is one once its backslashes are gone.
  bool value(std::string& out) {
    if (!take('"')) {
      std::string_view plain;
      const bool ok = token(plain);
      out = plain;
      return ok;
    }
    out.clear();
    while (!rest_.empty()) {
      if (rest_.front() == '"') {
        rest_.remove_prefix(1);
        return is_token(out);
      }
      if (rest_.front() == '\\') rest_.remove_prefix(1);
      if (rest_.empty()) break;
      out += rest_.front();
      rest_.remove_prefix(1);
    }
    return false;
  }

 private:
  void skip_blanks() noexcept { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size())); }

  std::string_view rest_;
};

// One extension of the list; `acceptable` until a parameter says otherwise.
struct Offer {
  bool acceptable = true;
  bool server_no_takeover = false;
  bool client_no_takeover = false;
  bool client_bits_offered = false;
  uint8_t server_bits = 0;  // 0: not asked
  uint8_t client_bits = kMostWindowBits;
};

// 8 to 15 without leading zeros, else 0.
uint8_t window_bits(std::string_view text) noexcept {
  if (text == "8") return kLeastWindowBits;
  if (text == "9") return kLeastZlibBits;
  if (text.size() == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5')
    return static_cast<uint8_t>(10 + text[1] - '0');
  return 0;
}

bool set_once(bool& flag) noexcept {
  return !std::exchange(flag, true);
}

bool apply_parameter(Offer& offer, std::string_view name, bool has_value, std::string_view value) noexcept {
  if (name == kServerNoTakeover) return !has_value && set_once(offer.server_no_takeover);
  if (name == kClientNoTakeover) return !has_value && set_once(offer.client_no_takeover);
  if (name == kServerBits) {
    if (offer.server_bits != 0) return false;
    offer.server_bits = window_bits(value);
    return offer.server_bits >= kLeastZlibBits;
  }
  if (name == kClientBits) {
    if (has_value) offer.client_bits = window_bits(value);
    return set_once(offer.client_bits_offered) && offer.client_bits != 0;
  }
  return false;
}

// False if the text is not well-formed.
bool read_offer(Scanner& scanner, Offer& offer) {
  std::string_view name;
  if (!scanner.token(name)) return false;
  offer.acceptable = name == kExtension;
  while (scanner.take(';')) {
    std::string value;
    if (!scanner.token(name)) return false;
    const bool has_value = scanner.take('=');
    if (has_value && !scanner.value(value)) return false;
    offer.acceptable = offer.acceptable && apply_parameter(offer, name, has_value, value);
  }
  return true;
}

DeflateParams agree(const Offer& offer, const DeflateConfig& config) noexcept {
  DeflateParams params;
  params.agreed = true;
  params.server_no_context_takeover = offer.server_no_takeover || config.server_no_context_takeover;
  params.client_no_context_takeover = offer.client_no_takeover || config.client_no_context_takeover;
  params.server_max_window_bits = config.server_max_window_bits;
  if (offer.server_bits != 0)
    params.server_max_window_bits = std::min(offer.server_bits, config.server_max_window_bits);
  if (offer.client_bits_offered)
    params.client_max_window_bits = std::min(offer.client_bits, config.client_max_window_bits);
  return params;
}

std::string answer(const Offer& offer, const DeflateParams& params) {
  std::string text(kExtension);
  const auto add = [&text](std::string_view name) { text.append("; ").append(name); };
  if (params.server_no_context_takeover) add(kServerNoTakeover);
  if (params.client_no_context_takeover) add(kClientNoTakeover);
  // A window that the client asked for must be confirmed; one of our own wish may be told unasked (7.1.2.1).
  if (offer.server_bits != 0 || params.server_max_window_bits < kMostWindowBits) {
    add(kServerBits);
    text.append("=").append(std::to_string(params.server_max_window_bits));
  }
  if (params.client_max_window_bits < kMostWindowBits) {
    add(kClientBits);
    text.append("=").append(std::to_string(params.client_max_window_bits));
  }
  return text;
}

}  // namespace

bool negotiate_deflate(std::string_view offers, const DeflateConfig& config, DeflateParams& out,
                       std::string& response) {
  out = DeflateParams{};
  Scanner scanner(offers);
  Offer taken;
  bool found = false;
  while (!scanner.at_end()) {
    if (scanner.take(',')) continue;  // empty members are allowed in lists
    Offer offer;
    if (!read_offer(scanner, offer)) return false;
    if (!scanner.at_end() && !scanner.take(',')) return false;
    if (offer.acceptable && !found) {
      taken = offer;
      found = true;
    }
  }
  if (!found || !config.enabled) return true;
  out = agree(taken, config);
  response = answer(taken, out);
  return true;
}

}  // namespace wsb::core
