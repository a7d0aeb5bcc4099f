// One function per command. A malformed command is answered with a text that begins with "error: ".
#include "commands.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth.h"
#include "conn_json.h"
#include "modes.h"
#include "words.h"

namespace tool {
namespace {

constexpr uint64_t kMaxPauseMs = 3600000;
constexpr uint64_t kMaxFloodMessages = 10000000;
constexpr uint64_t kFrameHeadBytes = 10;  // RFC 6455, 5.2: largest head of an unmasked frame

struct Command {
  const char *name;
  void (*run)(App &app, Peer &peer, std::string_view rest);
};

void reply_error(App &app, Peer &peer, const std::string &text) {
  reply(app, peer, "error: " + text);
}

void close_with(App &app, Peer &peer, uint32_t code, std::string_view reason) {
  wsb_close(app.server, peer.conn, code, reason.data(), reason.size());
}

void run_close(App &app, Peer &peer, std::string_view rest) {
  uint32_t code = 0;  // without a number: a Close without a code
  if (!rest.empty()) {
    const std::optional<uint64_t> number = parse_number(take_word(rest), 1, 65535);
    if (!number) return reply_error(app, peer, "usage: /close CODE REASON");
    code = static_cast<uint32_t>(*number);
  }
  if (wsb_close(app.server, peer.conn, code, rest.data(), rest.size()) == WSB_E_INVALID) {
    reply_error(app, peer, wsb_last_error());
  }
}

void run_abort(App &app, Peer &peer, std::string_view rest) {
  if (!rest.empty()) return reply_error(app, peer, "usage: /abort");
  wsb_abort(app.server, peer.conn);
}

void run_ping(App &app, Peer &peer, std::string_view rest) {
  const std::string payload = rest.empty() ? "ping " + std::to_string(++peer.pings) : std::string(rest);
  const int result = wsb_ping(app.server, peer.conn, payload.data(), payload.size());
  if (result == WSB_E_INVALID || result == WSB_E_FULL) reply_error(app, peer, wsb_last_error());
}

void run_pause(App &app, Peer &peer, std::string_view rest) {
  const std::optional<uint64_t> duration_ms = parse_number(rest, 1, kMaxPauseMs);
  if (!duration_ms) return reply_error(app, peer, "usage: /pause MS (1 to " + std::to_string(kMaxPauseMs) + ")");
  app.timers.pause_for(app.server, peer, std::chrono::milliseconds(*duration_ms));
}

void run_flood(App &app, Peer &peer, std::string_view rest) {
  const std::optional<uint64_t> count = parse_number(take_word(rest), 1, kMaxFloodMessages);
  const uint64_t largest = app.max_queue_bytes - kFrameHeadBytes;
  const std::optional<uint64_t> bytes = parse_number(rest, 0, largest);
  if (!count || !bytes) {
    return reply_error(app, peer,
                       "usage: /flood COUNT BYTES (1 to " + std::to_string(kMaxFloodMessages) + " messages, 0 to " +
                           std::to_string(largest) + " bytes)");
  }
  const std::vector<unsigned char> payload(static_cast<size_t>(*bytes), 'f');
  wsb_message *message = wsb_message_create(WSB_BINARY, payload.data(), payload.size());
  if (message == nullptr) return reply_error(app, peer, wsb_last_error());
  if (!start_flood(app, peer, message, *count)) reply_error(app, peer, "a flood is going on");
}

void run_auth(App &app, Peer &peer, std::string_view token) {
  if (!token_fits(app.options, token)) return close_with(app, peer, WSB_CLOSE_POLICY_VIOLATION, "wrong token");
  if (!peer.authenticated) {
    peer.authenticated = true;
    wsb_conn_authenticate(app.server, peer.conn);
    if (!peer.topics && app.options.mode == Mode::kBroadcast) app.registry.add(peer.conn);
  }
  reply(app, peer, "ok");
}

void run_info(App &app, Peer &peer, std::string_view rest) {
  if (!rest.empty()) return reply_error(app, peer, "usage: /info");
  std::string text;
  if (append_conn_json(text, app.server, peer.conn)) reply(app, peer, text);
}

constexpr Command kCommands[] = {
    {"/close", run_close}, {"/abort", run_abort}, {"/ping", run_ping}, {"/pause", run_pause},
    {"/flood", run_flood}, {"/auth", run_auth},   {"/info", run_info},
};

}  // namespace

bool take_order(App &app, Peer &peer, const wsb_message_event &event) {
  const bool is_order = event.kind == WSB_TEXT && event.length > 0 && event.data[0] == '/';
  std::string_view rest = is_order ? std::string_view(reinterpret_cast<const char *>(event.data), event.length) : "";
  const std::string_view name = take_word(rest);
  if (name == "/auth") {
    run_auth(app, peer, rest);
    return true;
  }
  if (!peer.authenticated) {
    close_with(app, peer, WSB_CLOSE_POLICY_VIOLATION, "not authenticated");
    return true;
  }
  if (!is_order || !app.options.commands) return false;
  const auto *const command = std::find_if(std::begin(kCommands), std::end(kCommands),
                                           [&](const Command &candidate) { return name == candidate.name; });
  if (command == std::end(kCommands)) {
    reply_error(app, peer, "unknown command " + std::string(name.substr(0, 64)));
  } else {
    command->run(app, peer, rest);
  }
  return true;
}

}  // namespace tool
