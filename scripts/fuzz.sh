#!/bin/bash
# Fuzzes each target, or the one named, for some seconds from its committed corpus; new inputs and findings stay in build/fuzz.
# usage: scripts/fuzz.sh SECONDS [TARGET]. Without TARGET the tree is built first.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET]}
if [ $# -gt 1 ]; then
  targets=$2
else
  TARGETS=fuzzers scripts/build.sh fuzz
  targets=$(for source in tests/fuzz/fuzz_*.cpp; do basename "$source" .cpp; done)
fi
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

for target in $targets; do
  program=build/fuzz/tests/fuzz/$target
  committed=tests/fuzz/corpus/${target#fuzz_}
  found=build/fuzz/corpus/$target
  artifacts=build/fuzz/findings/$target-
  mkdir -p "$found" build/fuzz/findings
  [ -n "$(ls "$committed")" ] || { echo "fuzz.sh: no corpus in $committed" >&2 && exit 1; }
  common=(-timeout=20 -rss_limit_mb=2048 -artifact_prefix="$artifacts" -print_final_stats=1)
  [ ! -f "tests/fuzz/$target.dict" ] || common+=(-dict="tests/fuzz/$target.dict")
  echo "=== $target: the committed corpus"
  "$program" "${common[@]}" -runs=0 "$committed"
  echo "=== $target: $seconds s"
  "$program" "${common[@]}" -seed=1 -max_total_time="$seconds" "$found" "$committed"
done
