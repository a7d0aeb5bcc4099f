# Run by cpack on the staged files of each package: what Debian's policy asks for beyond our own installation.
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, where that is set

file(GLOB components LIST_DIRECTORIES TRUE "${CPACK_TEMPORARY_DIRECTORY}/*")
foreach(component ${components})
  get_filename_component(name "${component}" NAME)
  string(TOUPPER "${name}" upper)
  set(package "${CPACK_DEBIAN_${upper}_PACKAGE_NAME}")
  if(package)
    set(documents "${component}/usr/share/doc/${package}")
    configure_file("${CMAKE_CURRENT_LIST_DIR}/../LICENSE" "${documents}/copyright" COPYONLY)
    file(WRITE "${documents}/changelog.Debian"
         "${CPACK_PACKAGE_NAME} (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium\n\n"
         "  * Made from the upstream tree; its changes are in /usr/share/doc/wsbeat/CHANGELOG.md of libwsbeat-dev.\n\n"
         " -- ${CPACK_PACKAGE_CONTACT}  ${now}\n")
    file(GLOB pages "${component}/usr/share/man/man*/*.[1-9]")
    foreach(page "${documents}/changelog.Debian" ${pages})
      execute_process(COMMAND gzip -9 -n "${page}" COMMAND_ERROR_IS_FATAL ANY)
    endforeach()
  endif()
endforeach()
