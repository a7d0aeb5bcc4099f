#!/bin/sh
# Prints our C and C++ files, those not yet committed included.
cd "$(dirname "$0")/.." || exit 1
find include lib backplane tools tests examples bench bindings \( -name node_modules -o -name build \) -prune -o \
  -type f \( -name '*.h' -o -name '*.c' -o -name '*.cpp' \) -print | LC_ALL=C sort
