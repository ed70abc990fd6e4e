# shellcheck shell=bash
# What the verbs share: messages, packages, configuring and building. Sourced by ./dev.

mkdir -p build/logs
export PATH="$PATH:/usr/sbin:/sbin:${HOME:-/root}/.cargo/bin"
export CCACHE_DIR=${CCACHE_DIR:-$ROOT/build/ccache}
export CCACHE_BASEDIR=${CCACHE_BASEDIR-$ROOT}
export CCACHE_NOHASHDIR=1 # the same source in another folder is the same object
# A clone that belongs to somebody else (containers, CI) is still ours to read.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
# Node.js trusts what the system trusts, also where a site has its own certificate authority.
if [[ -r /etc/ssl/certs/ca-certificates.crt ]]; then
  export NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}
fi
# Debian's Python: another one in the PATH does not see Debian's packages.
# shellcheck disable=SC2034
DEBIAN_PYTHON=/usr/bin/python3
# shellcheck source=tools/dev.d/packages.sh
source tools/dev.d/packages.sh

say() { printf '\n== %s\n' "$*"; }

fail() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}

# step TITLE COMMAND...: runs it and says how long it took.
step() {
  local title=$1 started=$SECONDS
  shift
  say "$title"
  "$@" || fail "$title: failed"
  echo "-- took $((SECONDS - started)) s"
}

# quietly LOG COMMAND...: the output goes to build/logs/LOG and is shown only on failure.
quietly() {
  local log="build/logs/$1"
  shift
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    return 1
  fi
}

# One job a core, but no more than memory allows: the largest sources take about 1 GiB each.
jobs_allowed() {
  local cores memory_kib
  cores=$(nproc)
  memory_kib=$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)
  local by_memory=$((${memory_kib:-2097152} / 1048576))
  ((by_memory < 1)) && by_memory=1
  echo $((cores < by_memory ? cores : by_memory))
}

as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  else
    sudo -n -- "$@"
  fi
}

# Asks for the password of sudo where there is somebody to ask, before output goes into files.
may_become_root() {
  [[ $(id -u) -eq 0 ]] && return
  command -v sudo >/dev/null ||
    fail "installing packages needs root, and there is no sudo: run ./dev as root once"
  sudo -n true 2>/dev/null && return
  { : >/dev/tty; } 2>/dev/null && sudo -v && return
  fail "installing packages needs root, and sudo wants a password: run 'sudo -v' or ./dev as root"
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none \
    apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# An entry of packages.sh is missing if its command is not found or its package not installed.
entry_missing() {
  local entry=$1
  case $entry in
    *=*) ! command -v "${entry%%=*}" >/dev/null ;;
    *) [[ $(dpkg-query -W -f '${db:Status-Status}' "$entry" 2>/dev/null) != installed ]] ;;
  esac
}

# need GROUP...: installs what is missing of these groups of packages.
need() {
  local group entry missing=()
  for group in "$@"; do
    local -n entries="PACKAGES_$group"
    for entry in "${entries[@]}"; do
      if entry_missing "$entry"; then missing+=("${entry#*=}"); fi
    done
  done
  ((${#missing[@]} == 0)) && return
  command -v apt-get >/dev/null ||
    fail "these packages are missing and there is no apt-get to install them: ${missing[*]}"
  may_become_root
  step "Installing ${missing[*]}" install_packages "${missing[@]}"
}

install_packages() {
  quietly apt-update.log apt_get update || fail "apt-get update: failed"
  quietly apt-install.log apt_get install -y --no-install-recommends "$@"
}

# npm_folder SOURCE FOLDER: what SOURCE/package-lock.json names, installed below build/FOLDER when it
# has changed.
npm_folder() {
  local source=$1 folder="build/$2"
  need node
  cmp -s "$source/package-lock.json" "$folder/package-lock.installed" && return
  mkdir -p "$folder"
  cp "$source/package.json" "$source/package-lock.json" "$folder/"
  # ONNX Runtime would fetch a gigabyte for graphics cards beside what the package holds; the browser
  # is Debian's.
  npm_config_onnxruntime_node_install=skip PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 quietly "$2.log" \
    npm --prefix "$folder" install --no-audit --no-fund --loglevel=error || return 1
  cp "$source/package-lock.json" "$folder/package-lock.installed"
}

# The npm tools of the tests.
need_npm() {
  npm_folder tests/support/npm npm || return 1
  export PATH="$ROOT/build/npm/node_modules/.bin:$PATH"
}

# What the dashboard's page is made of.
need_dashboard() {
  npm_folder dashboard npm-dashboard
}

configure() {
  local preset=$1
  # In a shell of its own: a build goes on where there is no Node.js and nobody may install it.
  # shellcheck disable=SC2310
  case $preset in
    clang | fuzz) ;;
    *) (need_dashboard) || echo "dev: without the dashboard, npm cannot install what it is made of (build/logs/npm-dashboard.log)" >&2 ;;
  esac
  # shellcheck disable=SC2310
  quietly "configure-$preset.log" cmake --preset "$preset" || fail "configuring $preset failed"
}

# build PRESET [TARGET...]: configures and builds it below build/PRESET.
build() {
  local preset=$1
  shift
  configure "$preset"
  cmake --build "build/$preset" -j "${JOBS:-$(jobs_allowed)}" ${1:+--target "$@"}
}
