#!/bin/sh
# The part of viaductctl(1) that tells what each command takes, as help2man includes it: made of what
# the program says itself, so that it is never wrong.
#   debian/subcommands.sh path/to/viaductctl
set -eu

program=$1

names() { # the subcommands that a help on standard input names
  awk '/^Subcommands:/ { on = 1; next } /^[^ ]/ { on = 0 } on && /^  [a-z]/ { print $1 }'
}

describe() { # COMMAND...
  help=$("$program" "$@" --help)
  echo ".SS viaductctl $*"
  echo .nf
  printf '%s\n' "$help" | sed 's/\\/\\\\/g; s/-/\\-/g; s/^\([.'\'']\)/\\\&\1/'
  echo .fi
  for name in $(printf '%s\n' "$help" | names); do describe "$@" "$name"; done
}

echo '[COMMANDS]'
for command in $("$program" --help | names); do describe "$command"; done
