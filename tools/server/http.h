// Plain HTTP on the WebSocket's port: the page, health, metrics, the list of connections, the dashboard's question.
#pragma once

#include <wsbeat/wsbeat.h>

#include <cstdint>
#include <string_view>

#include "app.h"

namespace tool {

// Answers that are not kept by caches and are nothing but what they say they are.
void respond(wsb_request *request, uint32_t status, const char *type, std::string_view body);
void respond_text(wsb_request *request, uint32_t status, std::string_view text);

// on_http.
void answer_http(App &app, wsb_request *request);

}  // namespace tool
