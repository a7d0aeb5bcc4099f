// What Prometheus calls the standard metrics of a process.
#pragma once

#include <string>

namespace tool {

// Appends process_* in text format; what the system does not tell is left out.
void append_process_metrics(std::string &out);

}  // namespace tool
