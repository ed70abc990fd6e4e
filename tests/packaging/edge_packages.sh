#!/usr/bin/env bash
# The packages of an edge in a root of debootstrap: installed, run as their user, upgraded to a higher
# version, removed, purged.
#
#   tests/packaging/edge_packages.sh ROOT [FOLDER]       after ./dev package; needs root
#
# ROOT is a bookworm root that has its sources of apt; FOLDER has the packages, default build/package.
set -euo pipefail

root=$(cd "${1:?usage: $0 ROOT [FOLDER]}" && pwd)
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
packages=$(cd "${2:-$tree/build/package}" && pwd)
work=$(mktemp -d)

# shellcheck disable=SC2317 # At exit.
leave() {
  umount -l "$root/proc" 2>/dev/null || true
  rm -rf "$work" "$root/root/packages"
}
trap leave EXIT
mount -t proc proc "$root/proc"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive "$@"; }

rm -rf "$root/root/packages"
mkdir -p "$root/root/packages/higher"
for name in viaduct viaduct-edge; do
  file=$(echo "$packages/${name}"_*.deb)
  cp "$file" "$root/root/packages/$name.deb"
  dpkg-deb -R "$file" "$work/$name"
  sed -i 's/^\(Version: .*\)$/\1+upgrade/' "$work/$name/DEBIAN/control"
  dpkg-deb --root-owner-group -b "$work/$name" "$root/root/packages/higher/$name.deb" >/dev/null
done

inside apt-get install -qy --no-install-recommends /root/packages/viaduct.deb \
  /root/packages/viaduct-edge.deb >"$work/log" 2>&1 || { cat "$work/log"; fail install; }
if inside dpkg -l | grep -E '^ii +(libpq5|libopencv)'; then fail "an edge needs none of these"; fi
inside install -d -o viaduct -g viaduct -m 700 /var/lib/viaduct /run/viaduct
# shellcheck disable=SC2016 # For the shell inside.
inside setpriv --reuid=viaduct --regid=viaduct --clear-groups sh -c '
  viaduct-host --config /etc/viaduct/node.yaml >/dev/null 2>&1 & node=$!
  viaductctl=1
  for _ in $(seq 100); do viaductctl node info >/dev/null 2>&1 && viaductctl=0 && break; sleep 0.1; done
  kill $node; wait $node && exit $viaductctl' || fail "the node does not run"

echo '# changed' >>"$root/etc/viaduct/node.yaml"
inside sh -c 'dpkg -i /root/packages/higher/*.deb' >"$work/log" 2>&1 || { cat "$work/log"; fail upgrade; }
for state in upgrade remove; do
  [[ $state == upgrade ]] || inside dpkg --remove viaduct-edge viaduct >/dev/null
  [[ -s $root/var/lib/viaduct/spool.db ]] || fail "$state: the spool is gone"
  [[ $(tail -n 1 "$root/etc/viaduct/node.yaml") == '# changed' ]] || fail "$state: node.yaml"
done
inside dpkg --purge viaduct-edge viaduct >/dev/null 2>&1 || fail purge
rm -rf "$root/run/viaduct" "$root/root/packages" # The one is systemd's, the other ours.
left=$(find "$root" -xdev -path "$root/proc" -prune -o -path "$root/root" -prune -o -name '*viaduct*' -print)
[[ -z $left ]] || fail "left behind: $left"
if inside getent passwd viaduct; then fail "the user is left behind"; fi
echo "edge packages: installed, run, upgraded, removed, purged"
