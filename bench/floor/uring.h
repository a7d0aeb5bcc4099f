// The ring that both the server and the measure of single calls use.
#pragma once

struct io_uring;

namespace floor_of {

// nullptr, or why there is none.
const char *open_ring(io_uring *ring);

}  // namespace floor_of
