// Watchers come and go on the server's threads; one thread of its own, begun with the first of them, sends to all.
#include "dashboard.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "access.h"
#include "app.h"
#include "http.h"
#include "json.h"
#include "words.h"

namespace tool {
namespace {

// Between two updates, whoever asks for what meanwhile.
constexpr std::chrono::milliseconds kBetweenUpdates{500};
constexpr size_t kMaxWatchers = 8;

// Only their addresses matter: the user pointer of a watcher from its handshake to on_open.
char watcher_mark;
char operator_mark;

constexpr std::string_view kNotHere =
    "The dashboard is for a browser on this machine, at http://127.0.0.1 or http://localhost, with no proxy between; "
    "from elsewhere it "
    "needs --dashboard-token.\n";
constexpr std::string_view kOff =
    "The dashboard is off: this server listens not only on loopback, or trusts a proxy. Start it with "
    "--dashboard-token.\n";

void refuse(wsb_request *request, DashboardAccess access) {
  if (access == DashboardAccess::kOff) return respond_text(request, 403, kOff);
  if (access == DashboardAccess::kNotLocal) return respond_text(request, 403, kNotHere);
  wsb_request_add_header(request, "WWW-Authenticate", "Bearer realm=\"wsbeat\"");
  const bool own = access == DashboardAccess::kNeedsDashboardToken;
  std::string body;
  JsonObject(body).text("needs", own ? "dashboard_token" : "token").end();
  respond(request, 401, "application/json", body + '\n');
}

bool may_watch(DashboardAccess access) {
  return access == DashboardAccess::kWatch || access == DashboardAccess::kOperate;
}

}  // namespace

Dashboard::Dashboard(App &app)
    : app_(app), enabled_(has_dashboard(app.options)), began_(Clock::now()), began_ms_(now_ms()) {}

void Dashboard::judge(wsb_request *request) {
  const DashboardAccess access = judge_dashboard(app_.options, request);
  if (!may_watch(access)) return refuse(request, access);
  wsb_request_authenticate(request);
  wsb_request_set_user(request, access == DashboardAccess::kOperate ? &operator_mark : &watcher_mark);
}

void Dashboard::answer(wsb_request *request) {
  const DashboardAccess access = judge_dashboard(app_.options, request);
  if (!may_watch(access)) return refuse(request, access);
  const bool must_offer = app_.options.config.require_subprotocol != 0;
  std::string body;
  JsonObject(body)
      .boolean("may_close", access == DashboardAccess::kOperate)
      .text("subprotocols", must_offer ? app_.options.subprotocols : "")
      .end();
  respond(request, 200, "application/json", body + '\n');
}

Role Dashboard::role_of(const void *conn_user) {
  if (conn_user == &operator_mark) return Role::kOperator;
  return conn_user == &watcher_mark ? Role::kWatcher : Role::kApplication;
}

void Dashboard::add(const Peer &peer) {
  static constexpr std::string_view kFull = "too many dashboards are open";
  const std::lock_guard<std::mutex> lock(mutex_);
  ++traffic_.opened;
  if (finishing_) return;
  const auto served = std::count_if(watchers_.begin(), watchers_.end(), [](const Watcher &one) { return one.served; });
  const bool serve = static_cast<size_t>(served) < kMaxWatchers;
  watchers_.push_back({peer.conn, Order::kAttention, 0, serve});
  if (!serve) {
    wsb_close(app_.server, peer.conn, WSB_CLOSE_TRY_AGAIN_LATER, kFull.data(), kFull.size());
    return;
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_one();
}

void Dashboard::remove(const wsb_close_event &event) {
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  wsb_conn_get_info(app_.server, event.conn, &info);
  const std::lock_guard<std::mutex> lock(mutex_);
  ++traffic_.closed;
  if (event.clean != 0) ++traffic_.closed_clean;
  traffic_.add(info);
  const auto is_this = [&](const Watcher &watcher) { return watcher.conn == event.conn; };
  watchers_.erase(std::remove_if(watchers_.begin(), watchers_.end(), is_this), watchers_.end());
}

void Dashboard::ended(const wsb_close_event &event) {
  if (enabled_) ends_.add(app_.server, event);
}

bool Dashboard::is_watcher(wsb_conn conn) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::any_of(watchers_.begin(), watchers_.end(), [&](const Watcher &watcher) { return watcher.conn == conn; });
}

uint64_t Dashboard::watching() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return watchers_.size();
}

void Dashboard::finish() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    finishing_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

// ------------------------------------------------------------------------------------------------------------------- updates

void Dashboard::run() {
  pthread_setname_np(pthread_self(), "dashboard");
  Clock::time_point earliest = Clock::now();
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return finishing_ || !watchers_.empty(); });
    changed_.wait_until(lock, earliest, [this] { return finishing_; });
    if (finishing_) return;
    if (watchers_.empty()) continue;
    std::vector<Watcher> watchers = watchers_;
    const WatcherTraffic past = traffic_;
    lock.unlock();
    send_updates(watchers, past);
    earliest = Clock::now() + kBetweenUpdates;
    lock.lock();
    for (Watcher &watcher : watchers_) {
      for (const Watcher &sent : watchers) {
        if (sent.conn == watcher.conn) watcher.ends_seen = sent.ends_seen;
      }
    }
  }
}

// Called without the lock. Who has not taken the last update yet misses this one.
void Dashboard::send_updates(std::vector<Watcher> &watchers, const WatcherTraffic &past) {
  static constexpr std::string_view kTooBig = "an update does not fit --max-queue-bytes";
  std::vector<wsb_conn> conns;
  conns.reserve(watchers.size());
  for (const Watcher &watcher : watchers) conns.push_back(watcher.conn);
  const Survey survey(app_.server, app_.max_queue_bytes, std::move(conns), past);
  const auto uptime = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_).count();
  for (Watcher &watcher : watchers) {
    if (!watcher.served || wsb_buffered_amount(app_.server, watcher.conn) != 0) continue;
    uint64_t seen = watcher.ends_seen;
    const Survey::Frame frame = {began_ms_, static_cast<uint64_t>(uptime), app_.stopping, watcher.order};
    const std::string text = survey.update(frame, ends_, seen);
    const int result = wsb_send(app_.server, watcher.conn, WSB_TEXT, text.data(), text.size());
    if (result == WSB_OK) watcher.ends_seen = seen;
    if (result == WSB_E_TOO_BIG) {
      wsb_close(app_.server, watcher.conn, WSB_CLOSE_MESSAGE_TOO_BIG, kTooBig.data(), kTooBig.size());
    }
  }
}

// -------------------------------------------------------------------------------------------------------------------- orders

void Dashboard::take(const Peer &peer, const wsb_message_event &event) {
  std::string_view rest;
  if (event.kind == WSB_TEXT) rest = {reinterpret_cast<const char *>(event.data), event.length};
  const std::string_view name = take_word(rest);
  if (name == "order") {
    set_order(peer, rest);
  } else if (name == "close") {
    close_connection(peer, rest);
  } else {
    reply(peer, "error", "only \"order NAME\" and \"close CONN CODE REASON\" are understood");
  }
}

// Who does not read gets no answers: nothing is kept for it.
void Dashboard::reply(const Peer &peer, const char *type, const std::string &text) {
  std::string line;
  JsonObject(line).text("type", type).text("text", text).end();
  wsb_send(app_.server, peer.conn, WSB_TEXT, line.data(), line.size());
}

void Dashboard::set_order(const Peer &peer, std::string_view name) {
  const std::optional<Order> order = order_of(name);
  if (!order) return reply(peer, "error", "no such order");
  const std::lock_guard<std::mutex> lock(mutex_);
  for (Watcher &watcher : watchers_) {
    if (watcher.conn == peer.conn) watcher.order = *order;
  }
}

void Dashboard::close_connection(const Peer &peer, std::string_view rest) {
  if (peer.role != Role::kOperator) return reply(peer, "error", "closing connections needs --dashboard-token");
  const std::optional<uint64_t> conn = parse_number(take_word(rest), 1, UINT64_MAX);
  const std::optional<uint64_t> code = parse_number(take_word(rest), 1, 65535);
  if (!conn || !code) return reply(peer, "error", "usage: close CONN CODE REASON");
  const std::string name = "connection " + std::to_string(*conn);
  const int result = is_watcher(*conn)
                         ? static_cast<int>(WSB_E_CLOSED)
                         : wsb_close(app_.server, *conn, static_cast<uint32_t>(*code), rest.data(), rest.size());
  if (result == WSB_OK) {
    app_.say("dashboard: closing " + name + " with " + std::to_string(*code));
    reply(peer, "note", "closing " + name + " with " + std::to_string(*code));
  } else {
    reply(peer, "error",
          name + ": " + (result == WSB_E_INVALID ? wsb_last_error() : "not there any more, or closing already"));
  }
}

}  // namespace tool
