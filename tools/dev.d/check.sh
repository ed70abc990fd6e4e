# shellcheck shell=bash

# Cheap checks are tests with the label "house"; the dear ones (clang) run only here.
verb_check() {
  need build test node clang
  need_npm || fail "npm cannot install buf (build/logs/npm.log)"
  step "Building dev" build dev
  step "House checks" ctest --test-dir build/dev -j "${TEST_JOBS:-4}" -L '^(house|abi)$' \
    --output-on-failure --no-tests=error
  step "Configuring clang" configure clang
  step "clang-tidy and thread-safety analysis" tools/run_tidy.py --build build/clang --jobs "${JOBS:-$(jobs_allowed)}" "$@"
  say "check: clean"
}
