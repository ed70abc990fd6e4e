#!/usr/bin/env bash
# codespell over the tree; words it must leave alone are in tools/spelling_ignore.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
codespell --ignore-words tools/spelling_ignore.txt \
  --skip './build,./.git,*.jpg,*.png,*.svg,package-lock.json,*/corpus/*,*.so,*.abi,*.onnx' .
