#!/usr/bin/env bash
# Every C and C++ file of the tree is as clang-format 14 would write it. `--fix` rewrites them.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(--dry-run -Werror)
[[ ${1:-} == --fix ]] && mode=(-i)
find core host plugins sdk tests bench examples tools -name build -prune -o \
  \( -name '*.h' -o -name '*.cc' -o -name '*.c' \) -print0 2>/dev/null |
  xargs -0 -r -n 20 -P "$(nproc)" clang-format "${mode[@]}"
