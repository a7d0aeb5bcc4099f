// From the library's callbacks to what each means here.
#include <unistd.h>

#include <exception>
#include <memory>
#include <new>
#include <utility>

#include "app.h"
#include "auth.h"
#include "commands.h"
#include "http.h"
#include "modes.h"
#include "peer.h"
#include "topic_protocol.h"
#include "topics.h"

namespace tool {
namespace {

std::string dropped_log_line(uint64_t count) {
  return "wsbeat-server: " + std::to_string(count) + " log lines were dropped";
}

App &app_of(void *user) {
  return *static_cast<App *>(user);
}

// Nothing may be thrown across the library. What can be thrown here is bad_alloc, and then the one event is what is lost.
template <typename Body>
void guarded(App &app, Body body) noexcept {
  try {
    body();
  } catch (const std::exception &error) {
    try {
      app.say(std::string("error: ") + error.what());
    } catch (const std::exception &) {
      return;
    }
  }
}

// NULL for a connection that on_open could not serve: its pointer is then still that of the handshake.
Peer *peer_of(void *conn_user) {
  return Dashboard::role_of(conn_user) == Role::kApplication ? static_cast<Peer *>(conn_user) : nullptr;
}

// NULL if there is no memory.
Peer *make_peer(App &app, const wsb_open_event &event) noexcept {
  const bool topics = app.options.topics && std::string_view(event.subprotocol) == kTopicSubprotocol;
  try {
    std::unique_ptr<TopicState> state;
    if (topics) state = std::make_unique<TopicState>(app.server, event.conn);
    return new Peer(event.conn, Dashboard::role_of(event.conn_user), app.options.config.auth_timeout_ms == 0,
                    std::move(state));
  } catch (const std::bad_alloc &) {
    return nullptr;
  }
}

void on_handshake(const wsb_handshake_event *event, void *user) {
  App &app = app_of(user);
  if (wsb_request_path(event->request) == kDashboardPath) {
    guarded(app, [&] { app.dashboard.judge(event->request); });
  } else {
    judge_handshake(app.options, event->request);
  }
}

void on_http(const wsb_http_event *event, void *user) {
  guarded(app_of(user), [&] { answer_http(app_of(user), event->request); });
}

void on_open(const wsb_open_event *event, void *user) {
  App &app = app_of(user);
  Peer *const peer = make_peer(app, *event);
  if (peer == nullptr || wsb_conn_set_user(app.server, event->conn, peer) != WSB_OK) {
    delete peer;
    wsb_abort(app.server, event->conn);
    return;
  }
  guarded(app, [&] {
    if (peer->role != Role::kApplication) return app.dashboard.add(*peer);
    app.events.open(*event);
    if (peer->authenticated && !peer->topics && app.options.mode == Mode::kBroadcast) app.registry.add(event->conn);
  });
}

// The way of every message: no lock, no allocation, no formatting before the library's own send.
void on_message(const wsb_message_event *event, void *user) {
  App &app = app_of(user);
  Peer *const peer = peer_of(event->conn_user);
  if (peer == nullptr) return;
  guarded(app, [&] {
    if (peer->role != Role::kApplication) return app.dashboard.take(*peer, *event);
    if (app.takes_orders && take_order(app, *peer, *event)) return;
    if (peer->topics) return take_topic_message(app, *peer, *event);
    switch (app.options.mode) {
      case Mode::kEcho:
        send_or_hold(app, *peer, event->kind, event->data, event->length);
        break;
      case Mode::kBroadcast:
        broadcast(app, *event);
        break;
      case Mode::kSink:
        break;
    }
  });
}

void on_pong(const wsb_pong_event *event, void *user) {
  const Peer *const peer = peer_of(event->conn_user);
  if (peer == nullptr || peer->role != Role::kApplication) return;
  guarded(app_of(user), [&] { app_of(user).events.pong(*event); });
}

void on_drain(const wsb_drain_event *event, void *user) {
  Peer *const peer = peer_of(event->conn_user);
  if (peer != nullptr) drain(app_of(user), *peer);
}

void on_close(const wsb_close_event *event, void *user) {
  App &app = app_of(user);
  Peer *const peer = peer_of(event->conn_user);
  if (peer == nullptr ? event->conn_user != nullptr : peer->role != Role::kApplication) {
    guarded(app, [&] { app.dashboard.remove(*event); });
  } else {
    guarded(app, [&] {
      app.events.close(*event);
      app.dashboard.ended(*event);
    });
  }
  if (app.options.mode == Mode::kBroadcast) app.registry.remove(event->conn);
  if (peer != nullptr) app.timers.forget(*peer);
  delete peer;
}

void on_refused(const wsb_refused_event *event, void *user) {
  guarded(app_of(user), [&] { app_of(user).events.refused(*event); });
}

void on_log(const wsb_log_event *event, void *user) {
  static const char *const levels[] = {"log", "error", "warning", "info", "debug"};
  App &app = app_of(user);
  guarded(app, [&] {
    std::string line = levels[event->level <= WSB_LOG_DEBUG ? event->level : 0];
    line += std::string(": ") + event->text;
    if (event->conn != 0) line += " (connection " + std::to_string(event->conn) + ")";
    app.say(line);
  });
}

int on_subscribe(const wsb_subscribe_event *event, void *user) {
  return judge_subscription(app_of(user).options, *event);
}

void on_resumed(const wsb_resumed_event *event, void *user) {
  Peer *const peer = peer_of(event->conn_user);
  if (peer != nullptr) guarded(app_of(user), [&] { take_resumed(*peer, *event); });
}

wsb_message *on_durable(const wsb_durable_event *event, void *user) {
  wsb_message *message = nullptr;
  guarded(app_of(user), [&] { message = message_of(*event); });
  return message;
}

wsb_message *on_presence(const wsb_presence_event *event, void *user) {
  wsb_message *message = nullptr;
  guarded(app_of(user), [&] { message = message_of(*event); });
  return message;
}

}  // namespace

App::App(Options parsed)
    : options(std::move(parsed)),
      takes_orders(options.commands || options.config.auth_timeout_ms != 0),
      max_queue_bytes(options.library_config().max_queue_bytes),
      log(STDERR_FILENO, dropped_log_line, [](const std::string &) {}),
      events(options.events,
             [this](const std::string &why) {
               // Even with --quiet: who asked for events must learn that they end.
               log.write("wsbeat-server: cannot write events to stdout: " + why + "; going on without");
             }),
      dashboard(*this) {}

void App::say(const std::string &text) {
  if (!options.quiet) log.write("wsbeat-server: " + text);
}

wsb_callbacks make_callbacks(App &app) {
  wsb_callbacks callbacks;
  wsb_callbacks_init(&callbacks);
  callbacks.user = &app;
  callbacks.on_handshake = on_handshake;
  callbacks.on_http = on_http;
  callbacks.on_open = on_open;
  callbacks.on_message = on_message;
  callbacks.on_drain = on_drain;
  callbacks.on_close = on_close;
  if (app.events.enabled()) {
    callbacks.on_pong = on_pong;
    callbacks.on_refused = on_refused;
  }
  if (app.options.topics) {
    callbacks.on_subscribe = on_subscribe;
    callbacks.on_resumed = on_resumed;
    callbacks.on_durable = on_durable;
    callbacks.on_presence = on_presence;
  }
  if (!app.options.quiet) callbacks.on_log = on_log;
  return callbacks;
}

}  // namespace tool
