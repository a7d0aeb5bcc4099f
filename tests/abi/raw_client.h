/* The smallest WebSocket client on a blocking socket, for clients that must not depend on anything but libc. Short messages only. */
#ifndef RAW_CLIENT_H
#define RAW_CLIENT_H

#include <stddef.h>
#include <stdint.h>

/* Ends the program with a line on stderr when a condition does not hold; on in every build type. */
#define CHECK(condition)                                            \
  do {                                                              \
    if (!(condition)) check_failed(#condition, __FILE__, __LINE__); \
  } while (0)

_Noreturn void check_failed(const char *condition, const char *file, int line);

/* Connects to 127.0.0.1 and completes the opening handshake of RFC 6455, 1.3; gives the socket. Reads time out after 10 s. */
int raw_connect(uint32_t port);

/* Sends one masked frame with FIN set; at most 125 bytes. */
void raw_send(int fd, unsigned opcode, const void *payload, size_t length);

/* Reads one frame, which must be final, unmasked, of this opcode and carry exactly this payload. */
void raw_expect(int fd, unsigned opcode, const void *payload, size_t length);

/* The peer must end the stream now; closes the socket. */
void raw_expect_end(int fd);

#endif
