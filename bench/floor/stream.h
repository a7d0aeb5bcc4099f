// The least of WebSocket that the load client needs: the upgrade, masks taken off, frames back. Nothing is checked.
#pragma once

#include <cstddef>

namespace floor_of {

// What take() found. All of it lies in the bytes that it was given.
struct Taken {
  char *out;         // to be sent: the answer to the upgrade, and the frames without their masks
  size_t out_size;   // 0: nothing
  char *rest;        // the beginning of a request or frame of which more must come
  size_t rest_size;  // 0: nothing
  size_t want;       // bytes of the whole frame that begins at rest, as far as it is known
  bool refused;      // no request for a WebSocket, or a frame beyond all measure
};

class Stream {
 public:
  // The bytes of one connection from the last rest on. They are changed: what is to be sent takes their place.
  Taken take(char *data, size_t size);
  bool open() const { return open_; }

 private:
  bool open_ = false;
};

}  // namespace floor_of
