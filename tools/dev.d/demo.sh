# shellcheck shell=bash

verb_demo() {
  need build demo scenes
  step "Building release" build release all loadgen make_jpeg
  BUILD=$ROOT/build/release exec examples/demo/run "$@"
}
