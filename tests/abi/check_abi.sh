#!/bin/sh
# Compares the ABI of the headers with that of the last release, type by type:
#
#   check_abi.sh ROOT              fails on any difference that history.md does not justify
#   check_abi.sh ROOT --baseline   writes the baseline anew (at a release)
#   check_abi.sh ROOT --self-test  proves that a difference is found
set -eu
root=$1
mode=${2:-}
here=$root/tests/abi
baseline=$here/v1_0/x86_64/abi.xml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One name for the sources, wherever the tree lies.
build() {
  gcc -std=c11 -O0 -g -gdwarf-4 -fPIC -shared -fno-eliminate-unused-debug-types \
    "-ffile-prefix-map=$1=." "-I$1" "$here/probe.c" -o "$2"
}

difference() {
  build "$1" "$work/probe.so"
  abidiff --harmless --no-show-locs "$baseline" "$work/probe.so" > "$work/difference" 2>&1
}

case $mode in
  --baseline)
    build "$root/sdk/include" "$work/probe.so"
    # Without the path and without build ids, which say nothing about the ABI.
    abidw --no-show-locs --no-comp-dir-path --no-corpus-path "$work/probe.so" > "$baseline"
    ;;
  --self-test)
    cp -r "$root/sdk/include" "$work/include"
    sed -i 's/^  uint32_t attempt; .*/  uint32_t attempt; uint32_t more; uint32_t reserved;/' \
      "$work/include/viaduct/abi/deliver.h"
    if cmp -s "$work/include/viaduct/abi/deliver.h" "$root/sdk/include/viaduct/abi/deliver.h"; then
      echo "check_abi: the self-test changes nothing"
      exit 1
    fi
    if difference "$work/include"; then
      echo "check_abi: does not find a new field"
      exit 1
    fi
    grep -q "vd_message" "$work/difference"
    echo "check_abi: finds a new field"
    ;;
  *)
    if difference "$root/sdk/include"; then
      echo "check_abi: no difference to version 1.0"
      exit 0
    fi
    digest=$(sha256sum < "$work/difference" | cut -c 1-16)
    if grep -q "^- $digest: " "$here/history.md"; then
      echo "check_abi: the difference $digest is justified in history.md"
      exit 0
    fi
    cat "$work/difference"
    echo "check_abi: the ABI differs from version 1.0. Where that is right, say why in"
    echo "tests/abi/history.md, in a line that begins with \"- $digest: \"."
    exit 1
    ;;
esac
