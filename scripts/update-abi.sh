#!/bin/bash
# Writes what tests/abi compares with: layout.txt and libwsbeat.abi, from build/dev. Run it after a reviewed, wanted change of the ABI.
# With "freeze" it also makes tests/abi/frozen/wsbeat-MAJOR.MINOR.h from the headers: once for each minor version, when it is released.
set -euo pipefail
cd "$(dirname "$0")/.."

TARGETS="wsbeat abi_layout" scripts/build.sh dev
build/dev/tests/abi/abi_layout >tests/abi/layout.txt
# Nothing of this machine: no paths, no line numbers.
abidw --exported-interfaces-only --headers-dir include --no-corpus-path --no-comp-dir-path --no-show-locs --type-id-style hash \
  --out-file tests/abi/libwsbeat.abi build/dev/lib/libwsbeat.so

if [ "${1:-}" = freeze ]; then
  minor=$(sed -n 's/^#define WSB_VERSION_\(MAJOR\|MINOR\) //p' include/wsbeat/version.h | paste -sd.)
  for header in export version wsbeat; do
    sed -e '/^#include "wsbeat\//d' "include/wsbeat/$header.h"
  done >"tests/abi/frozen/wsbeat-$minor.h"
fi
