// What stands behind a wsb_request: the request as on_handshake and on_http see it, and what they answer.
#pragma once

#include <cstdint>
#include <forward_list>
#include <string>

#include "core/handshake.h"
#include "core/request.h"
#include "core/transport.h"
#include "wsbeat/wsbeat.h"

struct wsb_request {
  wsb_request(const wsb::core::Request& its_request, const std::string& its_peer, wsb::core::Transport& its_transport,
              wsb::core::Handshake* its_handshake)
      : request(its_request), peer(its_peer), transport(its_transport), handshake(its_handshake) {}

  const wsb::core::Request& request;
  const std::string& peer;
  wsb::core::Transport& transport;
  wsb::core::Handshake* handshake;  // null in on_http

  wsb::core::HeaderList headers;
  void* conn_user = nullptr;
  bool authenticated = false;

  bool answered = false;
  uint32_t status = 0;
  std::string content_type;
  std::string body;

  // Texts handed out, kept until the callback returns.
  std::forward_list<std::string> texts;
  const char* keep(std::string text) { return texts.emplace_front(std::move(text)).c_str(); }
};
