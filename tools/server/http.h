// Plain HTTP on the WebSocket's port: the page, health, metrics and the list of connections.
#pragma once

#include <wsbeat/wsbeat.h>

#include "app.h"

namespace tool {

// on_http.
void answer_http(App &app, wsb_request *request);

}  // namespace tool
