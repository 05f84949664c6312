"""Python runs this at its start where this folder is on its path: it notes what the process opens and connects to.

`fer_report.trial` puts it on the path of hw3_test.sh, and reads the notes in the file `$HANDIN_WATCH`.
"""

import os
import sys

notes = open(os.environ["HANDIN_WATCH"], "a", buffering=1)  # noqa: SIM115  (open as long as the process lives)


def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str | bytes):
        notes.write(f"open {os.path.abspath(os.fsdecode(arguments[0]))!r}\n")
    elif event in ("socket.connect", "socket.getaddrinfo"):
        notes.write(f"connect {arguments[-1] if event == 'socket.connect' else arguments[0]!r}\n")


sys.addaudithook(note)
