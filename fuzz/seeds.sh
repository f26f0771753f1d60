#!/bin/sh
# Makes the corpus that the fuzz targets begin with, out of the recorded outputs and of what is kept
# in seeds: that is much less than copies of the recordings would be.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
mkdir -p corpus/state corpus/arguments corpus/words
cp seeds/state/* corpus/state/

number=0
while IFS= read -r line; do
    number=$((number + 1))
    printf %s "$line" | tr ' ' '\000' >"corpus/arguments/line-$number"
done <seeds/arguments/lines

row=0
for dir in ../tests/fixtures/*/; do
    for file in "$dir"*.txt; do
        code=$(sed -n '/^exit /{s///p;q;}' "$file")
        case $code in '' | *[!0-9]*) code=255 ;; esac
        {
            # shellcheck disable=SC2059 # The format is made of the two bytes.
            printf "\\$(printf %o $row)\\$(printf %o "$code")"
            sed -n '/^--- stdout$/,/^--- \(stderr\|status-fd:\)$/{/^--- /d;p;}' "$file"
            printf '\000'
            sed -n '/^--- stderr$/,${/^--- stderr$/d;p;}' "$file"
            printf '\000'
            sed -n '/^--- status-fd:$/,/^--- stderr$/{/^--- /d;p;}' "$file"
        } >"corpus/words/$(basename "$dir")-$(basename "$file" .txt)"
    done
    row=$((row + 1))
done
