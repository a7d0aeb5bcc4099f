// From requests of the subprotocol to the library's calls, and from their errors to its error codes.
#include "topics.h"

#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

bool may(App &app, Peer &peer, const TopicRequest &request, const std::vector<std::string> &patterns) {
  if (allows(patterns, request.topic)) return true;
  reply(app, peer, topic_error(request.id, "refused", wsb_strerror(WSB_E_REFUSED)));
  return false;
}

// What is answered without an id must not leave the former request of this subscription waiting for ever.
void end_resuming(App &app, Peer &peer, const std::string &subscription, const char *why) {
  const auto found = peer.topics->resuming.find(subscription);
  if (found == peer.topics->resuming.end()) return;
  reply(app, peer, topic_error(found->second, "failed", why));
  peer.topics->resuming.erase(found);
}

void subscribe(App &app, Peer &peer, const TopicRequest &request) {
  const std::string &topic = request.topic;
  wsb_subscribe_options options;
  wsb_subscribe_options_init(&options);
  if (request.after) {
    options.flags = WSB_SUBSCRIBE_RESUME;
    options.after = *request.after;
  }
  const int result = wsb_subscribe_with(app.server, peer.conn, topic.data(), topic.size(), &options);
  if (result <= 0) return answer(app, peer, request, result);
  end_resuming(app, peer, topic, "subscribed again before");
  if (!request.id.empty()) peer.topics->resuming.emplace(topic, request.id);
}

void unsubscribe(App &app, Peer &peer, const TopicRequest &request) {
  const std::string &topic = request.topic;
  const int result = wsb_unsubscribe(app.server, peer.conn, topic.data(), topic.size());
  if (result == WSB_OK) end_resuming(app, peer, topic, "unsubscribed before");
  answer(app, peer, request, result);
}

// Waits for what becomes of one publication.
struct Storing {
  std::shared_ptr<LateAnswers> answers;
  std::string id;
};

void on_stored(const wsb_stored_event *event, void *context) {
  const std::unique_ptr<Storing> storing(static_cast<Storing *>(context));
  try {
    if (event->result == WSB_OK) {
      if (!storing->id.empty())
        storing->answers->send(topic_stored(storing->id, event->sequence, event->duplicate != 0));
    } else if (event->result != WSB_E_STATE) {  // then the connection ends too
      storing->answers->send(
          topic_error(storing->id, "failed", std::string("not stored: ") + wsb_strerror(event->result)));
    }
  } catch (const std::bad_alloc &) {
    return;
  }
}

void publish(App &app, Peer &peer, const TopicRequest &request) {
  if (!may(app, peer, request, app.options.may_publish)) return;
  const std::string &topic = request.topic;
  const int durable = wsb_topic_is_durable(app.server, topic.data(), topic.size());
  if (durable == 0 && !request.key.empty()) {
    return reply(app, peer, topic_error(request.id, "not_durable", "only messages of durable topics have a key"));
  }
  wsb_publish_options options;
  wsb_publish_options_init(&options);
  if (!request.echo) options.exclude = peer.conn;
  if (request.retain) options.flags = WSB_PUBLISH_RETAIN;
  std::unique_ptr<Storing> storing;
  if (durable == 1) {
    storing = std::make_unique<Storing>(Storing{peer.topics->answers, request.id});
    options.on_stored = on_stored;
    options.context = storing.get();
    options.key = request.key.empty() ? nullptr : request.key.data();
    options.key_length = request.key.size();
  }
  const std::string event = topic_event(topic, request.data);
  wsb_publish_result result;
  wsb_publish_result_init(&result);
  const int error =
      wsb_publish(app.server, topic.data(), topic.size(), WSB_TEXT, event.data(), event.size(), &options, &result);
  if (error != WSB_OK) return answer(app, peer, request, error);
  if (result.durable != 0) {
    if (result.backplane == WSB_OK) {
      static_cast<void>(storing.release());  // on_stored has it
    } else {
      reply(app, peer, topic_error(request.id, "failed", std::string("not stored: ") + wsb_strerror(result.backplane)));
    }
  } else if (!request.id.empty()) {
    reply(app, peer, topic_published(request.id, result.reached, result.refused, result.backplane == WSB_OK));
  }
}

void join(App &app, Peer &peer, const TopicRequest &request) {
  if (!may(app, peer, request, app.options.may_publish)) return;
  const std::string &topic = request.topic;
  const int result =
      wsb_join(app.server, peer.conn, topic.data(), topic.size(), request.member.data(), request.member.size());
  const bool plain = topic.find_first_of("*>") == std::string::npos &&
                     wsb_topic_covers(topic.data(), topic.size(), topic.data(), topic.size()) == 1;
  if (result == WSB_E_INVALID && plain) {
    return reply(
        app, peer,
        topic_error(request.id, "bad_request", "\"member\" has 1 to 255 bytes, none of them a control character"));
  }
  answer(app, peer, request, result);
}

int add_member(const char *member, size_t length, void *user) {
  try {
    static_cast<std::vector<std::string> *>(user)->emplace_back(member, length);
    return 0;
  } catch (const std::bad_alloc &) {
    return 1;
  }
}

void watch(App &app, Peer &peer, const TopicRequest &request) {
  if (!may(app, peer, request, app.options.may_subscribe)) return;
  const std::string &topic = request.topic;
  const int result = wsb_watch(app.server, peer.conn, topic.data(), topic.size());
  if (result != WSB_OK || request.id.empty()) return answer(app, peer, request, result);
  std::vector<std::string> members;
  const int64_t told = wsb_members(app.server, topic.data(), topic.size(), add_member, &members);
  if (told < 0) return answer(app, peer, request, static_cast<int>(told));
  reply(app, peer, topic_members(request.id, members));
}

void carry_out(App &app, Peer &peer, const TopicRequest &request) {
  const std::string &topic = request.topic;
  switch (request.kind) {
    case TopicRequest::Kind::kSubscribe:
      return subscribe(app, peer, request);
    case TopicRequest::Kind::kUnsubscribe:
      return unsubscribe(app, peer, request);
    case TopicRequest::Kind::kPublish:
      return publish(app, peer, request);
    case TopicRequest::Kind::kJoin:
      return join(app, peer, request);
    case TopicRequest::Kind::kLeave:
      return answer(app, peer, request, wsb_leave(app.server, peer.conn, topic.data(), topic.size()));
    case TopicRequest::Kind::kWatch:
      return watch(app, peer, request);
    case TopicRequest::Kind::kUnwatch:
      return answer(app, peer, request, wsb_unwatch(app.server, peer.conn, topic.data(), topic.size()));
  }
}

wsb_message *text_message(const std::string &text) {
  return wsb_message_create(WSB_TEXT, text.data(), text.size());
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
  carry_out(app, peer, request);
  if (peer.topics->answers->waiting()) app.timers.pause_for_backpressure(app.server, peer);
}

void take_resumed(Peer &peer, const wsb_resumed_event &event) {
  if (peer.topics == nullptr) return;
  const auto found = peer.topics->resuming.find(std::string(event.topic, event.topic_length));
  if (found == peer.topics->resuming.end()) return;
  peer.topics->answers->send(topic_resumed(found->second, event.sequence, event.missed != 0));
  peer.topics->resuming.erase(found);
}

wsb_message *message_of(const wsb_durable_event &event) {
  if (event.kind != WSB_TEXT) return nullptr;
  const std::string_view replay = event.subscription == nullptr
                                      ? std::string_view()
                                      : std::string_view(event.subscription, event.subscription_length);
  const std::string text =
      topic_durable_event({static_cast<const char *>(event.data), event.length}, event.sequence, replay);
  return text.empty() ? nullptr : text_message(text);
}

wsb_message *message_of(const wsb_presence_event &event) {
  return text_message(
      topic_presence({event.topic, event.topic_length}, {event.member, event.member_length}, event.present != 0));
}

int judge_subscription(const Options &options, const wsb_subscribe_event &event) {
  return allows(options.may_subscribe, {event.topic, event.topic_length}) ? 0 : 1;
}

}  // namespace tool
