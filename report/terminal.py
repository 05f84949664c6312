"""What a terminal would show of a stream, with carriage returns, backspaces and colour codes resolved."""

import re

ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]")


def screen(text, max_lines=60):
    """Return the text that stands on the screen in the end.

    Args:
        text: str, the stream as it was written.
        max_lines: the middle of a longer text is left out; 0 keeps everything.

    Returns:
        str without trailing blank lines.

    >>> screen("1/2 [=>  ]\\r2/2 [====]\\ndone")
    '2/2 [====]\\ndone'
    """
    lines = [_line(line) for line in ANSI.sub("", text).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if max_lines and len(lines) > max_lines:
        head, tail = max_lines * 2 // 3, max_lines // 3
        lines[head : len(lines) - tail] = [f"… {len(lines) - head - tail} lines left out …"]
    return "\n".join(lines)


def _line(text):
    shown, column = [], 0
    for character in text:
        if character in "\r\b":
            column = 0 if character == "\r" else max(0, column - 1)
        else:
            shown[column : column + 1] = character
            column += 1
    return "".join(shown).rstrip()
