#!/bin/bash
# Installs what is missing to build (build), to test (test), to package (deb) and to measure (bench) on Debian 12 or later. Quick when nothing is missing.
# Packages come from Debian; those that only the tests in JavaScript need come from npm.
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages="cmake ninja-build g++ make pkg-config libwebsockets-dev libwebsockets-evlib-uv libuv1-dev libssl-dev zlib1g-dev"
deb_packages="dpkg-dev fakeroot file"
test_packages="ccache libcmocka-dev libgtest-dev clang clang-format clang-tidy abigail-tools python3-pytest
  python3-pytest-timeout python3-websockets python3-aiohttp iproute2 nftables strace openssl util-linux chromium $deb_packages"

fail() {
  echo "setup: $*" >&2
  exit 1
}

installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "missing packages need root (and there is no sudo): apt-get install$missing"
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" >&2
}

wanted=""
need_npm=""
for set_name in "${@:-build}"; do
  case $set_name in
    build) wanted+=" $build_packages" ;;
    deb) wanted+=" $deb_packages" ;;
    bench) wanted+=" libbenchmark-dev" ;;
    test)
      wanted+=" $test_packages"
      need_npm=yes
      # Debian's node stays away when node and npm come from elsewhere.
      if ! { command -v node && command -v npm; } >/dev/null; then wanted+=" nodejs npm"; fi
      ;;
    *) fail "unknown set \"$set_name\": build, test, deb or bench" ;;
  esac
done

missing=""
for package in $wanted; do
  installed "$package" || missing+=" $package"
done
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null || fail "this is not Debian; install the equivalents of:$missing"
  echo "setup: installing$missing" >&2
  apt update || fail "apt-get update failed; missing:$missing"
  # shellcheck disable=SC2086 # a list
  apt install --no-install-recommends $missing || fail "could not install:$missing"
fi

# clang's sanitizer and fuzzer runtime is a package of its own, named after clang's version.
if [ -n "$need_npm" ]; then
  runtime=libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev
  if ! installed "$runtime"; then
    missing=" $runtime"
    echo "setup: installing$missing" >&2
    apt install --no-install-recommends "$runtime" || { apt update && apt install --no-install-recommends "$runtime"; } ||
      fail "could not install $runtime"
  fi
fi

for folder in tests/clients tests/js tests/browser; do
  [ -n "$need_npm" ] && [ ! $folder/node_modules/.package-lock.json -nt $folder/package-lock.json ] || continue
  echo "setup: npm ci in $folder" >&2
  (cd $folder && npm ci --no-audit --no-fund --loglevel=error >&2) || fail "npm ci failed in $folder"
  touch $folder/node_modules/.package-lock.json
done
