# shellcheck shell=bash

verb_package() {
  need build package
  step "Building release" build release
  mkdir -p build/package
  step "Packing" cpack --config build/release/CPackConfig.cmake -B build/package -G "DEB;TGZ"
  ls -l build/package/*.deb build/package/*.tar.gz
}
