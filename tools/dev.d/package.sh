# shellcheck shell=bash

verb_package() {
  need build package
  # With debhelper, from the build that `./dev build` makes; the packages lie in build/package.
  step "Building packages" debian/rules binary
  step "Looking for mistakes" lintian --fail-on error,warning build/package/*.deb
  dh_clean
  ls -l build/package/*.deb
}
