// One connection as a JSON object, for /info and /api/connections.
#pragma once

#include <wsbeat/wsbeat.h>

#include <string>

namespace tool {

// Appends the object; false, with nothing appended, if the connection has ended.
bool append_conn_json(std::string &out, wsb_server *server, wsb_conn conn);

}  // namespace tool
