#!/bin/sh
# hw3_test.sh <test.csv> <prediction.csv>
# test.csv has the columns id,feature; prediction.csv gets id,label (0 to 6), in the same order. Weights: weights/.
set -eu
. "$(dirname -- "$0")/environment.sh"
[ $# -eq 2 ] || fail "usage: $0 <test.csv> <prediction.csv>"

test=$(absolute "$1")
prediction=$(absolute "$2")
cd -- "$here"  # where Python finds the modules
exec "$PYTHON" -B -m fer_utils.predict --weights weights -- "$test" "$prediction"
