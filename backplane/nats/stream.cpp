// STREAM.INFO, then CREATE or UPDATE if need be.
#include "stream.h"

#include <algorithm>
#include <utility>

namespace wsb::nats {

namespace {

constexpr int64_t kNsPerMs = 1'000'000;
constexpr int64_t kDuplicatesMs = 120'000;
constexpr uint32_t kNotFound = 10059;  // JetStream's code

bool differs(const nlohmann::json& has, const nlohmann::json& wanted) {
  return std::any_of(wanted.items().begin(), wanted.items().end(), [&](const auto& member) {
    const auto found = has.find(member.key());
    return found == has.end() || *found != member.value();
  });
}

}  // namespace

StreamInfo stream_info(const Answer& answer) {
  const nlohmann::json& state = object_of(answer.json, "state");
  return {text_of(answer.json, "created"), number_of(state, "first_seq"), text_of(state, "first_ts"),
          number_of(state, "last_seq")};
}

void ask_stream(Wire& wire, const std::string& stream, Wire::Answered answered) {
  wire.ask("$JS.API.STREAM.INFO." + stream, "", std::move(answered));
}

void ensure_stream(const WireRef& wire, nlohmann::json config, Wire::Answered answered) {
  const std::string name = config["name"];
  ask_stream(*wire, name, [wire, name, config = std::move(config), answered = std::move(answered)](const Answer& is) {
    if (!is.ok() && is.err_code != kNotFound) return answered(is);
    std::string verb = "CREATE";
    nlohmann::json wanted = config;
    if (is.ok()) {
      const nlohmann::json& has = object_of(is.json, "config");
      if (!differs(has, config)) return answered(is);
      verb = "UPDATE";
      wanted = has;
      wanted.update(config);
    }
    wire->post([wire, subject = "$JS.API.STREAM." + verb + "." + name, wanted = wanted.dump(), answered] {
      wire->ask(subject, wanted, answered);
    });
  });
}

nlohmann::json stream_config(const DurableTopics& topics, const DurableSettings& settings) {
  const int64_t age_ms = settings.max_age_ms;
  return {{"name", topics.stream()},
          {"subjects", topics.subjects()},
          {"retention", "limits"},
          {"discard", "old"},
          {"storage", "file"},
          {"max_consumers", -1},
          {"max_msgs", -1},
          {"max_bytes", settings.max_bytes},
          {"max_age", age_ms * kNsPerMs},
          {"max_msgs_per_subject", -1},
          {"num_replicas", settings.replicas},
          {"duplicate_window", (age_ms == 0 ? kDuplicatesMs : std::min(age_ms, kDuplicatesMs)) * kNsPerMs}};
}

}  // namespace wsb::nats
