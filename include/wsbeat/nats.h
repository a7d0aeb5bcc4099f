/*
 * libwsbeat-nats: a backplane for wsbeat servers over NATS, with NATS's own C client; durable topics over JetStream.
 *
 * A publication to the topic "a.b" is the NATS message "wsbeat.a.b" with the same payload, so other NATS clients may listen and publish too.
 * What is guaranteed, and what is not: docs/scaling.md.
 */
#ifndef WSBEAT_NATS_H
#define WSBEAT_NATS_H

#include "wsbeat/wsbeat.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Strings are copied. NULL and 0 are the defaults; durations may be WSB_OFF where that is said. */
typedef struct wsb_nats_options {
  size_t size;
  const char *servers;          /* "nats://host:port", also with user:password@ or token@, "tls://..."; several with commas. Default
                        * "nats://127.0.0.1:4222" */
  const char *prefix;           /* of all subjects: a well-formed topic. Default "wsbeat". Servers with different ones do not meet */
  const char *name;             /* of the connection, as NATS's monitoring shows it. Default "wsbeat" */
  const char *credentials_file; /* a NATS .creds file (JWT and NKey) */
  const char *tls_ca_file;      /* trusted issuers, PEM; setting it demands TLS */
  const char *tls_cert_file;    /* our certificate and key, PEM; both or neither */
  const char *tls_key_file;
  uint64_t buffer_bytes;     /* default 8 MiB, 1024..2^32: publications that wait to be sent, also while NATS cannot be reached;
                              * beyond it they are refused with WSB_E_FULL */
  uint32_t refuse_when_down; /* 0 or 1: while NATS cannot be reached publications are refused with WSB_E_STATE instead of kept */
  uint32_t ping_interval_ms; /* default 5000, 100..600000: a silent connection is given up after three of them */
  /* Durable topics, docs/scaling.md. They are kept by a JetStream stream that is made, or made to fit, when NATS is reached. */
  const char *durable;          /* patterns with commas: "orders.>,rooms.*.log". None may overlap another. Default: none */
  uint64_t durable_max_bytes;   /* default 256 MiB, 1024..2^50: what the stream holds at most; beyond it the oldest is dropped */
  uint32_t durable_max_age_s;   /* default 86400, 1..315360000, or WSB_OFF: what is older is dropped */
  uint32_t durable_replicas;    /* default 1, 1..5: NATS servers that hold the stream, and what presence keeps */
  uint32_t max_replay;          /* default 10000, 1..10^8: a subscription that missed more messages is told so instead of getting them */
  uint32_t presence_ttl_ms;     /* default 15000, 1000..600000: a server that is silent for so long is dead and its members are gone; the
                                 * same on all servers. Presence needs JetStream: see docs/presence.md */
  uint64_t replay_memory_bytes; /* default 8 MiB, 1024..2^32: of the newest durable messages (at most 8192), for replays without NATS */
} wsb_nats_options;

static inline void wsb_nats_options_init(wsb_nats_options *options) {
  memset(options, 0, sizeof *options);
  options->size = sizeof *options;
}

/*
 * Makes a backplane for wsb_server_set_backplane; nothing is connected before the server starts. *out is set on success only. On failure
 * the reason is written to `error` (cut at `capacity`, NUL-terminated; may be NULL if capacity is 0).
 * Errors: INVALID (a struct is malformed), CONFIG (a value; the text names the field), NOMEM.
 */
WSB_API int wsb_nats_create(const wsb_nats_options *options, wsb_backplane *out, char *error, size_t capacity) WSB_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
