#!/bin/sh
# The manuals of the programs, of what they say themselves.
#   debian/manuals.sh PROGRAMS OUT VERSION     PROGRAMS: the folder that they are in
set -eu

programs=$1 out=$2 version=$3

manual() { # SECTION PROGRAM WHAT [OPTION...]
  section=$1 program=$2 what=$3
  shift 3
  help2man --no-info --version-string="$version" --section="$section" --name="$what" "$@" \
    --output="$out/$program.$section" "$programs/$program"
}

mkdir -p "$out"
"$(dirname "$0")/subcommands.sh" "$programs/viaductctl" >"$out/subcommands"
manual 8 viaduct-host 'node of Viaduct'
manual 1 viaductctl 'steers and watches nodes of Viaduct' --include="$out/subcommands"
manual 1 viaduct-check 'checks a plugin of Viaduct'
