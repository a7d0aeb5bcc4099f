/* The one place where wsbeat's version stands; the build reads it from here. */
#ifndef WSBEAT_VERSION_H
#define WSBEAT_VERSION_H

#define WSB_VERSION_MAJOR 0
#define WSB_VERSION_MINOR 1
#define WSB_VERSION_PATCH 0
#define WSB_VERSION_STRING "0.1.0"

/* One comparable number: 0x00MMmmpp. */
#define WSB_VERSION_NUMBER ((WSB_VERSION_MAJOR << 16) | (WSB_VERSION_MINOR << 8) | WSB_VERSION_PATCH)

#endif
