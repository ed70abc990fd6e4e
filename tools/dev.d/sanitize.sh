# shellcheck shell=bash

# Everything under both sanitizers; the suppressions with their reasons: tests/sanitizers.
verb_sanitize() {
  local which=("${@:-asan}")
  [[ $# -eq 0 ]] && which=(asan tsan)
  need build test node
  need_npm || fail "npm cannot install buf (build/logs/npm.log)"
  local preset result=0
  for preset in "${which[@]}"; do
    case $preset in
      asan | tsan) ;;
      *) fail "sanitize: '$preset' is neither asan nor tsan" ;;
    esac
    step "Building $preset" build "$preset"
    say "Testing under $preset"
    ctest --test-dir "build/$preset" -j "${TEST_JOBS:-4}" --output-on-failure --no-tests=error \
      -LE '^house$' || result=1
  done
  return "$result"
}
