#!/usr/bin/env bash
# buf lint of proto/. Ends with 77 (ctest: skipped) where buf could not be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/build/npm/node_modules/.bin:$PATH"
if ! command -v buf >/dev/null; then
  echo "buf is not installed: ./dev test and ./dev check install it from npm"
  exit 77
fi
buf lint
