# shellcheck shell=bash

# ctest summary comes last; checks that need no network are tests among the others (label house).
verb_test() {
  local arguments=(--output-on-failure --no-tests=error) short=(-LE '^packaging$')
  while (($#)); do
    case $1 in
      --long)
        export VIADUCT_TEST_LONG=1
        short=()
        ;;
      -*) fail "test: unknown option '$1'" ;;
      *) arguments+=(-R "$1") ;;
    esac
    shift
  done
  need build test node scenes docs browser
  step "Building dev" build dev
  need_npm || fail "npm cannot install the tests' tools (build/logs/npm.log)"
  say "Testing"
  ctest --test-dir build/dev -j "${TEST_JOBS:-4}" "${short[@]}" "${arguments[@]}"
}
