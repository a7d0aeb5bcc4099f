// Presence as the backplane is told it.
#include "server/backplane.h"

namespace wsb::server {

// What cannot be told any more need not be: with the server its joins end too.
template <typename Call>
int Backplane::tell(Call&& call) noexcept {
  const std::shared_lock<std::shared_mutex> open(closing_, std::try_to_lock);
  return open && present() ? call() : int{WSB_OK};
}

int Backplane::join(std::string_view topic, std::string_view member, uint64_t number) noexcept {
  return tell(
      [&] { return calls_.join(calls_.self, topic.data(), topic.size(), member.data(), member.size(), number); });
}

int Backplane::leave(std::string_view topic, uint64_t number) noexcept {
  return tell([&] { return calls_.leave(calls_.self, topic.data(), topic.size(), number); });
}

int Backplane::watch(std::string_view topic, uint64_t number) noexcept {
  return tell([&] { return calls_.watch(calls_.self, topic.data(), topic.size(), number); });
}

int Backplane::unwatch(uint64_t number) noexcept {
  return tell([&] { return calls_.unwatch(calls_.self, number); });
}

}  // namespace wsb::server
