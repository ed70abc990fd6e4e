# shellcheck shell=bash

verb_train() {
  local net=${1:-}
  [[ $net == reader || $net == province ]] || fail "train: name a net, reader or province"
  shift
  need training
  exec nice "$DEBIAN_PYTHON" plugins/hailo_lpr/training/train.py --net "$net" --out "build/train/$net" "$@"
}
