// Makes a JetStream stream what it should be, by questions and answers.
#pragma once

#include <functional>
#include <string>

#include "durable_topics.h"
#include "wire.h"

namespace wsb::nats {

struct StreamInfo {
  std::string created;     // may change with a cluster's leader, if several servers had asked for the stream at once
  uint64_t first = 0;      // sequences
  std::string first_time;  // when the first of its messages was stored
  uint64_t last = 0;
  bool is_empty() const noexcept { return first > last || last == 0; }
};
StreamInfo stream_info(const Answer& answer);

// On the backplane's thread. The answer is that of a stream's information, or what went wrong.
void ask_stream(Wire& wire, const std::string& stream, Wire::Answered answered);

/*
 * On the backplane's thread: creates the stream (config["name"]), or changes what differs of the fields that `config` has, and then gives its
 * information, or what went wrong. `answered` comes on any thread.
 */
void ensure_stream(const WireRef& wire, nlohmann::json config, Wire::Answered answered);

nlohmann::json stream_config(const DurableTopics& topics, const DurableSettings& settings);

}  // namespace wsb::nats
