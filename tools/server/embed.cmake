# Turns files into C++ constants: cmake -DFOLDER=page -DFILES=index.html,style.css -DOUTPUT=file.cpp -P embed.cmake
# index.html is served at /, every other file at /page/NAME.
set(types_html "text/html; charset=utf-8")
set(types_css "text/css; charset=utf-8")
set(types_js "text/javascript; charset=utf-8")
set(constants "")
set(table "")
set(number 0)
string(REPLACE "," ";" FILES "${FILES}")
foreach(name IN LISTS FILES)
  file(READ "${FOLDER}/${name}" bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "^.*\\." "" extension "${name}")
  set(path "/page/${name}")
  if(name STREQUAL "index.html")
    set(path "/")
  endif()
  string(APPEND constants "const unsigned char file_${number}[] = {\n${bytes}\n};\n\n")
  string(APPEND table "    {\"${path}\", \"${types_${extension}}\", {reinterpret_cast<const char *>(file_${number}), sizeof file_${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}" "// Made from files by embed.cmake.
#include \"page.h\"

namespace tool {

namespace {

${constants}}  // namespace

PageFiles page_files() {
  static const PageFile files[] = {
${table}  };
  return {files, sizeof files / sizeof *files};
}

}  // namespace tool
")
