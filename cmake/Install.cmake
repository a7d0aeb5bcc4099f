# What `cmake --install` puts where. Components: runtime (the library), server (the program), dev (headers and build files).
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/wsbeat)

install(TARGETS wsbeat EXPORT wsbeatTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev)
install(EXPORT wsbeatTargets NAMESPACE wsbeat:: DESTINATION ${package_dir} COMPONENT dev)
if(WSBEAT_BUILD_STATIC)
  # A file of its own, so that a package without the static library does not name it.
  install(TARGETS wsbeat_static EXPORT wsbeatStaticTargets
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
  install(EXPORT wsbeatStaticTargets NAMESPACE wsbeat:: DESTINATION ${package_dir} COMPONENT dev)
endif()
install(DIRECTORY include/wsbeat DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev FILES_MATCHING PATTERN "*.h")

configure_package_config_file(cmake/wsbeatConfig.cmake.in wsbeatConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break, so only the same minor version is compatible.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
else()
  set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file(wsbeatConfigVersion.cmake COMPATIBILITY ${compatibility})
install(FILES ${PROJECT_BINARY_DIR}/wsbeatConfig.cmake ${PROJECT_BINARY_DIR}/wsbeatConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT dev)

# wsbeat.pc finds its prefix from where it lies, so an installed tree may be moved.
file(RELATIVE_PATH pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
configure_file(pkgconfig/wsbeat.pc.in wsbeat.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/wsbeat.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

if(TARGET wsbeat-nats)
  # A file of its own: who has the base package alone does not have this library.
  install(TARGETS wsbeat-nats EXPORT wsbeatNatsTargets
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT nats NAMELINK_COMPONENT natsdev)
  install(EXPORT wsbeatNatsTargets NAMESPACE wsbeat:: DESTINATION ${package_dir} COMPONENT natsdev)
  configure_file(pkgconfig/wsbeat-nats.pc.in wsbeat-nats.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/wsbeat-nats.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT natsdev)
endif()

if(TARGET wsbeat-server)
  install(TARGETS wsbeat-server RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT server)
  install(FILES docs/man/wsbeat-server.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT server)
endif()

install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT dev)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/guide COMPONENT dev FILES_MATCHING PATTERN "*.md" PATTERN "*.png" PATTERN man EXCLUDE)
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT dev
        FILES_MATCHING PATTERN "*.c" PATTERN "*.cpp" PATTERN "*.py" PATTERN "*.sh" PATTERN "*.html" PATTERN "*.conf" PATTERN "*.cfg" PATTERN "*.service" PATTERN "*.socket"
        PATTERN "*.yml" PATTERN "*.json")
