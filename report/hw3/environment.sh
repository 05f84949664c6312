# Read by both scripts: finds their folder, checks Python, and shuts out settings that are not the hand-in's own.

fail() { echo "error: $*" >&2; exit 1; }
absolute() { case $1 in /*) printf '%s\n' "$1" ;; ?*) printf '%s\n' "$PWD/$1" ;; *) fail "an empty file name" ;; esac; }

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
PYTHON=${PYTHON:-python3}
case $PYTHON in */*) PYTHON=$(absolute "$PYTHON") ;; esac

command -v "$PYTHON" >/dev/null || fail "there is no $PYTHON: set PYTHON to a Python 3.11 or newer"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$PYTHON is older than Python 3.11: set PYTHON"
missing=$("$PYTHON" -c '
from importlib.util import find_spec
print(*(name for name in "@PACKAGES@".split() if not find_spec(name)))')
[ -z "$missing" ] || fail "missing: $missing. Install them: $PYTHON -m pip install -r '$here/requirements.txt'"

export TF_CPP_MIN_LOG_LEVEL=3 PYTHONSAFEPATH=
export KERAS_BACKEND=tensorflow KERAS_HOME=/dev/null  # Keras as it comes, whatever ~/.keras says
