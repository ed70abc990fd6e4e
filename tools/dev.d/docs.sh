# shellcheck shell=bash

verb_docs() {
  need build docs
  step "Building the programs, which say what they do" build dev viaductctl viaduct-host viaduct-check
  "$DEBIAN_PYTHON" tools/site/build_site.py build/dev build/docs
}
