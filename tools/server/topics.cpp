// From requests of the subprotocol to the library's calls, and from their errors to its error codes.
#include "topics.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "modes.h"
#include "topic_protocol.h"

namespace tool {
namespace {

// True if one of the patterns, or there being none, allows it. What is malformed is left to the library to refuse.
bool allows(const std::vector<std::string> &patterns, std::string_view topic) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [&](const std::string &pattern) {
           return wsb_topic_covers(pattern.data(), pattern.size(), topic.data(), topic.size()) != 0;
         });
}

const char *code_of(int error) {
  switch (error) {
    case WSB_E_INVALID:
      return "bad_topic";
    case WSB_E_REFUSED:
      return "refused";
    case WSB_E_LIMIT:
      return "limit";
    case WSB_E_NOT_SUBSCRIBED:
      return "not_subscribed";
    case WSB_E_TOO_BIG:
      return "too_big";
    default:
      return "failed";
  }
}

void answer(App &app, Peer &peer, const TopicRequest &request, int error) {
  if (error == WSB_E_CLOSED) return;
  if (error != WSB_OK) {
    reply(app, peer, topic_error(request.id, code_of(error), wsb_last_error()));
  } else if (!request.id.empty()) {
    reply(app, peer, topic_acknowledged(request.id));
  }
}

void publish(App &app, Peer &peer, const TopicRequest &request) {
  if (!allows(app.options.may_publish, request.topic)) {
    return reply(app, peer, topic_error(request.id, "refused", wsb_strerror(WSB_E_REFUSED)));
  }
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  if (!request.echo) options.exclude = peer.conn;
  if (request.retain) options.flags = WSB_PUBLISH_RETAIN;
  const std::string event = topic_event(request.topic, request.data);
  wsb_publish_result result;
  wsb_publish_result_init(&result);
  const int error = wsb_publish(app.server, request.topic.data(), request.topic.size(), WSB_TEXT, event.data(),
                                event.size(), &options, &result);
  if (error != WSB_OK) return answer(app, peer, request, error);
  if (!request.id.empty())
    reply(app, peer, topic_published(request.id, result.reached, result.refused, result.backplane == WSB_OK));
}

}  // namespace

void take_topic_message(App &app, Peer &peer, const wsb_message_event &event) {
  if (event.kind != WSB_TEXT) {
    return reply(app, peer, topic_error("", "bad_request", "binary messages have no meaning here"));
  }
  TopicRequest request;
  std::string why;
  if (!read_topic_request({reinterpret_cast<const char *>(event.data), event.length}, request, why)) {
    return reply(app, peer, topic_error(request.id, "bad_request", why));
  }
  const std::string &topic = request.topic;
  switch (request.kind) {
    case TopicRequest::Kind::kSubscribe:
      return answer(app, peer, request, wsb_subscribe(app.server, peer.conn, topic.data(), topic.size()));
    case TopicRequest::Kind::kUnsubscribe:
      return answer(app, peer, request, wsb_unsubscribe(app.server, peer.conn, topic.data(), topic.size()));
    case TopicRequest::Kind::kPublish:
      return publish(app, peer, request);
  }
}

int judge_subscription(const Options &options, const wsb_subscribe_event &event) {
  return allows(options.may_subscribe, {event.topic, event.topic_length}) ? 0 : 1;
}

}  // namespace tool
