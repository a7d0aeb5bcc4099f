// The backplane over NATS: a library of its own, looked for when a server wants it, so that this module needs neither it nor NATS's client.
#include <dlfcn.h>
#include <sys/eventfd.h>

#include <array>
#include <cstdio>

#include "engine.h"
#include "errors.h"

namespace binding {

namespace {

#define BINDING_TEXT_(number) #number
#define BINDING_TEXT(number) BINDING_TEXT_(number)
// The Debian package has the number of the SONAME in its name.
#if WSB_VERSION_MAJOR == 0
#define BINDING_PACKAGE "libwsbeat-nats0." BINDING_TEXT(WSB_VERSION_MINOR)
#else
#define BINDING_PACKAGE "libwsbeat-nats" BINDING_TEXT(WSB_VERSION_MAJOR)
#endif
constexpr char kMissing[] = "nats: libwsbeat-nats cannot be loaded (%s): install " BINDING_PACKAGE
                            ", or libnats-dev and then this package again";

}  // namespace

void Engine::join_nats(const std::string& library, const py::dict& options) {
  check_usable();
  wsb_nats_options wished;
  wsb_nats_options_init(&wished);
  std::vector<std::string> texts;
  add_settings_to(wished, options, texts);
  if (stored_fd_ < 0) stored_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (stored_fd_ < 0) raise(WSB_E_SYSTEM, "no eventfd");
  std::array<char, 512> text = {};
  const int result = unlocked([&]() -> int {
    void* const loaded = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays until the end
    const auto create =
        loaded != nullptr ? reinterpret_cast<decltype(&wsb_nats_create)>(::dlsym(loaded, "wsb_nats_create")) : nullptr;
    if (create == nullptr) {
      const char* const why = ::dlerror();
      std::snprintf(text.data(), text.size(), kMissing, why != nullptr ? why : "it has no wsb_nats_create");
      return WSB_E_CONFIG;
    }
    wsb_backplane backplane;
    const int created = create(&wished, &backplane, text.data(), text.size());
    if (created != WSB_OK) return created;
    const int taken = wsb_server_set_backplane(server_, &backplane);
    if (taken != WSB_OK) backplane.close(backplane.self);
    return taken;
  });
  if (result != WSB_OK) raise(result, text[0] != '\0' ? text.data() : nullptr);
}

}  // namespace binding
