#!/usr/bin/env bash
# What a user with a fresh Debian 12 sees: a minimal root is made with debootstrap, the committed
# tree is cloned into it, and each verb of ./dev named is run there with nothing prepared.
#
#   tests/packaging/clean_root.sh FOLDER [VERB]...        default: test demo; needs root
#
# FOLDER takes about 8 GiB and is left behind with the logs (FOLDER/VERB.log). Packages come from
# where this machine gets its own; its certificates and npm settings are lent to the root.
set -euo pipefail

root=${1:?usage: $0 FOLDER [VERB]...}
shift
verbs=("$@")
((${#verbs[@]})) || verbs=(test demo)
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
logs=$(mkdir -p "$root" && cd "$root" && pwd)
root=$logs/root

mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources \
    2>/dev/null | sed -nE 's/^(URIs:|deb( \[[^]]*\])?) +([^ ]+\/debian)\/?( .*)?$/\3/p' | head -n 1
}

lend() { # PATH...: what the root borrows of this machine
  local path
  for path in "$@"; do
    [[ -e $path ]] || continue
    mkdir -p "$root$(dirname "$path")"
    cp -aL "$path" "$root$path"
  done
}

mounts() {
  # The root of a machine is a mount point, and tests make private mounts below it.
  mount --bind "$root" "$root"
  mount --make-private "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --make-rslave "$root/dev"
}

# shellcheck disable=SC2317 # At exit.
unmount() {
  umount -l "$root/dev" "$root/proc" "$root" 2>/dev/null || true
}

command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -qy debootstrap
if [[ ! -e $root/etc/debian_version ]]; then
  debootstrap --variant=minbase bookworm "$root" "$(mirror)" >"$logs/debootstrap.log"
fi
lend /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt \
  /usr/local/share/ca-certificates/* /etc/apt/apt.conf.d/99*
rm -f "$root/root/.npmrc"
for settings in globalconfig userconfig; do # The later one wins there, too.
  settings=$(npm config get "$settings" 2>/dev/null || true)
  [[ -r $settings ]] && (umask 077 && cat "$settings" >>"$root/root/.npmrc")
done
rm -rf "$root/viaduct"
git clone -q --no-hardlinks "$tree" "$root/viaduct"
trap unmount EXIT
mounts

status=0
for verb in "${verbs[@]}"; do
  started=$SECONDS
  result=0
  env -i HOME=/root LANG=C.UTF-8 CI=true PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" /viaduct/dev "$verb" </dev/null >"$logs/$verb.log" 2>&1 || result=$?
  echo "./dev $verb: exit $result after $((SECONDS - started)) s, $logs/$verb.log"
  ((result == 0)) || status=1
done
exit "$status"
