/* Prints size and offset of every field of every public struct; abi_test.py compares with layout.txt and the header. */
#include <stddef.h>
#include <stdio.h>

#include "wsbeat/wsbeat.h"

#define STRUCT(type) printf(#type " %zu\n", sizeof(type))
#define FIELD(type, name) printf(#type "." #name " %zu %zu\n", offsetof(type, name), sizeof(((type *)NULL)->name))

static void configuration(void) {
  STRUCT(wsb_config);
  FIELD(wsb_config, size);
  FIELD(wsb_config, host);
  FIELD(wsb_config, port);
  FIELD(wsb_config, listen_fd);
  FIELD(wsb_config, unix_path);
  FIELD(wsb_config, backlog);
  FIELD(wsb_config, workers);
  FIELD(wsb_config, delivery);
  FIELD(wsb_config, log_level);
  FIELD(wsb_config, tls_cert_file);
  FIELD(wsb_config, tls_key_file);
  FIELD(wsb_config, tls_ca_file);
  FIELD(wsb_config, tls_client_cert);
  FIELD(wsb_config, tls_min_version);
  FIELD(wsb_config, heartbeat_interval_ms);
  FIELD(wsb_config, heartbeat_timeout_ms);
  FIELD(wsb_config, heartbeat_liveness);
  FIELD(wsb_config, tcp_user_timeout_ms);
  FIELD(wsb_config, handshake_timeout_ms);
  FIELD(wsb_config, close_timeout_ms);
  FIELD(wsb_config, auth_timeout_ms);
  FIELD(wsb_config, idle_timeout_ms);
  FIELD(wsb_config, message_timeout_ms);
  FIELD(wsb_config, max_header_bytes);
  FIELD(wsb_config, max_connections);
  FIELD(wsb_config, max_connections_per_address);
  FIELD(wsb_config, max_messages_per_second);
  FIELD(wsb_config, reserved2);
  FIELD(wsb_config, max_message_bytes);
  FIELD(wsb_config, max_fragments);
  FIELD(wsb_config, slow_consumer);
  FIELD(wsb_config, max_queue_bytes);
  FIELD(wsb_config, max_event_queue_messages);
  FIELD(wsb_config, reserved0);
  FIELD(wsb_config, max_event_queue_bytes);
  FIELD(wsb_config, subprotocols);
  FIELD(wsb_config, require_subprotocol);
  FIELD(wsb_config, reserved1);
  FIELD(wsb_config, origins);
  FIELD(wsb_config, trusted_proxies);
  FIELD(wsb_config, deflate);
  FIELD(wsb_config, deflate_server_max_window_bits);
  FIELD(wsb_config, deflate_client_max_window_bits);
  FIELD(wsb_config, deflate_server_no_context_takeover);
  FIELD(wsb_config, deflate_client_no_context_takeover);
  FIELD(wsb_config, deflate_level);
  FIELD(wsb_config, deflate_mem_level);
  FIELD(wsb_config, deflate_threshold_bytes);
  STRUCT(wsb_callbacks);
  FIELD(wsb_callbacks, size);
  FIELD(wsb_callbacks, user);
  FIELD(wsb_callbacks, on_handshake);
  FIELD(wsb_callbacks, on_http);
  FIELD(wsb_callbacks, on_open);
  FIELD(wsb_callbacks, on_message);
  FIELD(wsb_callbacks, on_fragment);
  FIELD(wsb_callbacks, on_pong);
  FIELD(wsb_callbacks, on_drain);
  FIELD(wsb_callbacks, on_close);
  FIELD(wsb_callbacks, on_refused);
  FIELD(wsb_callbacks, on_log);
  STRUCT(wsb_stop_options);
  FIELD(wsb_stop_options, size);
  FIELD(wsb_stop_options, reason);
  FIELD(wsb_stop_options, code);
  FIELD(wsb_stop_options, deadline_ms);
  FIELD(wsb_stop_options, spread_ms);
  FIELD(wsb_stop_options, reserved);
  STRUCT(wsb_stop_result);
  FIELD(wsb_stop_result, size);
  FIELD(wsb_stop_result, clean);
  FIELD(wsb_stop_result, aborted);
}

static void events(void) {
  STRUCT(wsb_handshake_event);
  FIELD(wsb_handshake_event, size);
  FIELD(wsb_handshake_event, request);
  STRUCT(wsb_http_event);
  FIELD(wsb_http_event, size);
  FIELD(wsb_http_event, request);
  STRUCT(wsb_open_event);
  FIELD(wsb_open_event, size);
  FIELD(wsb_open_event, conn);
  FIELD(wsb_open_event, conn_user);
  FIELD(wsb_open_event, path);
  FIELD(wsb_open_event, query);
  FIELD(wsb_open_event, subprotocol);
  FIELD(wsb_open_event, peer);
  STRUCT(wsb_message_event);
  FIELD(wsb_message_event, size);
  FIELD(wsb_message_event, conn);
  FIELD(wsb_message_event, conn_user);
  FIELD(wsb_message_event, data);
  FIELD(wsb_message_event, length);
  FIELD(wsb_message_event, kind);
  FIELD(wsb_message_event, reserved);
  STRUCT(wsb_fragment_event);
  FIELD(wsb_fragment_event, size);
  FIELD(wsb_fragment_event, conn);
  FIELD(wsb_fragment_event, conn_user);
  FIELD(wsb_fragment_event, data);
  FIELD(wsb_fragment_event, length);
  FIELD(wsb_fragment_event, offset);
  FIELD(wsb_fragment_event, kind);
  FIELD(wsb_fragment_event, final);
  STRUCT(wsb_pong_event);
  FIELD(wsb_pong_event, size);
  FIELD(wsb_pong_event, conn);
  FIELD(wsb_pong_event, conn_user);
  FIELD(wsb_pong_event, data);
  FIELD(wsb_pong_event, length);
  FIELD(wsb_pong_event, heartbeat);
  FIELD(wsb_pong_event, rtt_us);
  STRUCT(wsb_drain_event);
  FIELD(wsb_drain_event, size);
  FIELD(wsb_drain_event, conn);
  FIELD(wsb_drain_event, conn_user);
  FIELD(wsb_drain_event, buffered_bytes);
  STRUCT(wsb_close_event);
  FIELD(wsb_close_event, size);
  FIELD(wsb_close_event, conn);
  FIELD(wsb_close_event, conn_user);
  FIELD(wsb_close_event, code);
  FIELD(wsb_close_event, code_sent);
  FIELD(wsb_close_event, reason);
  FIELD(wsb_close_event, reason_length);
  FIELD(wsb_close_event, clean);
  FIELD(wsb_close_event, initiator);
  FIELD(wsb_close_event, cause);
  FIELD(wsb_close_event, reserved);
  STRUCT(wsb_refused_event);
  FIELD(wsb_refused_event, size);
  FIELD(wsb_refused_event, status);
  FIELD(wsb_refused_event, refusal);
  FIELD(wsb_refused_event, peer);
  STRUCT(wsb_log_event);
  FIELD(wsb_log_event, size);
  FIELD(wsb_log_event, level);
  FIELD(wsb_log_event, reserved);
  FIELD(wsb_log_event, conn);
  FIELD(wsb_log_event, text);
  STRUCT(wsb_event);
  FIELD(wsb_event, size);
  FIELD(wsb_event, type);
  FIELD(wsb_event, reserved);
  FIELD(wsb_event, conn);
  FIELD(wsb_event, open);
  FIELD(wsb_event, message);
  FIELD(wsb_event, pong);
  FIELD(wsb_event, drain);
  FIELD(wsb_event, close);
  FIELD(wsb_event, refused);
  FIELD(wsb_event, log);
}

static void outgoing(void) {
  STRUCT(wsb_outgoing);
  FIELD(wsb_outgoing, size);
  FIELD(wsb_outgoing, conn);
  FIELD(wsb_outgoing, data);
  FIELD(wsb_outgoing, length);
  FIELD(wsb_outgoing, message);
  FIELD(wsb_outgoing, kind);
  FIELD(wsb_outgoing, result);
}

static void reports(void) {
  STRUCT(wsb_conn_info);
  FIELD(wsb_conn_info, size);
  FIELD(wsb_conn_info, conn);
  FIELD(wsb_conn_info, state);
  FIELD(wsb_conn_info, worker);
  FIELD(wsb_conn_info, authenticated);
  FIELD(wsb_conn_info, paused);
  FIELD(wsb_conn_info, tls);
  FIELD(wsb_conn_info, deflate);
  FIELD(wsb_conn_info, peer_port);
  FIELD(wsb_conn_info, heartbeat_interval_ms);
  FIELD(wsb_conn_info, heartbeat_timeout_ms);
  FIELD(wsb_conn_info, heartbeat_waiting);
  FIELD(wsb_conn_info, open_us);
  FIELD(wsb_conn_info, idle_in_us);
  FIELD(wsb_conn_info, idle_message_us);
  FIELD(wsb_conn_info, bytes_in);
  FIELD(wsb_conn_info, bytes_out);
  FIELD(wsb_conn_info, messages_in);
  FIELD(wsb_conn_info, messages_out);
  FIELD(wsb_conn_info, buffered_bytes);
  FIELD(wsb_conn_info, pings_sent);
  FIELD(wsb_conn_info, pongs_received);
  FIELD(wsb_conn_info, rtt_last_us);
  FIELD(wsb_conn_info, rtt_smoothed_us);
  FIELD(wsb_conn_info, rtt_min_us);
  FIELD(wsb_conn_info, reserved);
  STRUCT(wsb_metrics);
  FIELD(wsb_metrics, size);
  FIELD(wsb_metrics, connections);
  FIELD(wsb_metrics, opened);
  FIELD(wsb_metrics, closed);
  FIELD(wsb_metrics, closed_clean);
  FIELD(wsb_metrics, refused);
  FIELD(wsb_metrics, http_requests);
  FIELD(wsb_metrics, accepted);
  FIELD(wsb_metrics, messages_in);
  FIELD(wsb_metrics, messages_out);
  FIELD(wsb_metrics, bytes_in);
  FIELD(wsb_metrics, bytes_out);
  FIELD(wsb_metrics, pings_sent);
  FIELD(wsb_metrics, pongs_received);
  FIELD(wsb_metrics, queue_bytes);
  FIELD(wsb_metrics, queue_refused);
  FIELD(wsb_metrics, messages_dropped);
  FIELD(wsb_metrics, writes);
  FIELD(wsb_metrics, loop_turns);
  FIELD(wsb_metrics, loop_lag_us);
  FIELD(wsb_metrics, closed_by_cause);
}

int main(void) {
  configuration();
  events();
  outgoing();
  reports();
  return 0;
}
