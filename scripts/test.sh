#!/bin/bash
# Builds what the suites need, runs them at most two at once, and ends with one line: "N passed, N failed".
# Arguments choose suites by name ("capi" is capi, capi-asan and capi-tsan); without arguments all run.
# Results (log, exit code, sanitizer reports, JUnit XML of every program) stay in build/results.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

root=$PWD
results=$root/build/results
python=/usr/bin/python3
export PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
asan_options=halt_on_error=1:exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1
ubsan_options=halt_on_error=1:print_stacktrace=1
tsan_options=halt_on_error=1:exitcode=66:second_deadlock_stack=1:suppressions="'$root/tests/tsan.supp'"

# Suites that share the machine with another one, then those whose timing wants it alone. A suite's trees are built before.
together="checks docs consumer core core-asan capi capi-asan capi-tsan abi fuzz server server-asan server-tsan topics topics-asan topics-tsan
  conformance conformance-asan conformance-tsan clients clients-asan python dashboard js
  gateway gateway-asan nats nats-asan nats-tsan"
alone="browser faults faults-asan"

# ------------------------------------------------------------------------------------------------------------------ running

# run SUITE PROGRAM KIND LIMIT COMMAND...: KIND junit (the program writes XML into its $out) or plain (its exit code is the result).
# What a sanitizer reports goes into files beside the log: it counts even where the process that it stopped is not the one that we see.
run() {
  local suite=$1 program=$2 kind=$3 limit=$4 status
  shift 4
  local out=$results/$suite/$program
  mkdir -p "$out"
  echo "$kind" >"$out/kind"
  SECONDS=0
  ASAN_OPTIONS=$asan_options:log_path="'$out/sanitizer'" UBSAN_OPTIONS=$ubsan_options:log_path="'$out/sanitizer'" \
    TSAN_OPTIONS=$tsan_options:log_path="'$out/sanitizer'" CMOCKA_XML_FILE=$out/%g.xml GTEST_OUTPUT=xml:$out/gtest.xml \
    timeout --kill-after=15 "$limit" "$@" >"$out/log" 2>&1 </dev/null 9>&-
  status=$?
  echo $SECONDS >"$out/seconds"
  echo $status >"$out/status"
  return $status
}

# programs SUITE TREE FOLDER EXTENSION LIMIT: every test program of a folder, built in a tree.
programs() {
  local suite=$1 tree=$2 folder=$3 extension=$4 limit=$5 source name
  for source in "tests/$folder"/*_test."$extension"; do
    name=$(basename "$source" ".$extension")
    # shellcheck disable=SC2046 # words
    CMOCKA_MESSAGE_OUTPUT=xml run "$suite" "$name" junit "$limit" $(address_space_for "$tree") "$root/build/$tree/tests/$folder/$name"
  done
}

# python_suite SUITE TREE FOLDER LIMIT [OPTION...]: a folder of pytest files against the programs of a tree.
python_suite() {
  local suite=$1 tree=$2 folder=$3 limit=$4
  shift 4
  # shellcheck disable=SC2046 # words
  WSBEAT_SERVER=$root/build/$tree/bin/wsbeat-server WSBEAT_LIBDIR=$root/build/$tree/lib WSBEAT_BUILD=$root/build/$tree \
    run "$suite" pytest junit "$limit" $(address_space_for "$tree") $python -m pytest -q -p no:cacheprovider -o junit_family=xunit2 \
    --timeout=120 --junitxml="$results/$suite/pytest/pytest.xml" "$@" "tests/$folder"
}

# node_suite SUITE FOLDER LIMIT: a folder of tests for Node's own test runner, against the programs of the plain tree.
node_suite() {
  local suite=$1 folder=$2 limit=$3
  WSBEAT_SERVER=$root/build/dev/bin/wsbeat-server run "$suite" node junit "$limit" node --test --test-reporter=junit \
    --test-reporter-destination="$results/$suite/node/node.xml" --test-reporter=spec --test-reporter-destination=stdout "tests/$folder"/*.test.mjs
}

# The thread sanitizer needs the address space where it expects it.
address_space_for() {
  [ "$1" != tsan ] || echo setarch -R
}

# ------------------------------------------------------------------------------------------------------------------- suites

trees_of() {
  case $1 in
    *-asan) echo asan ;;
    *-tsan) echo tsan ;;
    fuzz) echo fuzz ;;
    checks) ;;
    *) echo dev ;;
  esac
}

suite_checks() {
  run checks clang-format plain 120 scripts/lint.sh format
  run checks clang-tidy plain 600 scripts/lint.sh tidy
  python_suite checks dev checks 120
}
suite_docs() { python_suite docs dev docs 180; }
suite_consumer() { python_suite consumer dev consumer 600; }
suite_core() { programs core dev core cpp 120; }
suite_core_asan() { programs core-asan asan core cpp 300; }
suite_capi() { programs capi dev capi c 240; }
suite_capi_asan() { programs capi-asan asan capi c 400; }
suite_capi_tsan() { programs capi-tsan tsan capi c 600; }
suite_abi() { python_suite abi dev abi 300; }
suite_server() { python_suite server dev server 400; }
# Python itself has no sanitizer's runtime, so it cannot load such a library.
suite_server_asan() { python_suite server-asan asan server 600 -k "not ctypes"; }
suite_server_tsan() { python_suite server-tsan tsan server 600 -k "not ctypes"; }
suite_topics() { python_suite topics dev topics 120; }
# Not where memory is measured.
suite_topics_asan() { python_suite topics-asan asan topics 240 --ignore=tests/topics/test_many.py; }
suite_topics_tsan() { python_suite topics-tsan tsan topics 240 --ignore=tests/topics/test_many.py; }
suite_nats() {
  programs nats dev nats cpp 120
  python_suite nats dev nats 200
}
# Not where moments are measured.
suite_nats_asan() {
  programs nats-asan asan nats cpp 200
  python_suite nats-asan asan nats 400 --ignore=tests/nats/test_rolling.py
}
suite_nats_tsan() { programs nats-tsan tsan nats cpp 300; }
suite_conformance() { python_suite conformance dev conformance 400; }
suite_conformance_asan() { python_suite conformance-asan asan conformance 600; }
suite_conformance_tsan() { python_suite conformance-tsan tsan conformance 600; }
suite_clients() { python_suite clients dev clients 300; }
suite_clients_asan() { python_suite clients-asan asan clients 400; }
# The module is built as a wheel and tested where nothing but the wheel and Debian's packages are.
suite_python() {
  run python wheel plain 400 scripts/python-env.sh || return
  WSBEAT_BUILD=$root/build/dev run python pytest junit 600 build/python/venv/bin/python -m pytest -q -p no:cacheprovider \
    -o junit_family=xunit2 --timeout=120 --junitxml="$results/python/pytest/pytest.xml" tests/python
}
suite_dashboard() { node_suite dashboard dashboard 120; }
suite_gateway() { python_suite gateway dev gateway 300; }
# Not what the servers have no part in, or only wait in.
suite_gateway_asan() { python_suite gateway-asan asan gateway 400 --ignore=tests/gateway/test_prometheus.py --ignore=tests/gateway/test_idle.py; }
suite_js() { node_suite js js 90; }
suite_browser() { node_suite browser browser 120; }
suite_faults() { python_suite faults dev faults 600; }
# Not where memory or milliseconds are measured.
suite_faults_asan() {
  python_suite faults-asan asan faults 600 --ignore=tests/faults/test_crowds.py --ignore=tests/faults/test_heartbeat_times.py \
    --ignore=tests/faults/test_one_minute.py
}
suite_fuzz() {
  local source
  for source in tests/fuzz/fuzz_*.cpp; do
    run fuzz "$(basename "$source" .cpp)" plain 120 scripts/fuzz.sh 8 "$(basename "$source" .cpp)"
  done
}

# -------------------------------------------------------------------------------------------------------------------- order

together=" ${together//[$'\n']/ } " alone=" $alone "
chosen=""
if [ $# = 0 ]; then
  chosen="$together$alone"
else
  for name in "$@"; do
    matching=""
    for suite in $together $alone; do
      case $suite in "$name" | "$name"-asan | "$name"-tsan) matching+=" $suite" ;; esac
    done
    [ -n "$matching" ] || {
      echo "test.sh: no suite \"$name\"; there are:$together$alone" >&2
      exit 2
    }
    chosen+="$matching"
  done
fi

mkdir -p build
exec 9>build/.tests-run-here
flock -n 9 || {
  echo "test.sh: another run has this tree" >&2
  exit 1
}
rm -rf "$results"
mkdir -p "$results"
started=$(date +%s)
say() { printf '[%4d s] %s\n' $(($(date +%s) - started)) "$*"; }

wanted=$(for suite in $chosen; do trees_of "$suite"; done)
trees=$(for tree in dev asan tsan fuzz; do [[ " ${wanted//$'\n'/ } " != *" $tree "* ]] || echo $tree; done)
declare -A targets=([dev]="" [asan]="wsbeat-server wsbeat-nats examples core_tests capi_tests nats_tests" [tsan]="wsbeat-server examples capi_tests nats_tests" [fuzz]="fuzzers")
for tree in $trees; do
  say "building $tree"
  TARGETS=${targets[$tree]} run build "$tree" plain 1200 scripts/build.sh "$tree" || say "building $tree FAILED"
done

one_suite() {
  "suite_${1//-/_}"
  say "$1 done"
}
for suite in $chosen; do
  [[ $together == *" $suite "* ]] || continue
  while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
  say "$suite"
  one_suite "$suite" &
done
wait
for suite in $chosen; do
  [[ $alone == *" $suite "* ]] || continue
  say "$suite"
  one_suite "$suite"
done

say "all done"
# shellcheck disable=SC2086 # lists
$python scripts/summarize.py "$results" ${trees:+build} $chosen
