#!/usr/bin/env bash
# Runs shellcheck over every script of the tree: whatever names a shell in its first line.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t scripts < <(
  find . \( -name build -o -name .git -o -name node_modules \) -prune -o -type f -size -64k -print0 |
    xargs -0 awk 'FNR == 1 && /^#(!.*[ \/](ba|da)?sh$|!.*[ \/](ba|da)?sh | shellcheck shell=)/ {print FILENAME} FNR == 1 {nextfile}' | sort
)
echo "${#scripts[@]} scripts"
shellcheck -x "${scripts[@]}"
