# shellcheck shell=bash

verb_build() {
  local preset=${1:-release}
  case $preset in
    release | dev | asan | tsan) need build ;;
    clang | fuzz) need build clang ;;
    *) fail "build: no preset '$preset', there are: release dev asan tsan clang fuzz" ;;
  esac
  step "Building $preset" build "$preset"
  echo "programs in build/$preset/bin, plugins in build/$preset/plugins"
}
