// The same in C++, on a thread of its own: the header compiles as C++ with warnings on, and wsb_server_run gives the thread back.
#include <wsbeat/wsbeat.h>

#include <iostream>
#include <memory>
#include <thread>

int main() {
  wsb_config config;
  wsb_config_init(&config);
  config.host = "::1";
  config.workers = 2;
  wsb_server* raw = nullptr;
  if (wsb_server_create(&config, nullptr, &raw) != WSB_OK) {
    std::cerr << wsb_last_error() << "\n";
    return 1;
  }
  const std::unique_ptr<wsb_server, int (*)(wsb_server*)> server(raw, wsb_server_destroy);
  int result = WSB_E_INTERNAL;
  std::thread runner([&] { result = wsb_server_run(server.get()); });
  while (wsb_server_request_stop(server.get(), nullptr) == WSB_E_STATE) std::this_thread::yield();
  runner.join();
  std::cout << wsb_version_string() << " " << wsb_strerror(result) << "\n";
  return result == WSB_OK ? 0 : 1;
}
