/* Visibility of the exported names. Everything else in the library is hidden. */
#ifndef WSBEAT_EXPORT_H
#define WSBEAT_EXPORT_H

#if defined(WSB_STATIC)
#define WSB_API
#elif defined(__GNUC__)
#define WSB_API __attribute__((visibility("default")))
#else
#define WSB_API
#endif

#if defined(__cplusplus)
#define WSB_NOEXCEPT noexcept
#else
#define WSB_NOEXCEPT
#endif

#endif
