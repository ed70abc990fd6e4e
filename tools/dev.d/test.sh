# shellcheck shell=bash

# ctest summary comes last; checks that need no network are tests among the others (label house).
verb_test() {
  local arguments=(--output-on-failure --no-tests=error)
  local long=0
  while (($#)); do
    case $1 in
      --long) long=1 ;;
      -*) fail "test: unknown option '$1'" ;;
      *) arguments+=(-R "$1") ;;
    esac
    shift
  done
  if ((long)); then
    export VIADUCT_TEST_LONG=1
  else
    arguments+=(-LE '^long$')
  fi
  need build test node
  step "Building dev" build dev
  proto_tools
  say "Testing"
  ctest --test-dir build/dev -j "${TEST_JOBS:-4}" "${arguments[@]}"
}

# buf is the one tool that Debian does not have. Without it the proto test says so and is skipped.
proto_tools() {
  # shellcheck disable=SC2310
  need_npm || echo "dev: npm cannot install buf now (build/logs/npm.log): proto lint will not run" >&2
}
