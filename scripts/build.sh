#!/bin/bash
# Configures a preset (with further -D options) and builds it, or the targets named by TARGETS, in build/<preset>.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:?usage: scripts/build.sh PRESET [-DOPTION=VALUE]...}
shift
options=("$@")
if command -v ccache >/dev/null; then
  # Trees that compile alike share objects: compiled code does not name its build folder, see cmake/Compiler.cmake.
  export CCACHE_NOHASHDIR=1
  options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
# A tree that was configured elsewhere (a moved checkout) cannot be configured again.
if [ -f "build/$preset/CMakeCache.txt" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "build/$preset/CMakeCache.txt"; then
  rm -rf "build/$preset"
fi
cmake --preset "$preset" "${options[@]}" --log-level=WARNING >/dev/null
# shellcheck disable=SC2086 # TARGETS is a list
exec cmake --build "build/$preset" --parallel "${JOBS:-2}" ${TARGETS:+--target $TARGETS}
