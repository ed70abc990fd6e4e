# shellcheck shell=bash

verb_bench() {
  need build bench
  need_npm || fail "npm cannot install socket.io (build/logs/npm.log)"
  step "Building release" build release all loadgen sink ledger relay make_jpeg link_emulator
  mkdir -p build/bench
  BUILD=$ROOT/build/release OUT=$ROOT/build/bench exec bench/run "$@"
}
