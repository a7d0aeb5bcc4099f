# cpack: Debian packages, named as Debian names them: libwsbeat<SONAME version>, libwsbeat-dev and wsbeat-server, and with NATS
# libwsbeat-nats<SONAME version> and libwsbeat-nats-dev.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME wsbeat)
set(CPACK_PACKAGE_VENDOR wsbeat)
set(CPACK_PACKAGE_CONTACT "The wsbeat authors <authors@wsbeat.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each package has its own; the first line of its description
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/DebianFiles.cmake)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_COMPONENTS_ALL runtime dev server nats natsdev)
if(NOT TARGET wsbeat-nats)
  list(REMOVE_ITEM CPACK_COMPONENTS_ALL nats natsdev)
endif()
if(NOT TARGET wsbeat-server)
  list(REMOVE_ITEM CPACK_COMPONENTS_ALL server)
endif()

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/lib)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libwsbeat${WSBEAT_SOVERSION})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
# libwebsockets loads its libuv plugin by name at run time, which no linker sees.
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS libwebsockets-evlib-uv)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "embeddable WebSocket server library
RFC 6455 and RFC 7692 over libwebsockets and libuv, behind a C ABI.
It always knows which connections are alive, and why each of the others ended.")
# cpack's own postinst calls ldconfig; the trigger is what Debian's policy wants instead.
file(WRITE ${PROJECT_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/debian/triggers)

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libwsbeat-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
# pkg-config reads the files of what wsbeat.pc requires privately, even for shared linking.
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libwebsockets-dev, libuv1-dev, libssl-dev, zlib1g-dev")
set(CPACK_COMPONENT_DEV_DEPENDS runtime)
set(CPACK_COMPONENT_DEV_DESCRIPTION "embeddable WebSocket server library, development files
Headers, CMake package, pkg-config file, documentation and examples of
wsbeat.")

set(CPACK_DEBIAN_SERVER_PACKAGE_NAME wsbeat-server)
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION net)
set(CPACK_COMPONENT_SERVER_DEPENDS runtime)
set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS libwsbeat-nats${WSBEAT_SOVERSION})
set(CPACK_COMPONENT_SERVER_DESCRIPTION "WebSocket server program on libwsbeat
Echoes, broadcasts or swallows messages, and serves a page, health and
metrics on the same port.")

set(CPACK_DEBIAN_NATS_PACKAGE_NAME libwsbeat-nats${WSBEAT_SOVERSION})
set(CPACK_DEBIAN_NATS_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_NATS_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/debian/triggers)
set(CPACK_COMPONENT_NATS_DEPENDS runtime)
set(CPACK_COMPONENT_NATS_DESCRIPTION "backplane of wsbeat servers over NATS
Carries publications between wsbeat servers, with NATS's own C client.
wsbeat-server loads it when it is started with --nats.")

set(CPACK_DEBIAN_NATSDEV_PACKAGE_NAME libwsbeat-nats-dev)
set(CPACK_DEBIAN_NATSDEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_NATSDEV_PACKAGE_DEPENDS "libnats-dev")
set(CPACK_COMPONENT_NATSDEV_DEPENDS nats dev)
set(CPACK_COMPONENT_NATSDEV_DESCRIPTION "backplane of wsbeat servers over NATS, development files
Link of the library, pkg-config file and CMake targets of wsbeat-nats.")

include(CPack)
