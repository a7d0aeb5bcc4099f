// What can be asked of a server. Each runs for as long as the options say and prints its result.
#pragma once

#include "options.h"

namespace load {

void run_echo(const Options &options);
void run_handshakes(const Options &options);
void run_visits(const Options &options);
void run_fanout(const Options &options);
void run_idle(const Options &options);
void run_mixed(const Options &options);

}  // namespace load
