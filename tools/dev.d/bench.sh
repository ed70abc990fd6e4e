# shellcheck shell=bash

verb_bench() {
  need build bench node
  step "Building release" build release
  mkdir -p build/bench
  BUILD=$ROOT/build/release OUT=$ROOT/build/bench exec bench/run "$@"
}
