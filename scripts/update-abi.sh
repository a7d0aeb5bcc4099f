#!/bin/bash
# Writes what tests/abi compares with, from build/dev: layout.txt, libwsbeat.abi, and the present minor version's frozen/wsbeat-MAJOR.MINOR.h.
# Run it after a reviewed, wanted change of the ABI. Headers of older minor versions stay as they were released.
# usage: scripts/update-abi.sh, or scripts/update-abi.sh describe LIBRARY FILE: only libabigail's description of that library.
set -euo pipefail
cd "$(dirname "$0")/.."

# Nothing of this machine (paths, line numbers, libraries that ours is linked with) and nothing behind the public headers.
describe() {
  abidw --exported-interfaces-only --drop-private-types --headers-dir include --no-corpus-path --no-comp-dir-path --no-show-locs \
    --no-elf-needed --type-id-style hash --out-file "$2" "$1"
}

if [ "${1:-}" = describe ]; then
  describe "$2" "$3"
  exit
fi

TARGETS="wsbeat abi_layout" scripts/build.sh dev
build/dev/tests/abi/abi_layout >tests/abi/layout.txt
describe build/dev/lib/libwsbeat.so tests/abi/libwsbeat.abi
minor=$(sed -n 's/^#define WSB_VERSION_\(MAJOR\|MINOR\) //p' include/wsbeat/version.h | paste -sd.)
for header in export version wsbeat; do
  sed -e '/^#include "wsbeat\//d' "include/wsbeat/$header.h"
done >"tests/abi/frozen/wsbeat-$minor.h"
