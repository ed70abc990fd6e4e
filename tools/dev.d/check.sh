# shellcheck shell=bash

# Cheap checks are tests with the label "house"; the dear ones (clang) run only here.
verb_check() {
  need build test node clang
  need_npm || fail "npm cannot install buf (build/logs/npm.log)"
  step "Building dev" build dev
  step "House checks" ctest --test-dir build/dev -j "${TEST_JOBS:-4}" -L '^(house|abi)$' \
    --output-on-failure --no-tests=error
  step "Protocol compatibility" check_proto_breaking
  step "Thread-safety analysis (clang)" build clang
  step "clang-tidy" tools/run_tidy.py --build build/clang --jobs "${JOBS:-$(jobs_allowed)}" "$@"
  say "check: clean"
}

# Against the last release if there is one, else against the last commit.
check_proto_breaking() {
  if [[ ! -e .git ]]; then
    echo "not a git clone: nothing to compare with"
    return
  fi
  local base
  base=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || git rev-parse HEAD)
  rm -rf build/proto-base
  mkdir -p build/proto-base
  git archive "$base" proto buf.yaml | tar -x -C build/proto-base || return 1
  buf breaking --against build/proto-base
}
