#!/bin/bash
# Shows the system calls of wsbeat-server under an echo load, and how many writes a connection gets in one turn of the loop (we want 1).
set -euo pipefail

usage() {
  cat <<'END'
usage: bench/syscalls.sh [--build FOLDER] [--connections N] [--depth N] [--size BYTES] [--seconds N]
Runs an echo load on wsbeat-server (from FOLDER/bin, or WSBEAT_SERVER) twice: under `strace -c -f`, whose table is printed, and under
a full trace, from which the writes to each connection between two waits of the event loop are counted. Needs strace.
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/dev connections=64 depth=16 size=64 seconds=2
while [ $# -gt 0 ]; do
  case $1 in
    --build | --connections | --depth | --size | --seconds) declare "${1#--}=${2:?$1 needs a value}" && shift 2 ;;
    --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
server=${WSBEAT_SERVER:-$build/bin/wsbeat-server}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run TRACE_FILE STRACE_OPTION...: one load on a server under strace.
run() {
  local trace=$1 tracer port=""
  shift
  strace -f -o "$trace" "$@" "$server" --port 0 --events --quiet --heartbeat-ms off >"$work/events" &
  tracer=$!
  for _ in $(seq 200); do
    port=$(sed -n 's/.*"port":\([0-9]*\).*/\1/p' "$work/events" | head -n 1)
    [ -z "$port" ] || break
    sleep 0.05
  done
  "$build/bench/load" echo --port "$port" --connections "$connections" --depth "$depth" --size "$size" --seconds "$seconds"
  kill -TERM "$(pgrep -P "$tracer" -n)"
  wait "$tracer"
}

echo "== $connections connections, $depth messages of $size bytes in flight on each"
run "$work/counts" -c -S calls
cat "$work/counts"

echo
echo "== writes to one connection between two waits of its loop"
run "$work/trace" -e trace=accept4,epoll_wait,epoll_pwait,write,writev,sendto,sendmsg
awk '
  { pid = $1 }
  /accept4.* = [0-9]+$/ { connection[$NF] = 1 }
  /epoll_p?wait\(/ {
    for (key in turn) { split(key, part, " "); if (part[1] == pid) { seen[turn[key]]++; delete turn[key] } }
    turns[pid]++
  }
  / (sendto|sendmsg|write|writev)\([0-9]+/ {
    match($0, /\([0-9]+/)
    descriptor = substr($0, RSTART + 1, RLENGTH - 1)
    if (descriptor in connection) turn[pid " " descriptor]++
  }
  END {
    for (count in seen) printf "%d write%s in a turn: %d times\n", count, count == 1 ? "" : "s", seen[count]
  }' "$work/trace"
