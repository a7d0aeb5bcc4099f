// One server: its library handle, its connections' objects, and the way of events into Python. In engine.cpp (life), dispatch.cpp (events in),
// outgoing.cpp (messages out), topics.cpp, durable.cpp, nats.cpp, requests.cpp (handshakes on the workers' threads), lifetime.cpp (exit and fork).
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "connection.h"
#include "python.h"
#include "wsbeat/nats.h"

namespace binding {

// Python callables, by the name under which set_handlers takes them.
#define BINDING_HANDLERS(XX) \
  XX(open)                   \
  XX(message)                \
  XX(pong)                   \
  XX(drain)                  \
  XX(close)                  \
  XX(refused) XX(log) XX(error) XX(closed) XX(handshake) XX(http) XX(subscribe) XX(resumed) XX(durable) XX(presence)

enum class Handler : uint8_t {
#define BINDING_XX(name) name,
  BINDING_HANDLERS(BINDING_XX)
#undef BINDING_XX
      count_
};

// A handler makes what is sent of a message, on a thread and under locks of the library: it must not call the server.
class Formatting {
 public:
  static constexpr const char* kRefusal = "on_durable and on_presence only make messages: they cannot use the server";
  Formatting() noexcept { ++depth_; }
  ~Formatting() { --depth_; }
  Formatting(const Formatting&) = delete;
  Formatting& operator=(const Formatting&) = delete;
  static bool under_way() noexcept { return depth_ != 0; }

 private:
  static inline thread_local int depth_ = 0;
};

// A publication to a durable topic, until it is known what became of it. Everything but what on_stored sets is touched with the
// interpreter's lock.
struct Pending {
  Engine* engine = nullptr;
  Pending* next = nullptr;
  Ref future;  // none until publish() has taken the interpreter's lock again
  int32_t result = 0;
  bool duplicate = false;
  bool told = false;  // and was left to publish()
  uint64_t sequence = 0;
};

class Engine {
 public:
  Engine(const py::dict& settings, py::object connection_class);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // -- from Python
  void set_handlers(const py::dict& handlers);
  void attach(const py::object& loop, uint32_t max_queue);
  void join_nats(const std::string& library, const py::dict& options);
  void start();
  py::tuple stop(uint32_t code, const py::str& reason, uint32_t deadline_ms, uint32_t spread_ms);
  void request_stop(uint32_t code, const py::str& reason, uint32_t deadline_ms, uint32_t spread_ms);
  void reload_tls(const py::object& cert_file, const py::object& key_file);
  uint32_t port() const;
  int event_fd() const;
  py::dict metrics() const;
  py::str metrics_text() const;
  py::list connections() const;
  bool dispatch();  // what waits now; false after the server's last event
  void serve();     // until the server's last event
  void flush();
  // (reached, refused, the backplane's error or 0, what `future` made if the message is to be stored, else None)
  py::tuple publish(const py::object& topic, const py::object& message, bool retain, const py::object& exclude,
                    bool local, const py::object& key, const py::object& future);
  py::list members(const py::object& topic) const;
  int stored_fd() const noexcept { return stored_fd_; }  // readable: deliver_stored() has something to do; -1: never
  void deliver_stored();
  bool on_event_thread() const noexcept { return PyThread_get_thread_ident() == dispatcher_; }

  // -- for connections, with the interpreter's lock
  wsb_server* server() const noexcept { return server_; }
  bool usable() const noexcept;  // false in a forked child
  // 0 taken, WSB_E_FULL (nothing taken, on_drain will come), or another error: all without a Python error set.
  int send(Connection* connection, Payload&& payload);
  // The future for a recv() that has to wait. nullptr with a Python error.
  PyObject* create_future() const noexcept;
  PyObject* handler(Handler which) const noexcept { return handlers_[static_cast<size_t>(which)]; }
  void resume_if_low(Connection* connection) noexcept;
  uint64_t max_queue_bytes() const noexcept { return max_queue_bytes_; }

  // -- all servers
  static size_t broadcast(const std::vector<Ref>& connections, const Payload& payload);  // how many it was queued for
  static void stop_all();                                                                // at exit
  static uint32_t forks() noexcept;                                                      // that led to this process
  static bool exiting() noexcept;
  bool in_forked_child() const noexcept;
  int traverse(visitproc visit, void* arg) const;
  void clear() noexcept;

 private:
  struct Outgoing {
    Connection* connection;  // owned
    Payload payload;
  };

  void enlist();
  void unlist() noexcept;
  static void on_handshake(const wsb_handshake_event* event, void* user) noexcept;
  static void on_http(const wsb_http_event* event, void* user) noexcept;
  static int on_subscribe(const wsb_subscribe_event* event, void* user) noexcept;
  static wsb_message* on_durable(const wsb_durable_event* event, void* user) noexcept;
  static wsb_message* on_presence(const wsb_presence_event* event, void* user) noexcept;
  template <typename Arguments>
  wsb_message* format(Handler which, Arguments&& arguments) noexcept;
  static void on_stored(const wsb_stored_event* event, void* context) noexcept;
  py::object expect(Pending* pending, const py::object& factory);
  static void settle(std::unique_ptr<Pending> pending) noexcept;
  bool ask_python(wsb_request* request, RequestHead* head, Handler which) noexcept;
  void keep_head(RequestHead* head) noexcept;
  void release_head(RequestHead* head) noexcept;

  void check_usable() const;
  PyObject* self() const;  // borrowed
  bool fetch();            // takes the next batch; false: none
  void drop_batch() noexcept;
  bool process();  // false: a Python error that must go on
  bool handle(const wsb_event& event);
  void opened(const wsb_open_event& event);
  void message(Connection* connection, const wsb_message_event& event);
  void pong(Connection* connection, const wsb_pong_event& event);
  void drained(Connection* connection);
  void closed(Connection* connection, const wsb_close_event& event);
  void resumed(Connection* connection, const wsb_resumed_event& event);
  void stopped();
  void refused(const wsb_refused_event& event);
  void log(const wsb_log_event& event);
  void wake_receiver(Connection* connection);
  void call(Connection* about, Handler which, std::initializer_list<PyObject*> arguments);
  void report(Connection* about, Handler which);
  Connection* find(uint64_t id) const noexcept;
  void forget_all() noexcept;

  bool defers() const noexcept;
  int send_now(Connection* connection, const Payload& payload) noexcept;
  void schedule_flush();
  void wait_for_turn(uint64_t turn) noexcept;
  void end_turn() noexcept;
  void send_collected(std::vector<Outgoing>& messages) noexcept;
  void fail(Connection* connection) noexcept;
  void keep_refused(Connection* connection, Payload&& payload);
  bool retry_refused(Connection* connection);

  wsb_server* server_ = nullptr;
  Ref connection_class_;
  std::array<PyObject*, static_cast<size_t>(Handler::count_)> handlers_{};
  std::unordered_map<uint64_t, Connection*> connections_;  // owned, from open to close
  uint64_t max_queue_bytes_;

  wsb_batch* batch_ = nullptr;
  size_t batch_at_ = 0;
  bool dispatching_ = false;
  bool stopped_ = false;
  unsigned long dispatcher_ = 0;  // its thread

  Ref loop_;
  Ref create_future_;
  Ref call_soon_;
  Ref flush_callback_;
  uint32_t max_queue_ = 0;
  bool flush_scheduled_ = false;
  std::vector<Outgoing> outgoing_;
  size_t outgoing_bytes_ = 0;
  // Flushes of several threads leave in the order in which they took what was collected. Changed with both the interpreter's lock and the mutex.
  std::mutex turn_mutex_;
  std::condition_variable turn_changed_;
  uint64_t turn_ = 0;
  uint64_t next_turn_ = 0;

  std::atomic<bool> asks_handshake_{false};
  std::atomic<bool> asks_http_{false};
  std::atomic<bool> asks_subscribe_{false};
  std::atomic<bool> asks_durable_{false};
  std::atomic<bool> asks_presence_{false};
  std::mutex heads_mutex_;
  RequestHead* heads_ = nullptr;

  // Durable publications whose end was told by a thread of the backplane.
  std::mutex stored_mutex_;
  Pending* stored_ = nullptr;  // newest first, owned
  int stored_fd_ = -1;

  const uint32_t generation_;  // forks before it was made
  int dispatchers_ = 0;        // threads inside serve()
};

// A class of the package's Python files; nullptr with a Python error. New reference.
PyObject* package_type(const char* module, const char* name);

// `texts` keeps what the strings point to.
void add_settings_to(wsb_config& config, const py::dict& settings, std::vector<std::string>& texts);
void add_settings_to(wsb_nats_options& options, const py::dict& settings, std::vector<std::string>& texts);

bool topic_covers(const py::object& pattern, const py::object& other);

}  // namespace binding
