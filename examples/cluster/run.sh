#!/bin/bash
# NATS, two wsbeat servers and nginx in front of them, all on loopback: open the address that it prints and watch messages cross.
# What is sent is kept while it runs.
# usage: [PORT=8080] [WSBEAT_SERVER=path] examples/cluster/run.sh; ends with SIGINT or SIGTERM. Needs nats-server and nginx (Debian's packages).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
port=${PORT:-8080}
server=${WSBEAT_SERVER:-$(command -v wsbeat-server || echo "$here/../../build/release/bin/wsbeat-server")}
export PATH=$PATH:/usr/sbin # where Debian has nginx and nats-server

folder=$(mktemp -d)
chmod 755 "$folder" # nginx's workers are somebody else
pids=()
end() {
  trap - EXIT INT TERM
  kill "${pids[@]}" 2>/dev/null || true
  wait "${pids[@]}" 2>/dev/null || true
  rm -rf "$folder"
}
trap end EXIT
trap 'exit 0' INT TERM

fail() {
  echo "run.sh: $*" >&2
  exit 1
}
# wait_for WHAT COMMAND...: until it succeeds, at most ten seconds.
wait_for() {
  local what=$1
  shift
  for _ in $(seq 200); do
    ! "$@" 2>/dev/null || return 0
    sleep 0.05
  done
  fail "$what does not come up; what it said is above"
}

for program in nats-server nginx "$server"; do
  command -v "$program" >/dev/null || fail "there is no $program"
done

# A free port; the file tells which.
nats-server -a 127.0.0.1 -p -1 --jetstream --store_dir "$folder/jetstream" --ports_file_dir "$folder" -l "$folder/nats.log" &
pids+=($!)
has_ports() { [ -s "$folder/nats-server_${pids[0]}.ports" ]; }
wait_for nats-server has_ports
nats=$(grep -o 'nats://127\.0\.0\.1:[0-9]*' "$folder/nats-server_${pids[0]}.ports" | head -1)

for number in 1 2; do
  "$server" --unix "$folder/$number.sock" --topics --may-subscribe 'demo.>' --may-publish 'demo.>' --nats "$nats" \
    --durable demo.chat --trusted-proxy unix --origin '*' --stop-deadline-ms 1000 &
  pids+=($!)
done
listens() { [ -S "$folder/1.sock" ] && [ -S "$folder/2.sock" ]; }
wait_for wsbeat-server listens
chmod 666 "$folder"/*.sock

sed -e "s|@FOLDER@|$folder|g" -e "s|@PORT@|$port|g" -e "s|@PAGE@|$here|g" -e "s|@CLIENT@|$here/../../clients/js|g" "$here/nginx.conf" >"$folder/nginx.conf"
nginx -p "$folder" -c "$folder/nginx.conf" &
pids+=($!)
answers() { exec 3<>"/dev/tcp/127.0.0.1/$port" && exec 3>&-; }
wait_for nginx answers

echo "http://127.0.0.1:$port/"
wait -n "${pids[@]}" || true
fail "one of the four has ended"
