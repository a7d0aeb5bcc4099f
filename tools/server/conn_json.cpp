// Every field of wsb_conn_info under its own name.
#include "conn_json.h"

#include "json.h"

namespace tool {
namespace {

std::string conn_string(wsb_server *server, wsb_conn conn, uint32_t which) {
  std::string text(256, '\0');
  while (true) {
    const int64_t length = wsb_conn_string(server, conn, which, text.data(), text.size() + 1);
    if (length < 0) return "";
    const bool whole = static_cast<size_t>(length) <= text.size();
    text.resize(static_cast<size_t>(length));
    if (whole) return text;
  }
}

}  // namespace

bool append_conn_json(std::string &out, wsb_server *server, wsb_conn conn) {
  wsb_conn_info info;
  wsb_conn_info_init(&info);
  if (wsb_conn_get_info(server, conn, &info) != WSB_OK) return false;
  JsonObject object(out);
  object.id("conn", conn)
      .text("state", wsb_state_name(info.state))
      .text("path", conn_string(server, conn, WSB_STRING_PATH))
      .text("subprotocol", conn_string(server, conn, WSB_STRING_SUBPROTOCOL))
      .text("peer", conn_string(server, conn, WSB_STRING_PEER))
      .number("peer_port", info.peer_port)
      .number("worker", info.worker)
      .boolean("authenticated", info.authenticated != 0)
      .boolean("paused", info.paused != 0)
      .boolean("tls", info.tls != 0)
      .boolean("deflate", info.deflate != 0)
      .boolean("heartbeat", info.heartbeat_interval_ms != WSB_OFF)
      .boolean("heartbeat_waiting", info.heartbeat_waiting != 0);
  if (info.heartbeat_interval_ms != WSB_OFF) {
    object.number("heartbeat_interval_ms", info.heartbeat_interval_ms)
        .number("heartbeat_timeout_ms", info.heartbeat_timeout_ms)
        .number("heartbeat_due_us", info.heartbeat_due_us);
  }
  object.number("open_us", info.open_us)
      .number("idle_in_us", info.idle_in_us)
      .number("idle_message_us", info.idle_message_us)
      .number("bytes_in", info.bytes_in)
      .number("bytes_out", info.bytes_out)
      .number("messages_in", info.messages_in)
      .number("messages_out", info.messages_out)
      .number("buffered_bytes", info.buffered_bytes)
      .number("pings_sent", info.pings_sent)
      .number("pongs_received", info.pongs_received)
      .number("rtt_last_us", info.rtt_last_us)
      .number("rtt_smoothed_us", info.rtt_smoothed_us)
      .number("rtt_min_us", info.rtt_min_us)
      .end();
  return true;
}

}  // namespace tool
