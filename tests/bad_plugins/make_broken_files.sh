#!/bin/sh
# Makes files that are no plugins at all: make_broken_files.sh good.so FOLDER
set -eu
good=$1
folder=$2

echo "This is no library." > "$folder/not_a_library.so"
: > "$folder/empty_file.so"
# Within its first segments: they are promised, but not there.
head -c 4000 "$good" > "$folder/cut_off.so"
# e_machine stands at octet 18 of an ELF header; 8 is MIPS.
cp "$good" "$folder/other_machine.so"
printf '\010\000' | dd of="$folder/other_machine.so" bs=1 seek=18 conv=notrunc 2> /dev/null
cp "$good" "$folder/Bad-File.so"
