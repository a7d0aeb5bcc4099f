# Turns the page into a C++ constant: cmake -DINPUT=file -DOUTPUT=file.cpp -P embed.cmake
file(READ "${INPUT}" bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "// Made from a file by embed.cmake.
#include \"page.h\"

namespace tool {

namespace {

const unsigned char bytes[] = {
${bytes}
};

}  // namespace

std::string_view page() { return {reinterpret_cast<const char *>(bytes), sizeof bytes}; }

}  // namespace tool
")
