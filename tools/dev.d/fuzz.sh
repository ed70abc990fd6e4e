# shellcheck shell=bash

# Each target runs for the given seconds on one core, findings and the grown corpus in build/fuzz.
verb_fuzz() {
  local seconds=600 pattern=.
  if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
  fi
  pattern=${1:-.}
  need build clang
  step "Building fuzz targets" build_fuzzers
  local target name found=0
  for target in build/fuzz/fuzz/fuzz_*; do
    [[ -x $target && $target =~ $pattern ]] || continue
    found=1
    name=$(basename "$target")
    step "Fuzzing $name for $seconds s" run_fuzzer "$target" "$name" "$seconds"
  done
  ((found)) || fail "fuzz: no target matches '$pattern'"
}

build_fuzzers() {
  quietly configure-fuzz.log cmake --preset fuzz || fail "configuring fuzz failed"
  local targets
  targets=$(ninja -C build/fuzz -t targets all | sed -n 's/^\(fuzz_[a-z0-9_]*\): phony$/\1/p')
  [[ -n $targets ]] || fail "there are no fuzz targets"
  # shellcheck disable=SC2086
  ninja -C build/fuzz -j "${JOBS:-$(jobs_allowed)}" $targets
}

run_fuzzer() {
  local target=$1 name=$2 seconds=$3 seeds
  local grown="build/fuzz/corpus/$name" findings="build/fuzz/findings/$name"
  mkdir -p "$grown" "$findings"
  seeds=$(cat "$target.corpus")
  "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="$findings/" "$grown" ${seeds:+"$seeds"} \
    >"build/logs/$name.log" 2>&1 || {
    tail -n 60 "build/logs/$name.log" >&2
    return 1
  }
  grep -E '^(stat::number_of_executed_units|stat::peak_rss_mb|#.*DONE)' "build/logs/$name.log"
}
