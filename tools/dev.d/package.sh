# shellcheck shell=bash

verb_package() {
  need build package
  need_dashboard || fail "npm cannot install what the dashboard is made of (build/logs/npm-dashboard.log)"
  step "Building release" build release
  mkdir -p build/package
  step "Packing" cpack --config build/release/CPackConfig.cmake -B build/package -G "DEB;TGZ"
  ls -l build/package/*.deb build/package/*.tar.gz
}
