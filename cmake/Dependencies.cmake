# What the library stands on, all by pkg-config: imported targets PkgConfig::LWS, PkgConfig::UV, PkgConfig::OPENSSL, PkgConfig::ZLIB.
find_package(PkgConfig REQUIRED)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

pkg_check_modules(LWS REQUIRED IMPORTED_TARGET "libwebsockets>=4.1")
# libwebsockets appends a build tag to its version ("4.1.6-").
string(REGEX MATCH "^[0-9.]+" lws_version "${LWS_VERSION}")
if(lws_version VERSION_GREATER_EQUAL 6)
  message(FATAL_ERROR "libwebsockets ${LWS_VERSION} is too new: wsbeat needs 4.1 or newer and below 6")
endif()
pkg_check_modules(UV REQUIRED IMPORTED_TARGET "libuv>=1.40")
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET "openssl>=1.1.1")
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
