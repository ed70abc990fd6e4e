# shellcheck shell=bash

verb_docs() {
  need build docs
  step "Building viaductctl, which knows the permissions" build dev viaductctl
  "$DEBIAN_PYTHON" tools/site/build_site.py build/dev build/docs
}
