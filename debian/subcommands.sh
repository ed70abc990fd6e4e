#!/bin/sh
# The part of viaductctl(1) that tells what each command takes, as help2man includes it: made of what
# the program says itself, so that it is never wrong.
#   debian/subcommands.sh path/to/viaductctl
set -eu

program=$1

names() { # COMMAND...: its subcommands
  "$program" "$@" --help | awk '/^Subcommands:/ { on = 1; next } /^[^ ]/ { on = 0 } on && /^  [a-z]/ { print $1 }'
}

describe() { # COMMAND...
  echo ".SS viaductctl $*"
  echo .nf
  "$program" "$@" --help | sed 's/\\/\\\\/g; s/-/\\-/g; s/^\([.'\'']\)/\\\&\1/'
  echo .fi
  for name in $(names "$@"); do describe "$@" "$name"; done
}

echo '[COMMANDS]'
for command in $(names); do describe "$command"; done
