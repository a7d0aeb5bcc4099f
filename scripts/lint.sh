#!/bin/bash
# Judges the sources without changing them. usage: scripts/lint.sh [format] [tidy]; both without arguments.
# clang-tidy reads lib, backplane and tools; a file that was clean is read again only after a change to it, a header or the rules.
set -euo pipefail
cd "$(dirname "$0")/.."

format() {
  scripts/sources.sh | xargs clang-format --dry-run -Werror
}

tidy_one() {
  local key
  key=$( (echo "$TIDY_COMMON" && sha256sum "$1") | sha256sum | cut -d' ' -f1)
  [ ! -f "build/tidy/$key" ] || return 0
  # The analyzer gives up on a function after max-nodes; its default of 225000 takes twice the time.
  # shellcheck disable=SC2086 # lists
  clang-tidy --quiet --warnings-as-errors='*' "$1" -- -std=c++17 -xc++ -Xclang -analyzer-config -Xclang max-nodes=50000 \
    -Iinclude -Ilib $TIDY_FLAGS 2>/dev/null || return 1
  touch "build/tidy/$key"
}

tidy() {
  mkdir -p build/tidy
  TIDY_FLAGS=$(pkg-config --cflags libwebsockets libuv openssl zlib libnats)
  TIDY_COMMON=$( (clang-tidy --version && find include lib tools -name '*.h' | LC_ALL=C sort | xargs cat .clang-tidy "$0") | sha256sum)
  export TIDY_FLAGS TIDY_COMMON
  export -f tidy_one
  find lib backplane tools -name '*.cpp' | LC_ALL=C sort | xargs -P "${JOBS:-2}" -I{} bash -c 'tidy_one {}'
}

for what in "${@:-format tidy}"; do
  for one in $what; do $one; done
done
