#!/usr/bin/env bash
# buf lint and buf breaking of proto/. Ends with 77 (ctest: skipped) where buf could not be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/build/npm/node_modules/.bin:$PATH"
if ! command -v buf >/dev/null; then
  echo "buf is not installed: ./dev test and ./dev check install it from npm"
  exit 77
fi
buf lint
# What was released must stay readable: proto/baseline.binpb is the image of the last release
# (buf build -o proto/baseline.binpb makes a new one, with the reason in CHANGELOG.md).
buf breaking --against proto/baseline.binpb
