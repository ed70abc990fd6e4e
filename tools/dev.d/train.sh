# shellcheck shell=bash

# Debian's Python: another one in the PATH does not see Debian's packages.
PYTHON=/usr/bin/python3

verb_train() {
  local net=${1:-}
  [[ $net == reader || $net == province ]] || fail "train: name a net, reader or province"
  shift
  need training
  exec nice "$PYTHON" plugins/hailo_lpr/training/train.py --net "$net" --out "build/train/$net" "$@"
}
