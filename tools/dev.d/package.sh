# shellcheck shell=bash
# With debhelper, from the build that `./dev build` makes; the packages lie in build/package.

verb_package() {
  case ${1:-amd64} in
    amd64) package_native ;;
    arm64) package_arm64 ;;
    *) fail "package: no architecture '$1', there are: amd64 arm64" ;;
  esac
}

package_native() {
  need build package
  need_dashboard || fail "npm cannot install what the dashboard is made of (build/logs/npm-dashboard.log)"
  step "Building packages" debian/rules binary
  step "Looking for mistakes" lintian --fail-on error,warning build/package/*.deb
  dh_clean
  ls -l build/package/*.deb
}

# Nothing is installed here: some of what is missing would take the place of what builds for this
# machine (apt keeps libyaml-cpp-dev of one architecture only), so it wants a root of its own.
package_arm64() {
  local entry missing=()
  local -n entries=PACKAGES_arm64
  for entry in "${entries[@]}"; do
    if entry_missing "$entry"; then missing+=("${entry#*=}"); fi
  done
  if ((${#missing[@]})); then
    fail "package arm64: cross-compiles, in a Debian 12 of its own (debootstrap) with this tree. Run there, as root:
  dpkg --add-architecture arm64 && apt-get update
  apt-get install --no-install-recommends ${missing[*]}"
  fi
  [[ -s build/man/viaductctl.1 ]] ||
    fail "package arm64: the manuals are made by programs of this machine, run ./dev package first"
  export BUILD=build/release-arm64
  export VIADUCT_PRESET_FLAGS="--toolchain cmake/toolchains/arm64.cmake"
  step "Building packages for arm64" \
    dpkg-architecture --host-arch arm64 --force --command debian/rules binary-arch
  step "Looking for mistakes" lintian --fail-on error,warning build/package/*_arm64.deb
  dh_clean
  ls -l build/package/*_arm64.deb
}
