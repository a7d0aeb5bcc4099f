#!/bin/bash
# Installs what is missing to build (build), to test (test), to package (deb) and to measure (bench) on Debian 12 or later. Quick when nothing is missing.
# Packages come from Debian; those that only JavaScript programs of tests and measurements need come from npm.
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages="cmake ninja-build g++ make pkg-config libwebsockets-dev libwebsockets-evlib-uv libuv1-dev libssl-dev zlib1g-dev nlohmann-json3-dev libnats-dev"
deb_packages="dpkg-dev fakeroot file"
# liburing: what bare system calls cost is measured both by epoll and by io_uring.
bench_packages="libbenchmark-dev libboost-dev liburing-dev golang-go golang-github-gorilla-websocket-dev python3-websockets python3-aiohttp
  python3-uvloop python3-matplotlib linux-perf strace openssl nats-server"
test_packages="ccache libcmocka-dev libgtest-dev clang clang-format clang-tidy abigail-tools python3-pytest
  python3-pytest-timeout python3-dev python3-venv python3-pip python3-setuptools python3-wheel python3-build python3-pybind11 pybind11-dev
  python3-uvloop mypy python3-typing-extensions python3-websockets python3-aiohttp chromium iproute2 nftables strace openssl util-linux systemd nats-server $deb_packages"
# Tested with as programs, on ports of the tests; what they install as services stays off.
service_packages="nginx libnginx-mod-stream haproxy prometheus"

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

# Installs packages whose services must not run: a policy keeps them from being started now (unless the machine has one of its own), and systemd is
# told not to start them later.
apt_without_services() {
  local policy=/usr/sbin/policy-rc.d made="" service status=0
  if [ ! -e $policy ]; then
    made=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
  fi
  apt install --no-install-recommends "$@" || status=$?
  [ -z "$made" ] || as_root rm -f $policy
  [ $status = 0 ] || return $status
  [ -d /run/systemd/system ] || return 0
  for service in nginx haproxy prometheus; do
    case " $* " in *" $service "*) as_root systemctl disable --quiet $service >&2 || true ;; esac
  done
}

wanted=""
need_clang=""
npm_folders=""
for set_name in "${@:-build}"; do
  case $set_name in
    build) wanted+=" $build_packages" ;;
    deb) wanted+=" $deb_packages" ;;
    bench)
      wanted+=" $bench_packages"
      npm_folders+=" bench/peers/ws"
      ;;
    test)
      wanted+=" $test_packages $service_packages"
      npm_folders+=" tests/clients tests/dashboard tests/js tests/browser"
      need_clang=yes
      ;;
    *) fail "unknown set \"$set_name\": build, test, deb or bench" ;;
  esac
done

# Debian's node stays away when node and npm come from elsewhere.
if [ -n "$npm_folders" ] && ! { command -v node && command -v npm; } >/dev/null; then wanted+=" nodejs npm"; fi

missing=""
for package in $wanted; do
  installed "$package" || missing+=" $package"
done
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null || fail "this is not Debian; install the equivalents of:$missing"
  echo "setup: installing$missing" >&2
  apt update || fail "apt-get update failed; missing:$missing"
  # shellcheck disable=SC2086 # a list
  apt_without_services $missing || fail "could not install:$missing"
fi

# clang's sanitizer and fuzzer runtime is a package of its own, named after clang's version.
if [ -n "$need_clang" ]; then
  runtime=libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev
  if ! installed "$runtime"; then
    missing=" $runtime"
    echo "setup: installing$missing" >&2
    apt install --no-install-recommends "$runtime" || { apt update && apt install --no-install-recommends "$runtime"; } ||
      fail "could not install $runtime"
  fi
fi

for folder in $npm_folders; do
  [ -f "$folder/package-lock.json" ] || continue
  [ ! "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ] || continue
  echo "setup: npm ci in $folder" >&2
  (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error >&2) || fail "npm ci failed in $folder"
  touch "$folder/node_modules/.package-lock.json"
done
