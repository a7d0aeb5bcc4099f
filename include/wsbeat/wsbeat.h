/*
 * wsbeat: an embeddable WebSocket server (RFC 6455, RFC 7692).
 *
 * You always know which connections are alive, and why each of the others ended.
 *
 * Threads. Every function may be called from any thread unless it says otherwise; none needs a lock of yours.
 *   Callbacks run on the worker thread that owns the connection, with no library lock held and never two at once for one
 *   connection; they may call any function here except wsb_server_start, _run, _stop and _destroy.
 * Lifetime. Servers are pointers: you create and destroy them. Connections are 64-bit ids: the network may end them at any
 *   moment, so a stale id is an error code, never a crash, and no id is ever used twice by one server.
 *   Pointers inside an event are valid during the callback only, or until the batch is released (queue delivery).
 * Structs. Each begins with `size`; set it with the matching *_init function. Zero and NULL always mean "the default". Fields are
 *   only ever appended: a shorter struct of an older caller keeps working, and a longer one of a newer caller is refused if it
 *   uses a field that this library does not know.
 * Errors. Functions that can fail return WSB_OK (0) or a negative wsb_error; wsb_last_error() has this thread's detail.
 * Text is UTF-8. Durations are milliseconds (`_ms`) or microseconds (`_us`), sizes are bytes (`_bytes`).
 */
#ifndef WSBEAT_WSBEAT_H
#define WSBEAT_WSBEAT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wsbeat/export.h"
#include "wsbeat/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------------------------------------------- errors */

/* Every error: name, value, text. The one list from which the enum, wsb_strerror and language bindings are made. */
#define WSB_ERROR_MAP(XX)                                                   \
  XX(INVALID, -1, "invalid argument")                                       \
  XX(CONFIG, -2, "configuration refused")                                   \
  XX(NOMEM, -3, "out of memory")                                            \
  XX(CLOSED, -4, "no such connection, or it is closing or closed")          \
  XX(FULL, -5, "send queue full; nothing was queued, on_drain will follow") \
  XX(TOO_BIG, -6, "larger than the limit allows")                           \
  XX(STATE, -7, "not possible in the server's present state")               \
  XX(IN_CALLBACK, -8, "not allowed on a worker thread of this server")      \
  XX(ADDRESS, -9, "cannot listen on this address")                          \
  XX(TLS, -10, "certificate, key or TLS setting refused")                   \
  XX(VERSION, -11, "library versions do not fit together")                  \
  XX(SYSTEM, -12, "the operating system refused")                           \
  XX(INTERNAL, -13, "internal error")                                       \
  XX(LIMIT, -14, "a limit of the configuration is reached")                 \
  XX(REFUSED, -15, "refused by the application")                            \
  XX(NOT_SUBSCRIBED, -16, "the connection has no such subscription")

typedef enum wsb_error {
  WSB_OK = 0,
#define WSB_XX(name, value, text) WSB_E_##name = value,
  WSB_ERROR_MAP(WSB_XX)
#undef WSB_XX
      WSB_E_LAST_ = -17
} wsb_error;

/* A short English text for an error code; never NULL, static storage. Unknown codes give "unknown error". */
WSB_API const char *wsb_strerror(int error) WSB_NOEXCEPT;

/* Details of the last failed call on this thread (which field, which file, what the system said), "" before any. Never NULL;
 * valid until the next wsbeat call on this thread. Successful calls leave it alone. */
WSB_API const char *wsb_last_error(void) WSB_NOEXCEPT;

/* Version of the loaded library: WSB_VERSION_NUMBER and WSB_VERSION_STRING as it was built. */
WSB_API uint32_t wsb_version_number(void) WSB_NOEXCEPT;
WSB_API const char *wsb_version_string(void) WSB_NOEXCEPT;

/* ----------------------------------------------------------------------------------------------------------------- names */

typedef struct wsb_server wsb_server;   /* created and destroyed by you */
typedef struct wsb_message wsb_message; /* reference-counted, immutable: see wsb_message_create */
typedef struct wsb_request wsb_request; /* valid during on_handshake or on_http only */
typedef struct wsb_batch wsb_batch;     /* events handed over by wsb_server_next_events, yours until released */
typedef uint64_t wsb_conn;              /* a connection; 0 is none; never reused by the same server */

/* Switches an optional duration off where 0 means "the default" (heartbeat_interval_ms, tcp_user_timeout_ms). */
#define WSB_OFF UINT32_MAX

/* Message kinds (RFC 6455, 5.6); the values are the opcodes. */
enum { WSB_TEXT = 1, WSB_BINARY = 2 };

/* What proves that a peer lives. */
enum {
  WSB_LIVENESS_ANY = 0, /* any byte from the peer after the ping (default) */
  WSB_LIVENESS_PONG = 1 /* only the pong that carries this ping's payload */
};

/* What happens when a connection's send queue is full. */
enum {
  WSB_SLOW_REFUSE = 0,     /* wsb_send returns WSB_E_FULL and queues nothing (default) */
  WSB_SLOW_CLOSE = 1,      /* the connection is closed with 1013, cause slow consumer */
  WSB_SLOW_DROP_OLDEST = 2 /* the oldest whole messages not yet on the wire make room */
};

/* How events reach the application. */
enum {
  WSB_DELIVERY_CALLBACKS = 0, /* on the connection's worker thread (default) */
  WSB_DELIVERY_QUEUE = 1      /* wsb_server_event_fd and wsb_server_next_events */
};

/* The PROXY protocol, versions 1 and 2, of load balancers (wsb_config). Whether a header comes is never guessed. */
enum {
  WSB_PROXY_PROTOCOL_OFF = 0,     /* no header is read (default) */
  WSB_PROXY_PROTOCOL_TRUSTED = 1, /* connections from trusted_proxies begin with one, all others do not */
  WSB_PROXY_PROTOCOL_REQUIRED = 2 /* as TRUSTED, and connections from anywhere else are ended at once */
};

/* Client certificates (TLS). */
enum { WSB_CLIENT_CERT_NONE = 0, WSB_CLIENT_CERT_OPTIONAL = 1, WSB_CLIENT_CERT_REQUIRED = 2 };

/* Close codes (RFC 6455, 7.4.1, and the IANA registry). 1005 and 1006 are never on the wire. */
enum {
  WSB_CLOSE_NORMAL = 1000,
  WSB_CLOSE_GOING_AWAY = 1001,
  WSB_CLOSE_PROTOCOL_ERROR = 1002,
  WSB_CLOSE_UNSUPPORTED_DATA = 1003,
  WSB_CLOSE_NO_STATUS = 1005, /* their Close carried no code */
  WSB_CLOSE_ABNORMAL = 1006,  /* no Close came */
  WSB_CLOSE_INVALID_DATA = 1007,
  WSB_CLOSE_POLICY_VIOLATION = 1008,
  WSB_CLOSE_MESSAGE_TOO_BIG = 1009,
  WSB_CLOSE_MANDATORY_EXTENSION = 1010,
  WSB_CLOSE_INTERNAL_ERROR = 1011,
  WSB_CLOSE_SERVICE_RESTART = 1012,
  WSB_CLOSE_TRY_AGAIN_LATER = 1013,
  WSB_CLOSE_BAD_GATEWAY = 1014
};

/* Why a connection ended. Exactly one per connection. wsb_cause_name gives the lower-case name. */
#define WSB_CAUSE_MAP(XX)                       \
  XX(PEER_CLOSE, 1, "peer_close")               \
  XX(LOCAL_CLOSE, 2, "local_close")             \
  XX(HEARTBEAT_TIMEOUT, 3, "heartbeat_timeout") \
  XX(NETWORK_ERROR, 4, "network_error")         \
  XX(PROTOCOL_ERROR, 5, "protocol_error")       \
  XX(INVALID_TEXT, 6, "invalid_text")           \
  XX(MESSAGE_TOO_BIG, 7, "message_too_big")     \
  XX(SLOW_CONSUMER, 8, "slow_consumer")         \
  XX(AUTH_TIMEOUT, 9, "auth_timeout")           \
  XX(IDLE_TIMEOUT, 10, "idle_timeout")          \
  XX(SERVER_STOP, 11, "server_stop")            \
  XX(CLOSE_TIMEOUT, 12, "close_timeout")

enum {
#define WSB_XX(name, value, text) WSB_CAUSE_##name = value,
  WSB_CAUSE_MAP(WSB_XX)
#undef WSB_XX
      WSB_CAUSE_LAST_ = 12
};

/* Who ended it. */
enum { WSB_INITIATOR_LOCAL = 1, WSB_INITIATOR_REMOTE = 2, WSB_INITIATOR_NETWORK = 3 };

/* Why a handshake was refused. wsb_refusal_name gives the lower-case name. */
#define WSB_REFUSAL_MAP(XX)                                                                      \
  XX(BAD_REQUEST, 1, "bad_request")       /* 400, 405, 505: not a correct handshake */           \
  XX(HEADER_TOO_BIG, 2, "header_too_big") /* 431 */                                              \
  XX(TIMEOUT, 3, "timeout")               /* 408: no complete request in handshake_timeout_ms */ \
  XX(VERSION, 4, "version")               /* 426: Sec-WebSocket-Version is not 13 */             \
  XX(ORIGIN, 5, "origin")                 /* 403 */                                              \
  XX(SUBPROTOCOL, 6, "subprotocol")       /* 400, with the list that is spoken */                \
  XX(CONNECTIONS, 7, "connections")       /* 503: max_connections */                             \
  XX(ADDRESS, 8, "address")               /* 429: max_connections_per_address */                 \
  XX(STOPPING, 9, "stopping")             /* 503: the server is stopping */                      \
  XX(UNAUTHORIZED, 10, "unauthorized")    /* 401 by the application */                           \
  XX(APPLICATION, 11, "application")      /* any other answer of on_handshake */                 \
  XX(PROXY_HEADER, 12, "proxy_header")    /* nothing is answered: no or a malformed PROXY header */

enum {
#define WSB_XX(name, value, text) WSB_REFUSAL_##name = value,
  WSB_REFUSAL_MAP(WSB_XX)
#undef WSB_XX
      WSB_REFUSAL_LAST_ = 12
};

/* States of a connection as wsb_conn_info reports them. */
enum { WSB_STATE_OPEN = 1, WSB_STATE_CLOSING = 2, WSB_STATE_CLOSED = 3 };

/* Log levels. */
enum { WSB_LOG_ERROR = 1, WSB_LOG_WARNING = 2, WSB_LOG_INFO = 3, WSB_LOG_DEBUG = 4 };

/* Names of the values above ("peer_close", "local", "origin", "open"); "unknown" for other numbers. Static storage. */
WSB_API const char *wsb_cause_name(uint32_t cause) WSB_NOEXCEPT;
WSB_API const char *wsb_initiator_name(uint32_t initiator) WSB_NOEXCEPT;
WSB_API const char *wsb_refusal_name(uint32_t refusal) WSB_NOEXCEPT;
WSB_API const char *wsb_state_name(uint32_t state) WSB_NOEXCEPT;

/* --------------------------------------------------------------------------------------------------------- configuration */

/*
 * Everything is optional. Numbers: 0 is the default given in the comment as "default D, A..B"; a value outside A..B makes
 * wsb_server_create fail with WSB_E_CONFIG and a text that names the field. All strings are copied by wsb_server_create.
 */
typedef struct wsb_config {
  size_t size;

  /* Where to listen: the first of listen_fd, unix_path, host and port that is set. */
  const char *host;      /* name or address, IPv4 or IPv6; NULL: "127.0.0.1". "::" takes IPv4 too, "0.0.0.0" IPv4 only */
  uint32_t port;         /* 0..65535; 0: any free port, see wsb_server_port */
  int32_t listen_fd;     /* an inherited, listening stream socket; 0: none. Stays yours: the library uses a duplicate */
  const char *unix_path; /* Unix socket; a stale socket file there is replaced, and removed at the end */
  uint32_t backlog;      /* default 1024, 1..65535: pending connections in the kernel */
  uint32_t workers;      /* default 1, 1..64: threads, each with its own event loop */
  uint32_t delivery;     /* WSB_DELIVERY_CALLBACKS or WSB_DELIVERY_QUEUE */
  uint32_t log_level;    /* default WSB_LOG_WARNING, 1..4: what reaches on_log */

  /* TLS: both files or neither. PEM. */
  const char *tls_cert_file; /* certificate chain, leaf first */
  const char *tls_key_file;  /* private key */
  const char *tls_ca_file;   /* trusted issuers of client certificates; needed unless tls_client_cert is NONE */
  uint32_t tls_client_cert;  /* WSB_CLIENT_CERT_NONE, _OPTIONAL, _REQUIRED */
  uint32_t tls_min_version;  /* default 12, 12..13: TLS 1.2 or 1.3 */

  /* Heartbeat (RFC 6455, 5.5.2). Also per connection: wsb_conn_set_heartbeat. */
  uint32_t heartbeat_interval_ms; /* default 25000, 50..86400000, or WSB_OFF: a ping this often */
  uint32_t heartbeat_timeout_ms;  /* default half the interval, 20..(interval - 1): the answer is due within */
  uint32_t heartbeat_liveness;    /* WSB_LIVENESS_ANY or WSB_LIVENESS_PONG */
  uint32_t tcp_user_timeout_ms;   /* default max(30000, interval + timeout), 1000..86400000, or WSB_OFF: the kernel ends a
                                   * connection whose peer acknowledged, or took, nothing for so long (TCP_USER_TIMEOUT) */

  /* Time limits. */
  uint32_t handshake_timeout_ms; /* default 10000, 50..600000: accept to complete request (TLS included) */
  uint32_t close_timeout_ms;     /* default 5000, 50..600000: wait for the peer's Close, and then for its FIN */
  uint32_t auth_timeout_ms;      /* default off (0), 50..600000: 1008 unless wsb_conn_authenticate came */
  uint32_t idle_timeout_ms;      /* default off (0), 50..604800000: 1001 when no message either way for so long */
  uint32_t message_timeout_ms;   /* default 60000, 50..3600000: first fragment to last byte of one message; then 1008 */

  /* Limits. */
  uint32_t max_header_bytes;            /* default 8192, 256..1048576: request line and headers; 431 beyond */
  uint32_t max_connections;             /* default 1000000, 1..16000000: open WebSockets; 503 beyond */
  uint32_t max_connections_per_address; /* default off (0), 1..16000000: per client address; 429 beyond */
  uint32_t max_messages_per_second;     /* default off (0), 1..10000000: inbound, per connection; reading slows to this */
  uint32_t reserved2;
  uint64_t max_message_bytes;        /* default 1 MiB, 1..2^40: inbound message, after inflation; 1009 beyond */
  uint32_t max_fragments;            /* default 65536, 1..2^31: frames of one inbound message; 1008 beyond */
  uint32_t slow_consumer;            /* WSB_SLOW_REFUSE, _CLOSE, _DROP_OLDEST */
  uint64_t max_queue_bytes;          /* default 1 MiB, 1024..2^40: outbound, per connection */
  uint32_t max_event_queue_messages; /* default 1024, 1..2^24: queue delivery, per connection; reading stops beyond */
  uint32_t reserved0;
  uint64_t max_event_queue_bytes; /* default 4 MiB, 1024..2^40: the same in payload bytes */

  /* Handshake. Lists are comma separated. */
  const char *subprotocols;     /* in order of preference, each an RFC 7230 token: "v2.0,v1.5" */
  uint32_t require_subprotocol; /* 0 or 1: 400 unless one of them was offered */
  uint32_t proxy_protocol;      /* WSB_PROXY_PROTOCOL_OFF, _TRUSTED, _REQUIRED: before TLS; needs trusted_proxies */
  const char *origins;          /* allowed beside the same host: "https://app.example, https://" "*.example.org" with a
                                * star for any run of characters; "*" alone allows every origin */
  const char *trusted_proxies;  /* addresses or CIDR blocks, or "unix", whose X-Forwarded-For and PROXY header are believed */

  /* permessage-deflate (RFC 7692). Memory per connection that uses it, by default: 262 KiB once it was sent a compressed message, 39 KiB
   * once it has sent one; with 9 window bits and memLevel 1 about 9 KiB each way: docs/flow-control.md has the table. */
  uint32_t deflate;                            /* 0: off (default), 1: accepted when offered */
  uint32_t deflate_server_max_window_bits;     /* default 15, 9..15: our window */
  uint32_t deflate_client_max_window_bits;     /* default 15, 9..15: asked of clients that allow it */
  uint32_t deflate_server_no_context_takeover; /* 0 or 1: forget between messages we send (saves memory) */
  uint32_t deflate_client_no_context_takeover; /* 0 or 1: ask the client to */
  uint32_t deflate_level;                      /* default 1, 1..9: zlib level */
  uint32_t deflate_mem_level;                  /* default 8, 1..9: zlib memLevel */
  uint32_t deflate_threshold_bytes;            /* default 256, 1..2^30: smaller messages go uncompressed */

  /* Topics. */
  uint32_t max_topics_per_connection; /* default 100, 1..1000000: subscriptions of one connection */
  uint32_t max_subscriptions;         /* default 1000000, 1..2^31: of all connections together */
  uint32_t max_retained_messages;     /* default 1024, 1..2^24: newest messages kept, one for each topic */
  uint32_t reserved3;
  uint64_t max_retained_bytes; /* default 16 MiB, 1024..2^40: their size, names included */

  /* Application beat: for scripts in browsers, which cannot see pings. A text message of U+0016 and the interval in milliseconds as decimal
   * digits, sent at once and then this often, but only to clients that asked: by offering the subprotocol "wsbeat.beat.v1" (chosen if no other
   * is) or with the query parameter wsbeat-beat=1. Never queued while messages wait, and in no count of messages: docs/heartbeat.md. */
  uint32_t app_beat_ms; /* default off (0), 50..86400000 */
  uint32_t reserved4;
} wsb_config;

static inline void wsb_config_init(wsb_config *config) {
  memset(config, 0, sizeof *config);
  config->size = sizeof *config;
}

/* ---------------------------------------------------------------------------------------------------------------- events */

/* Each event struct carries the connection and your pointer for it (conn_user: wsb_request_set_user, wsb_conn_set_user).
 * With queue delivery conn_user is the pointer as it was when the event was made. */

typedef struct wsb_handshake_event {
  size_t size;
  wsb_request *request; /* look at it, then select a subprotocol, add headers, set a pointer, or wsb_request_respond to refuse */
} wsb_handshake_event;

typedef struct wsb_http_event {
  size_t size;
  wsb_request *request; /* answer with wsb_request_respond; unanswered gives 404 */
} wsb_http_event;

typedef struct wsb_open_event {
  size_t size;
  wsb_conn conn;
  void *conn_user;
  const char *path;        /* decoded of nothing: as sent, without the query; never NULL */
  const char *query;       /* after the '?', "" if none */
  const char *subprotocol; /* chosen, "" if none */
  const char *peer;        /* client address without port, through trusted proxies; "unix" for a Unix socket */
  uint32_t peer_port;      /* as in wsb_conn_info, whether the connection still is or not */
  uint32_t reserved;
} wsb_open_event;

typedef struct wsb_message_event {
  size_t size;
  wsb_conn conn;
  void *conn_user;
  const uint8_t *data; /* never NULL; text is valid UTF-8; not NUL-terminated */
  size_t length;       /* bytes */
  uint32_t kind;       /* WSB_TEXT or WSB_BINARY */
  uint32_t reserved;
} wsb_message_event;

/* A piece of a message, as it came (RFC 6455, 5.4, but pieces need not be frames). Set on_fragment instead of on_message for messages
 * that should not be held whole. Text pieces may split a character; the whole is checked as it comes. */
typedef struct wsb_fragment_event {
  size_t size;
  wsb_conn conn;
  void *conn_user;
  const uint8_t *data;
  size_t length;
  uint64_t offset; /* bytes of this message before this piece */
  uint32_t kind;
  uint32_t final; /* 1: the message ends here (length may be 0) */
} wsb_fragment_event;

typedef struct wsb_pong_event {
  size_t size;
  wsb_conn conn;
  void *conn_user;
  const uint8_t *data; /* payload; heartbeat pings carry 8 bytes of ours */
  size_t length;
  uint32_t heartbeat; /* 1: answers a heartbeat ping */
  uint32_t rtt_us;    /* round trip, for heartbeat pings and wsb_ping's; 0: unsolicited */
} wsb_pong_event;

typedef struct wsb_drain_event {
  size_t size;
  wsb_conn conn;
  void *conn_user;
  uint64_t buffered_bytes; /* still queued, at most half of max_queue_bytes */
} wsb_drain_event;

/* What is known about the end. Comes exactly once for each on_open and is the last event of that connection. */
typedef struct wsb_close_event {
  size_t size;
  wsb_conn conn;
  void *conn_user;
  uint32_t code;      /* received; 1005: their Close carried none; 1006: no Close came */
  uint32_t code_sent; /* in our Close; 0: we sent none; 1005: we sent one without a code */
  const char *reason; /* received, valid UTF-8, NUL-terminated, "" if none */
  size_t reason_length;
  uint32_t clean;     /* 1: a Close frame was seen in both directions */
  uint32_t initiator; /* WSB_INITIATOR_* */
  uint32_t cause;     /* WSB_CAUSE_* */
  uint32_t reserved;
} wsb_close_event;

typedef struct wsb_refused_event {
  size_t size;
  uint32_t status;  /* the HTTP status sent; 0: none */
  uint32_t refusal; /* WSB_REFUSAL_* */
  const char *peer; /* as in wsb_open_event */
} wsb_refused_event;

typedef struct wsb_subscribe_event {
  size_t size;
  wsb_conn conn;
  void *conn_user;
  const char *topic; /* a well-formed name or pattern, NUL-terminated */
  size_t topic_length;
} wsb_subscribe_event;

/* A message of a durable topic, before it goes to its receivers. */
typedef struct wsb_durable_event {
  size_t size;
  const char *topic; /* not NUL-terminated, as all texts and bytes here */
  size_t topic_length;
  const char
      *subscription; /* for this subscription of `conn` alone: a replay, or a retained message; NULL: a new message, for all subscribers */
  size_t subscription_length;
  wsb_conn conn;     /* of that subscription; 0: a new message */
  uint64_t sequence; /* its place among all durable messages: greater than that of any older one */
  const void *data;
  size_t length;
  uint32_t kind; /* WSB_TEXT or WSB_BINARY */
  uint32_t reserved;
} wsb_durable_event;

/* A subscription has reached the present: what a replay sends has been sent. */
typedef struct wsb_resumed_event {
  size_t size;
  wsb_conn conn;
  void *conn_user;
  const char *topic; /* the subscription, as it was made; NUL-terminated */
  size_t topic_length;
  uint64_t sequence; /* durable messages up to this one come before, later ones follow */
  uint64_t replayed; /* so many were sent */
  /* 1: not all that came after wsb_subscribe_options.after is kept, or it is more than may be replayed: nothing, or only a part, was sent of it */
  uint32_t missed;
  uint32_t reserved;
} wsb_resumed_event;

/* Somebody came to a topic or left it: a name is present while at least one connection on any server has joined with it. */
typedef struct wsb_presence_event {
  size_t size;
  const char *topic; /* NUL-terminated, as the next */
  size_t topic_length;
  const char *member;
  size_t member_length;
  uint32_t present; /* 1: came, 0: left */
  uint32_t reserved;
} wsb_presence_event;

typedef struct wsb_log_event {
  size_t size;
  uint32_t level; /* WSB_LOG_* */
  uint32_t reserved;
  wsb_conn conn;    /* 0: not about one connection */
  const char *text; /* one line, no newline */
} wsb_log_event;

/*
 * Callbacks; any may be NULL. `user` is the pointer given here and comes last in each call.
 * on_message and on_fragment exclude each other. With queue delivery only on_handshake, on_http (from worker threads),
 * on_subscribe, on_durable and on_presence are called; all others must be NULL and arrive as events. A callback must not throw or longjmp
 * across the library.
 */
typedef struct wsb_callbacks {
  size_t size;
  void *user;
  void (*on_handshake)(const wsb_handshake_event *event, void *user); /* before 101; not answering accepts */
  void (*on_http)(const wsb_http_event *event, void *user);           /* a plain HTTP request; NULL: 426 */
  void (*on_open)(const wsb_open_event *event, void *user);
  void (*on_message)(const wsb_message_event *event, void *user);
  void (*on_fragment)(const wsb_fragment_event *event, void *user);
  void (*on_pong)(const wsb_pong_event *event, void *user);
  void (*on_drain)(const wsb_drain_event *event, void *user); /* once after WSB_E_FULL, when half the queue is free */
  void (*on_close)(const wsb_close_event *event, void *user);
  void (*on_refused)(const wsb_refused_event *event, void *user);
  void (*on_log)(const wsb_log_event *event, void *user); /* NULL: nothing is logged; may be called from any thread */
  /* Judges what wsb_subscribe was asked for, on the thread that asked: 0 allows, anything else refuses; NULL allows all. */
  int (*on_subscribe)(const wsb_subscribe_event *event, void *user);
  /* What is sent for a message of a durable topic: a message made for it, whose reference becomes the library's, or NULL: the payload as it was
   * published. At most once for each new message, and once for each message of each replay and each retained one; on any thread, mostly the
   * backplane's. Must not block, and call nothing of the library but wsb_message_*. */
  wsb_message *(*on_durable)(const wsb_durable_event *event, void *user);
  /* Once for each wsb_subscribe_with that returned 1, unless the subscription or its connection ended before, or it was asked for anew. On the
   * connection's worker, after the replay was queued to it and before anything later. */
  void (*on_resumed)(const wsb_resumed_event *event, void *user);
  /* What the connections that watch the topic are sent: a message made for it, whose reference becomes the library's, or NULL: nothing. Once for
   * each change on a topic that a connection of this server watches, in order for each topic, on any thread. Must not block. */
  wsb_message *(*on_presence)(const wsb_presence_event *event, void *user);
} wsb_callbacks;

static inline void wsb_callbacks_init(wsb_callbacks *callbacks) {
  memset(callbacks, 0, sizeof *callbacks);
  callbacks->size = sizeof *callbacks;
}

/* ---------------------------------------------------------------------------------------------------------------- server */

/*
 * Creates a server; nothing listens yet. `config` and `callbacks` are copied and may be NULL (all defaults).
 * *out is set on success only; end it with wsb_server_destroy.
 * Errors: INVALID (out is NULL, a struct is malformed), CONFIG (a value out of range: wsb_last_error names the field),
 * VERSION (libwebsockets at run time is not the one built against), NOMEM.
 */
WSB_API int wsb_server_create(const wsb_config *config, const wsb_callbacks *callbacks, wsb_server **out) WSB_NOEXCEPT;

/*
 * Listens, starts the worker threads and returns. When it returns WSB_OK connections are being accepted.
 * Worker threads block all signals. Errors: ADDRESS (in use, not ours, no permission), TLS, SYSTEM, NOMEM,
 * STATE (started before), IN_CALLBACK. After a failure the server may be started again.
 */
WSB_API int wsb_server_start(wsb_server *server) WSB_NOEXCEPT;

/*
 * As wsb_server_start, but worker 0 runs on the calling thread; returns when the server has stopped (wsb_server_stop on another
 * thread, or wsb_server_request_stop anywhere). Callbacks of worker 0 run on this thread. Errors as wsb_server_start.
 */
WSB_API int wsb_server_run(wsb_server *server) WSB_NOEXCEPT;

/* How to stop (RFC 6455, 7.1.2). */
typedef struct wsb_stop_options {
  size_t size;
  const char *reason;   /* NULL: "server is closing"; at most 123 bytes of UTF-8 */
  uint32_t code;        /* default 1001; a code that may be sent */
  uint32_t deadline_ms; /* default 5000, 1..3600000: what is not closed by then is aborted */
  uint32_t spread_ms;   /* default 0, below deadline_ms: closes are spread over this, so clients do not return all at once */
  uint32_t reserved;
} wsb_stop_options;

static inline void wsb_stop_options_init(wsb_stop_options *options) {
  memset(options, 0, sizeof *options);
  options->size = sizeof *options;
}

/* How it went: every connection open when the stop began is in exactly one of the two. */
typedef struct wsb_stop_result {
  size_t size;
  uint64_t clean;   /* Close frames in both directions */
  uint64_t aborted; /* everything else */
} wsb_stop_result;

/*
 * Stops: no more accepts, handshakes get 503, queues drain, everyone gets a Close, what is left at the deadline is aborted.
 * Blocks until every on_close has been called and the workers have ended. `options` and `result` may be NULL.
 * A second call while one stops waits for the same end; after it, returns WSB_OK at once. A stopped server cannot be started again.
 * Errors: IN_CALLBACK (on a worker thread: use wsb_server_request_stop), INVALID (code, reason, times), STATE (never started).
 */
WSB_API int wsb_server_stop(wsb_server *server, const wsb_stop_options *options, wsb_stop_result *result) WSB_NOEXCEPT;

/*
 * Begins the same and returns at once; allowed in callbacks. wsb_server_stop or wsb_server_run then waits for the end.
 * A second request with an earlier deadline shortens the first. Errors: INVALID, STATE.
 */
WSB_API int wsb_server_request_stop(wsb_server *server, const wsb_stop_options *options) WSB_NOEXCEPT;

/*
 * Frees the server. If it runs, everything is aborted first (each open connection still gets its on_close).
 * NULL is allowed. No other thread may be inside a call on this server. Errors: IN_CALLBACK (nothing was freed).
 */
WSB_API int wsb_server_destroy(wsb_server *server) WSB_NOEXCEPT;

/* The TCP port that is listened on (also for port 0 and inherited sockets); 0 before start and for Unix sockets. */
WSB_API uint32_t wsb_server_port(const wsb_server *server) WSB_NOEXCEPT;

/*
 * Loads certificate and key again, from these files or (NULL, NULL) from the configured ones. New connections use them, open ones
 * go on. On an error the old ones stay in use. Errors: TLS, STATE (no TLS configured or not running), INVALID (one of two).
 */
WSB_API int wsb_server_reload_tls(wsb_server *server, const char *cert_file, const char *key_file) WSB_NOEXCEPT;

/*
 * Calls `visit` for every connection that was open when the call began, with no lock held; some may have ended since.
 * Stops early when `visit` returns non-zero. Returns the number of calls made, or a negative error.
 */
WSB_API int64_t wsb_server_for_each(wsb_server *server, int (*visit)(wsb_conn conn, void *user), void *user) WSB_NOEXCEPT;

/* -------------------------------------------------------------------------------------------------------- queue delivery */

/* What an event in a batch is; the member of wsb_event with the same name is then set, all others are NULL. */
enum {
  WSB_EVENT_OPEN = 1,
  WSB_EVENT_MESSAGE = 2,
  WSB_EVENT_PONG = 3,
  WSB_EVENT_DRAIN = 4,
  WSB_EVENT_CLOSE = 5,
  WSB_EVENT_REFUSED = 6,
  WSB_EVENT_LOG = 7,
  WSB_EVENT_STOPPED = 8, /* all connections have ended: the last event of the server */
  WSB_EVENT_RESUMED = 9
};

typedef struct wsb_event {
  size_t size;
  uint32_t type; /* WSB_EVENT_* */
  uint32_t reserved;
  wsb_conn conn; /* 0 for log, refused and stopped */
  const wsb_open_event *open;
  const wsb_message_event *message;
  const wsb_pong_event *pong;
  const wsb_drain_event *drain;
  const wsb_close_event *close;
  const wsb_refused_event *refused;
  const wsb_log_event *log;
  const wsb_resumed_event *resumed;
} wsb_event;

/*
 * A descriptor that polls readable while events wait; give it to poll, epoll, select or an event loop, and do not read, write or close it.
 * Valid from create to destroy. Returns it, or WSB_E_STATE without queue delivery, or WSB_E_INVALID.
 */
WSB_API int wsb_server_event_fd(wsb_server *server) WSB_NOEXCEPT;

/*
 * Hands over at most `max` waiting events (0: all) in order; order is kept per connection. *out is NULL when none wait.
 * Never blocks. The caller owns batch and payloads until wsb_batch_release. One thread at a time.
 * What waits is bounded: messages and pongs of a connection by max_event_queue_messages and _bytes; connections by max_connections, where one that
 * has ended counts until its close event is handed over here; and of refused and log events 4096 wait, further ones are left out.
 * Errors: INVALID, STATE (no queue delivery), NOMEM (nothing is lost).
 */
WSB_API int wsb_server_next_events(wsb_server *server, size_t max, wsb_batch **out) WSB_NOEXCEPT;

/* Number of events in a batch (0 for NULL), and the one at `index` (NULL beyond the end). Valid until the release. */
WSB_API size_t wsb_batch_count(const wsb_batch *batch) WSB_NOEXCEPT;
WSB_API const wsb_event *wsb_batch_event(const wsb_batch *batch, size_t index) WSB_NOEXCEPT;

/* Frees a batch and its payloads, and lets connections that waited for the application be read again. NULL is allowed.
 * Every batch must be released before its server is destroyed. */
WSB_API void wsb_batch_release(wsb_batch *batch) WSB_NOEXCEPT;

/* --------------------------------------------------------------------------------------------------------------- sending */

/*
 * Queues one whole message (RFC 6455, 5.6); `data` is copied and may be NULL if `length` is 0. Text must be valid UTF-8 (checked).
 * On the connection's own worker this takes no lock and no system call: what one loop turn queues leaves together, and
 * earlier only from 8 KiB on.
 * Errors: CLOSED; FULL (policy refuse: nothing was queued, on_drain will come); TOO_BIG (can never fit max_queue_bytes);
 * INVALID (kind, NULL, text not UTF-8); NOMEM.
 */
WSB_API int wsb_send(wsb_server *server, wsb_conn conn, uint32_t kind, const void *data, size_t length) WSB_NOEXCEPT;

/* As wsb_send, for a message built once and sent to many: no copy for connections without compression. The caller keeps its reference. */
WSB_API int wsb_send_message(wsb_server *server, wsb_conn conn, wsb_message *message) WSB_NOEXCEPT;

/* One message of many; set `size` with wsb_outgoing_init. */
typedef struct wsb_outgoing {
  size_t size;
  wsb_conn conn;
  const void *data; /* as in wsb_send */
  size_t length;
  wsb_message *message; /* if not NULL, this goes out, and kind, data and length are not looked at */
  uint32_t kind;
  int32_t result; /* set by wsb_send_many: what wsb_send or wsb_send_message would have returned */
} wsb_outgoing;

static inline void wsb_outgoing_init(wsb_outgoing *outgoing) {
  memset(outgoing, 0, sizeof *outgoing);
  outgoing->size = sizeof *outgoing;
}

/*
 * Queues many messages in order, as wsb_send and wsb_send_message do, with one lock and at most one wake for each worker. `items` is an array whose
 * elements all have the `size` of the first. After FULL for a connection, its later messages in the same call are FULL too, so that order
 * is kept. Returns how many were queued; each item's `result` tells the rest. Errors (nothing was queued): INVALID (server or items
 * NULL, a struct malformed), NOMEM.
 */
WSB_API int64_t wsb_send_many(wsb_server *server, wsb_outgoing *items, size_t count) WSB_NOEXCEPT;

/* Builds a message (data is copied, text checked), with one reference, usable with every server. Returns NULL on INVALID, TOO_BIG or
 * NOMEM: see wsb_last_error. */
WSB_API wsb_message *wsb_message_create(uint32_t kind, const void *data, size_t length) WSB_NOEXCEPT;
/* Adds a reference and returns its argument. */
WSB_API wsb_message *wsb_message_ref(wsb_message *message) WSB_NOEXCEPT;
/* Drops a reference; the last one frees. NULL is allowed. */
WSB_API void wsb_message_release(wsb_message *message) WSB_NOEXCEPT;

/*
 * Sends a ping of the application (RFC 6455, 5.5.2), ahead of queued messages. At most 125 bytes of payload; on_pong tells its
 * round trip if the payload is unique among those outstanding. Errors: CLOSED, INVALID (length), FULL (64 KiB of control frames wait), NOMEM.
 */
WSB_API int wsb_ping(wsb_server *server, wsb_conn conn, const void *data, size_t length) WSB_NOEXCEPT;

/*
 * Starts the closing handshake (RFC 6455, 7.1.2): queued messages drain, Close goes out, later input is dropped, the peer's Close is awaited for
 * close_timeout_ms, then TCP ends. Returns at once; on_close tells how it went. `code` 0 sends a Close without a code.
 * Errors: INVALID (a code that may not be sent: below 1000, 1004-1006, 1015-2999, above 4999; a reason without a code, over 123 bytes, or not
 * UTF-8), CLOSED (unknown, or already closing).
 */
WSB_API int wsb_close(wsb_server *server, wsb_conn conn, uint32_t code, const char *reason, size_t reason_length) WSB_NOEXCEPT;

/* Ends the connection now, without a Close frame and without waiting: the peer sees a reset, on_close says 1006, not clean,
 * local. Also ends one that is closing. Errors: CLOSED (unknown). */
WSB_API int wsb_abort(wsb_server *server, wsb_conn conn) WSB_NOEXCEPT;

/* Bytes queued in this process for the connection and not yet taken by the kernel, or a negative error (CLOSED, INVALID). */
WSB_API int64_t wsb_buffered_amount(wsb_server *server, wsb_conn conn) WSB_NOEXCEPT;

/* ------------------------------------------------------------------------------------------------------- one connection */

/* Stops and starts reading. From the connection's own callback no further message is delivered after pause returns; from another thread
 * soon after. While paused, no pong, Close or end of the peer is seen and no heartbeat deadline runs. Pausing twice
 * is pausing once. Errors: CLOSED. */
WSB_API int wsb_conn_pause(wsb_server *server, wsb_conn conn) WSB_NOEXCEPT;
WSB_API int wsb_conn_resume(wsb_server *server, wsb_conn conn) WSB_NOEXCEPT;

/* Your pointer for the connection; the library never follows it. wsb_conn_user gives NULL for an unknown connection.
 * In on_close the last value is in the event. */
WSB_API int wsb_conn_set_user(wsb_server *server, wsb_conn conn, void *conn_user) WSB_NOEXCEPT;
WSB_API void *wsb_conn_user(wsb_server *server, wsb_conn conn) WSB_NOEXCEPT;

/* Changes one connection's heartbeat; ranges and defaults as in wsb_config (interval_ms 0: the server's). The first new ping goes out
 * within the new interval. Errors: CLOSED, INVALID. */
WSB_API int wsb_conn_set_heartbeat(wsb_server *server, wsb_conn conn, uint32_t interval_ms, uint32_t timeout_ms,
                                   uint32_t liveness) WSB_NOEXCEPT;

/* Tells that the peer has proved who it is, which ends auth_timeout_ms for it. Harmless without one. Errors: CLOSED. */
WSB_API int wsb_conn_authenticate(wsb_server *server, wsb_conn conn) WSB_NOEXCEPT;

/* A snapshot; set `size` with wsb_conn_info_init. */
typedef struct wsb_conn_info {
  size_t size;
  wsb_conn conn;
  uint32_t state;                 /* WSB_STATE_* */
  uint32_t worker;                /* index of its worker */
  uint32_t authenticated;         /* 1 once wsb_conn_authenticate was called */
  uint32_t paused;                /* 1 while the application paused it */
  uint32_t tls;                   /* 1 over TLS */
  uint32_t deflate;               /* 1 if permessage-deflate was negotiated */
  uint32_t peer_port;             /* TCP port of the socket's other end, or the one in its PROXY header; 0 for Unix sockets */
  uint32_t heartbeat_interval_ms; /* in force; WSB_OFF: off */
  uint32_t heartbeat_timeout_ms;
  uint32_t heartbeat_waiting; /* 1: a ping is out and its answer due */
  uint64_t open_us;           /* microseconds since it opened */
  uint64_t idle_in_us;        /* since the last byte from the peer */
  uint64_t idle_message_us;   /* since the last message either way */
  uint64_t bytes_in;          /* on the wire (before TLS), the handshake excluded */
  uint64_t bytes_out;
  uint64_t messages_in;
  uint64_t messages_out; /* accepted from the application */
  uint64_t buffered_bytes;
  uint64_t pings_sent; /* heartbeat */
  uint64_t pongs_received;
  uint32_t rtt_last_us;     /* 0: no pong yet */
  uint32_t rtt_smoothed_us; /* an exponential mean, weight 1/8 (as RFC 6298) */
  uint32_t rtt_min_us;
  uint32_t app_beat_ms;      /* 0: this client gets no application beats */
  uint64_t heartbeat_due_us; /* until the answer is due while one is awaited, else until the next ping; 0: now, off, or a deadline
                              * that does not run because reading is paused */
  uint64_t topics;           /* subscriptions */
} wsb_conn_info;

static inline void wsb_conn_info_init(wsb_conn_info *info) {
  memset(info, 0, sizeof *info);
  info->size = sizeof *info;
}

/* Fills *info. From the connection's own callbacks, on_close included, it is exact; from another thread single numbers may be
 * an instant apart. Errors: CLOSED, INVALID. */
WSB_API int wsb_conn_get_info(wsb_server *server, wsb_conn conn, wsb_conn_info *info) WSB_NOEXCEPT;

/* Texts of a connection, fixed when it opened. */
enum {
  WSB_STRING_PATH = 1,
  WSB_STRING_QUERY = 2,
  WSB_STRING_SUBPROTOCOL = 3,
  WSB_STRING_PEER = 4 /* client address without port */
};

/* Copies one text, NUL-terminated and cut at `capacity` bytes, as snprintf does; buffer may be NULL if capacity is 0. Returns the full
 * length without the NUL, or a negative error (CLOSED, INVALID). */
WSB_API int64_t wsb_conn_string(wsb_server *server, wsb_conn conn, uint32_t which, char *buffer, size_t capacity) WSB_NOEXCEPT;

/* ---------------------------------------------------------------------------------------------------------------- topics */

/*
 * Topics by NATS's rules: a name is tokens between dots ("orders.17.created"), at most 255 bytes of UTF-8, without empty tokens, spaces or
 * control characters. What is subscribed to may hold wildcards as whole tokens: "*" is any one token, a last ">" one or more ("users.>").
 * A malformed name is INVALID with its fault in wsb_last_error. Names are case sensitive. See docs/topics.md.
 */

/* True (1) if every topic that `other` matches, itself a topic or a pattern, is matched by `pattern`; 0 if not; else INVALID. */
WSB_API int wsb_topic_covers(const char *pattern, size_t pattern_length, const char *other, size_t other_length) WSB_NOEXCEPT;

/*
 * Subscribes a connection; it has effect when the call returns, and ends with the connection. Subscribing twice is subscribing once.
 * Retained messages that match are sent to it at once, as by wsb_send: what its queue refuses is not sent later.
 * Errors: INVALID (name), CLOSED, LIMIT (max_topics_per_connection, max_subscriptions), REFUSED (on_subscribe), NOMEM.
 */
WSB_API int wsb_subscribe(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length) WSB_NOEXCEPT;

/* Durable topics are kept by the backplane (wsb_nats_options says which), so that a connection that comes back gets what it missed. */

/* 1: a topic that this pattern matches may be durable (of a plain topic: it is); 0: none is. Errors: INVALID, STATE (the server has stopped). */
WSB_API int wsb_topic_is_durable(wsb_server *server, const char *pattern, size_t pattern_length) WSB_NOEXCEPT;

enum { WSB_SUBSCRIBE_RESUME = 1 /* first what came after `after` */ };

typedef struct wsb_subscribe_options {
  size_t size;
  uint64_t after; /* with RESUME: the sequence of the last durable message that the client has seen; 0: all that is kept */
  uint32_t flags; /* WSB_SUBSCRIBE_* */
  uint32_t reserved;
} wsb_subscribe_options;

static inline void wsb_subscribe_options_init(wsb_subscribe_options *options) {
  memset(options, 0, sizeof *options);
  options->size = sizeof *options;
}

/*
 * As wsb_subscribe, for subscriptions that are to survive their connection. Returns 1 if a durable topic may match: on_resumed follows and
 * tells the present sequence; else WSB_OK, and the options mean nothing. With WSB_SUBSCRIBE_RESUME what is stored after `after` comes first, in order,
 * as fast as half of the send queue drains, then everything new, none twice and none left out; plain topics flow meanwhile, and retained messages of
 * durable topics are not sent. An existing subscription begins again as asked, and called on the connection's worker nothing of its former replay comes
 * any more. `options` may be NULL.
 *
 * Later too, a durable message for which a send queue has no room is not lost with the policy refuse: that subscription is replayed from there on, and
 * only if that cannot be done is the connection closed with 1013, cause slow consumer. Policy drop oldest drops durable messages like all others.
 * A message that can never fit max_queue_bytes is left out.
 * Errors: as wsb_subscribe, INVALID (options), or what the backplane says (STATE: it is closing): then the subscription has ended.
 */
WSB_API int wsb_subscribe_with(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length,
                               const wsb_subscribe_options *options) WSB_NOEXCEPT;

/* Ends one subscription, given exactly as it was made. Publications that were accepted before still arrive.
 * Errors: INVALID, CLOSED, NOT_SUBSCRIBED. */
WSB_API int wsb_unsubscribe(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length) WSB_NOEXCEPT;

/*
 * Calls `visit` for each subscription that the connection had when the call began, in no particular order and with no lock held; in its
 * on_close these are the last ones. Stops early when `visit` returns non-zero. Returns the number of calls made, or a negative error (CLOSED,
 * INVALID, NOMEM).
 */
WSB_API int64_t wsb_conn_topics(wsb_server *server, wsb_conn conn, int (*visit)(const char *topic, size_t topic_length, void *user),
                                void *user) WSB_NOEXCEPT;

enum {
  WSB_PUBLISH_RETAIN = 1, /* keep it as the topic's newest message, for those who subscribe later; an empty one is not kept, but ends
                           * the keeping. Beyond max_retained_messages or _bytes the message published longest ago is forgotten. */
  WSB_PUBLISH_LOCAL = 2   /* to this server's connections only, not to its backplane; INVALID for a durable topic */
};

/* What became of a publication to a durable topic. */
typedef struct wsb_stored_event {
  size_t size;
  int32_t
      result; /* WSB_OK: it is stored, and every subscriber will get it; STATE: not before the server stopped, nobody knows; SYSTEM: refused
                       * by the store */
  uint32_t duplicate; /* 1: one with this key was stored before, and this one was not */
  uint64_t sequence;  /* its place; of a duplicate that of the first, if known, else 0 */
} wsb_stored_event;

typedef struct wsb_publish_options {
  size_t size;
  wsb_conn exclude; /* not to this connection (the publisher); 0: to all */
  uint32_t flags;   /* WSB_PUBLISH_* */
  uint32_t reserved;
  /* Durable topics only, else INVALID. Of all messages that are published with one key within some minutes (docs/topics.md) only the first is
   * stored, so that a publication whose outcome is not known can be made again. 1 to 128 bytes of visible ASCII; NULL: none. */
  const char *key;
  size_t key_length;
  /* Durable topics: called once, with `context`, if wsb_publish gave result.durable 1 and result.backplane WSB_OK: on any thread, even before
   * wsb_publish has returned, at the latest while the server stops. Must not block. NULL: nobody asks. */
  void (*on_stored)(const wsb_stored_event *event, void *context);
  void *context;
} wsb_publish_options;

static inline void wsb_publish_options_init(wsb_publish_options *options) {
  memset(options, 0, sizeof *options);
  options->size = sizeof *options;
}

/* How many open connections of this server have a matching subscription, each in exactly one of the two. */
typedef struct wsb_publish_result {
  size_t size;
  uint64_t reached;  /* accepted into the connection's send queue, as if wsb_send had returned WSB_OK */
  uint64_t refused;  /* not: its queue is full, or the message can never fit; slow_consumer says what that means for it */
  int32_t backplane; /* WSB_OK: handed to the backplane, or there is none; else why not (FULL, TOO_BIG, STATE, NOMEM) */
  uint32_t
      durable; /* 1: a durable topic. Nobody is reached before it is stored: on_stored follows if `backplane` is WSB_OK, else nothing does */
} wsb_publish_result;

static inline void wsb_publish_result_init(wsb_publish_result *result) {
  memset(result, 0, sizeof *result);
  result->size = sizeof *result;
}

/*
 * Sends one whole message to every connection that is subscribed to this topic, once to each however many of its patterns match. It is framed once;
 * all receivers share it. Publications of one thread arrive in order. `options` and `result` may be NULL. A message for a durable topic is stored
 * first, and reaches its receivers, here and on other servers, in the order of the store.
 * Errors: INVALID (name, kind, text not UTF-8, options), TOO_BIG (to be retained, but over max_retained_bytes), NOMEM.
 */
WSB_API int wsb_publish(wsb_server *server, const char *topic, size_t topic_length, uint32_t kind, const void *data, size_t length,
                        const wsb_publish_options *options, wsb_publish_result *result) WSB_NOEXCEPT;

/* -------------------------------------------------------------------------------------------------------------- presence */

/*
 * Who is on a topic. A connection joins a topic, plain and without wildcards, under a name: its member, 1 to 255 bytes of UTF-8 without control
 * characters. A name is present while at least one connection, on any server of the backplane, has joined with it. Connections that watch the topic
 * are sent what on_presence makes of each change. All ends with the connection, before its on_close: what the heartbeat finds dead
 * has left. Joining and watching need no subscription, and count with subscriptions in max_topics_per_connection and
 * max_subscriptions. See docs/presence.md.
 */

/*
 * Joins a topic; it has effect when the call returns. A connection is on a topic once: joining it again under another name replaces the first, which leaves
 * before the new one comes; under the same name it changes nothing. Telling it to others may be finished by another thread a moment later.
 * Errors: INVALID (name, member), CLOSED, LIMIT (max_topics_per_connection, max_subscriptions), NOMEM.
 */
WSB_API int wsb_join(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length, const char *member,
                     size_t member_length) WSB_NOEXCEPT;

/* Leaves a topic that the connection had joined. Errors: INVALID (name), CLOSED, NOT_SUBSCRIBED (it had not). */
WSB_API int wsb_leave(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length) WSB_NOEXCEPT;

/*
 * From now on the connection gets what on_presence makes of each change on the topic. Those who are present are not sent:
 * wsb_members, called afterwards, tells them, so that nobody is missed (somebody may be told twice). If it is this server's first watch of the topic, members
 * of other servers come as changes a moment later. Watching twice is watching once.
 * Errors: INVALID (name), CLOSED, LIMIT (max_topics_per_connection, max_subscriptions), NOMEM.
 */
WSB_API int wsb_watch(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length) WSB_NOEXCEPT;

/* Ends a watch. A change that is being told may still arrive. Errors: INVALID (name), CLOSED, NOT_SUBSCRIBED (there is none). */
WSB_API int wsb_unwatch(wsb_server *server, wsb_conn conn, const char *topic, size_t topic_length) WSB_NOEXCEPT;

/*
 * Calls `visit` for each name that was present when the call began, in no particular order and with no lock held: all while a connection of this
 * server watches the topic, else those of this server's own connections. `member` is NUL-terminated and valid during the visit. Stops early
 * when `visit` returns non-zero. Returns the number of calls made, or a negative error (INVALID, NOMEM).
 */
WSB_API int64_t wsb_members(wsb_server *server, const char *topic, size_t topic_length,
                            int (*visit)(const char *member, size_t member_length, void *user), void *user) WSB_NOEXCEPT;

/* ------------------------------------------------------------------------------------------------------------- backplane */

/*
 * What carries publications between servers, so that one made on any of them reaches the subscribers of all. libwsbeat-nats (wsbeat/nats.h) is
 * one; the interface is all that one needs to write another. See docs/scaling.md.
 */

typedef struct wsb_backplane_message {
  size_t size;
  const char *topic; /* a well-formed name; not NUL-terminated */
  size_t topic_length;
  const void *data;
  size_t length;
  uint32_t kind;     /* WSB_TEXT or WSB_BINARY */
  uint32_t flags;    /* WSB_PUBLISH_RETAIN */
  uint64_t sequence; /* from the backplane: its place among durable messages; 0: it is not durable */
  uint64_t exclude;  /* to `store`: a connection of this server that does not want it, and back again by `deliver` and `replayed`; else 0 */
  const char *key;   /* to `store`: as in wsb_publish_options; NULL: none */
  size_t key_length;
} wsb_backplane_message;

/* States of a backplane; 0: there is none. */
enum { WSB_BACKPLANE_DOWN = 1, WSB_BACKPLANE_UP = 2 };

/* What a backplane gets from its server. Each function may be called from any thread, but not from within a call of the backplane. */
typedef struct wsb_backplane_host {
  size_t size;
  wsb_server *server;
  /* A message of another server, for local subscribers. Malformed ones are dropped and counted. */
  void (*deliver)(wsb_server *server, const wsb_backplane_message *message);
  /* The state has changed; the text (one line) goes to on_log. */
  void (*changed)(wsb_server *server, uint32_t state, const char *text);
  /*
   * Durable topics. `deliver` brings their messages too, those published here included: in the order of `sequence`, each once, and never at the same
   * time as `resumed`. `replayed` offers one message of a replay, in order, one at a time for each replay: WSB_OK; FULL: offer it again a little
   * later; CLOSED: the replay is over, nobody wants the rest. `resumed` ends a replay: what `deliver` brings after it is later than `sequence`, and
   * all up to it that matches was replayed or, with `missed`, not all. Both do nothing for a replay that is not known any more.
   */
  int (*replayed)(wsb_server *server, uint64_t ticket, const wsb_backplane_message *message);
  void (*resumed)(wsb_server *server, uint64_t ticket, uint64_t sequence, int missed);
  /* Presence: a connection of another server that joined a watched topic (present 1) is gone (0). Each that came goes once, except that after an
   * unwatch nothing more is told of that watch. Calls for one watch do not overlap. */
  void (*presence)(wsb_server *server, uint64_t watch, const char *member, size_t member_length, int present);
} wsb_backplane_host;

/*
 * A backplane as its server sees it; `self` comes first in each call. Every call must return soon, whatever the network does: they are made by
 * workers, and local delivery waits for them. Pointers are valid during the call only. Results are WSB_OK or a negative wsb_error.
 */
typedef struct wsb_backplane {
  size_t size;
  void *self;
  /* By wsb_server_start or _run, once. Begins to connect and returns; *host is valid until close has returned. */
  int (*open)(void *self, const wsb_backplane_host *host);
  /* To all other servers with a matching subscription, never back to this one; those of one thread stay in order. */
  int (*publish)(void *self, const wsb_backplane_message *message);
  /* Whether this server has local subscribers of a pattern; called for the first and for the last one only, never twice in a row for one
   * pattern, and never for two changes at once. While it is down a backplane remembers them. */
  int (*subscribe)(void *self, const char *pattern, size_t pattern_length);
  int (*unsubscribe)(void *self, const char *pattern, size_t pattern_length);
  uint32_t (*state)(void *self); /* WSB_BACKPLANE_* */
  /* The last call, exactly one for each backplane that was set; what was published before is given a moment to leave. Frees `self`;
   * the host is not called any more once it has returned. */
  void (*close)(void *self);
  /*
   * Durable topics: all of these, or none (NULL). `keeps`: 1 if a topic that this pattern matches may be durable (of a plain topic: whether it is),
   * always the same answer, also before `open`. `store` keeps a message of such a topic; if it returned WSB_OK, `done` is called once, from any
   * thread but not from within `store`, at the latest by `close`, with what wsb_stored_event tells. `replay` sends what is stored after `after` and
   * matches; 0: all that is kept; UINT64_MAX: only where things stand. `forget`: nobody wants this replay any more; of one that is over, or that begins only
   * after it, nothing need be known. These two may be called from within `deliver`.
   */
  int (*keeps)(void *self, const char *pattern, size_t pattern_length);
  int (*store)(void *self, const wsb_backplane_message *message, void (*done)(void *context, int result, uint64_t sequence, int duplicate),
               void *context);
  int (*replay)(void *self, const char *pattern, size_t pattern_length, uint64_t after, uint64_t ticket);
  void (*forget)(void *self, uint64_t ticket);
  /*
   * Presence: all of these, or none; without them there is presence on each server alone. A connection of this server has joined a topic as `member`,
   * or is gone; `number` tells the joins of this server apart. `watch`: changes on other servers are wanted, those who are there first.
   * Numbers are never used twice. Each may be called from within `presence`.
   */
  int (*join)(void *self, const char *topic, size_t topic_length, const char *member, size_t member_length, uint64_t number);
  int (*leave)(void *self, const char *topic, size_t topic_length, uint64_t number);
  int (*watch)(void *self, const char *topic, size_t topic_length, uint64_t watch);
  int (*unwatch)(void *self, uint64_t watch);
} wsb_backplane;

/*
 * Gives the server its backplane, before it is started; *backplane is copied, `self` belongs to the server from then on.
 * Errors: INVALID (a function is NULL that may not be), STATE (started, or has one). On an error `self` stays the caller's.
 */
WSB_API int wsb_server_set_backplane(wsb_server *server, const wsb_backplane *backplane) WSB_NOEXCEPT;

/* -------------------------------------------------------------------------------------------- requests: handshake and HTTP */

/* For on_handshake and on_http only, during the call and on its thread. Returned strings are NUL-terminated, valid during the call, and
 * NULL where something is absent (or `request` is NULL). */
WSB_API const char *wsb_request_method(const wsb_request *request) WSB_NOEXCEPT;
WSB_API const char *wsb_request_path(const wsb_request *request) WSB_NOEXCEPT;  /* without query, as sent; never NULL */
WSB_API const char *wsb_request_query(const wsb_request *request) WSB_NOEXCEPT; /* "" if none; never NULL */
WSB_API const char *wsb_request_peer(const wsb_request *request) WSB_NOEXCEPT;  /* client address, see wsb_open_event */
/* A header by name, any case; values of repeated headers are joined with ", " (RFC 9110, 5.3). */
WSB_API const char *wsb_request_header(const wsb_request *request, const char *name) WSB_NOEXCEPT;
/* All headers in order; 0 when `index` is beyond the last, else 1 with both set. */
WSB_API int wsb_request_header_at(const wsb_request *request, size_t index, const char **name, const char **value) WSB_NOEXCEPT;
WSB_API const char *wsb_request_cookie(const wsb_request *request, const char *name) WSB_NOEXCEPT;
/* First query parameter of that name, percent and plus decoded. */
WSB_API const char *wsb_request_query_param(const wsb_request *request, const char *name) WSB_NOEXCEPT;
/* Credentials of the Authorization header (RFC 7617, RFC 6750): ws://user:pw@host arrives as Basic. */
WSB_API const char *wsb_request_basic_user(const wsb_request *request) WSB_NOEXCEPT;
WSB_API const char *wsb_request_basic_password(const wsb_request *request) WSB_NOEXCEPT;
WSB_API const char *wsb_request_bearer_token(const wsb_request *request) WSB_NOEXCEPT;
/* The TLS client certificate's subject (RFC 2253), if one was presented and verified. */
WSB_API const char *wsb_request_client_subject(const wsb_request *request) WSB_NOEXCEPT;
/* Subprotocols the client offered, in its order; NULL beyond the last. */
WSB_API const char *wsb_request_subprotocol_at(const wsb_request *request, size_t index) WSB_NOEXCEPT;
/* The one chosen so far (by configuration or by you), "" if none. */
WSB_API const char *wsb_request_subprotocol(const wsb_request *request) WSB_NOEXCEPT;

/* Chooses one of those offered; NULL: none. Errors: INVALID (not offered), STATE (not in on_handshake). */
WSB_API int wsb_request_select_subprotocol(wsb_request *request, const char *subprotocol) WSB_NOEXCEPT;
/* Adds a header to the answer. Errors: INVALID (name not a token, line break in the value, or a header that the library itself sets). */
WSB_API int wsb_request_add_header(wsb_request *request, const char *name, const char *value) WSB_NOEXCEPT;
/* Sets the new connection's user pointer, before on_open. Errors: STATE (not in on_handshake). */
WSB_API int wsb_request_set_user(wsb_request *request, void *conn_user) WSB_NOEXCEPT;
/* Marks the new connection authenticated, so auth_timeout_ms does not apply. Errors: STATE (not in on_handshake). */
WSB_API int wsb_request_authenticate(wsb_request *request) WSB_NOEXCEPT;
/*
 * Answers with this status, content type and body (copied) and ends the connection; in on_handshake this refuses it.
 * In on_handshake the status must be 300..599, in on_http 200..599. content_type NULL: "text/plain; charset=utf-8".
 * Errors: INVALID, STATE (answered before), TOO_BIG (body over 16 MiB).
 */
WSB_API int wsb_request_respond(wsb_request *request, uint32_t status, const char *content_type, const void *body,
                                size_t length) WSB_NOEXCEPT;

/* --------------------------------------------------------------------------------------------------------------- metrics */

/* Totals since create, and levels now. Set `size` with wsb_metrics_init. */
typedef struct wsb_metrics {
  size_t size;
  uint64_t connections; /* open now, closing ones included */
  uint64_t opened;      /* handshakes completed */
  uint64_t closed;      /* on_close events */
  uint64_t closed_clean;
  uint64_t refused;       /* handshakes refused */
  uint64_t http_requests; /* plain HTTP answered */
  uint64_t accepted;      /* sockets accepted */
  uint64_t messages_in;
  uint64_t messages_out;
  uint64_t bytes_in;
  uint64_t bytes_out;
  uint64_t pings_sent; /* heartbeat */
  uint64_t pongs_received;
  uint64_t queue_bytes;         /* outbound, now, all connections */
  uint64_t queue_refused;       /* sends that returned WSB_E_FULL */
  uint64_t messages_dropped;    /* policy drop oldest, and messages still queued when their connection ended */
  uint64_t writes;              /* system calls that wrote */
  uint64_t loop_turns;          /* turns of the workers' loops in which a connection had something to do */
  uint64_t loop_lag_us;         /* the largest lateness of a timer tick within the last 10 seconds */
  uint64_t closed_by_cause[16]; /* indexed by WSB_CAUSE_* */
  uint64_t subscriptions;       /* now, all connections */
  uint64_t published;           /* wsb_publish calls that succeeded */
  uint64_t publish_reached;     /* receivers that took a publication into their queue */
  uint64_t publish_refused;     /* receivers whose queue refused one */
  uint64_t retained_messages;   /* kept now */
  uint64_t retained_bytes;
  uint64_t backplane_state;     /* WSB_BACKPLANE_*; 0: there is none */
  uint64_t backplane_published; /* publications that it took */
  uint64_t backplane_refused;   /* and did not take */
  uint64_t backplane_received;  /* messages that it brought, malformed ones included */
  uint64_t durable_stored;      /* publications to durable topics that the store has, duplicates included */
  uint64_t durable_refused;     /* and those that it has not, or of which that is not known */
  uint64_t replays;             /* begun, for subscriptions that resume and for those that fell behind */
  uint64_t replayed;            /* messages that they sent */
  uint64_t replays_missed;      /* which could not give all that was missed */
  uint64_t presence_members;    /* names present now, as wsb_members tells them, over all topics */
  uint64_t presence_watches;    /* now, all connections */
  uint64_t presence_joins;      /* connections that have joined a topic; one that replaced its name has left and joined */
  uint64_t presence_leaves;     /* and left it */
} wsb_metrics;

static inline void wsb_metrics_init(wsb_metrics *metrics) {
  memset(metrics, 0, sizeof *metrics);
  metrics->size = sizeof *metrics;
}

/* Fills *metrics. Errors: INVALID. */
WSB_API int wsb_server_get_metrics(wsb_server *server, wsb_metrics *metrics) WSB_NOEXCEPT;

/* The same and more (closes by cause and code, refusals by cause, round-trip histogram) in Prometheus text format 0.0.4. Returns the full length
 * without the NUL as snprintf does, or a negative error. */
WSB_API int64_t wsb_server_metrics_text(wsb_server *server, char *buffer, size_t capacity) WSB_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
