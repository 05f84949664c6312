#!/bin/sh
# hw3_train.sh <train.csv>
# Trains the same network anew on train.csv (columns label,feature). The weights in weights/ are replaced when it has
# ended; an interrupted training resumes.
set -eu
. "$(dirname -- "$0")/environment.sh"
[ $# -eq 1 ] || fail "usage: $0 <train.csv>"

FER_DATA=$(absolute "$1")
FER_RUNS=$here/training
FER_CACHE=$here/training/cache
export FER_DATA FER_RUNS FER_CACHE
unset CLUSTER
cd -- "$here"  # where Python finds the modules
exec "$PYTHON" -B -m fer_utils.predict --keep weights --run @SETTINGS@
