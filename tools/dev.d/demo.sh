# shellcheck shell=bash

verb_demo() {
  need build demo
  step "Building release" build release
  BUILD=$ROOT/build/release exec examples/demo/run "$@"
}
