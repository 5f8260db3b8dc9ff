"""What a terminal shows after a program has written to it."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"\x1b\[(?P<parameters>[0-9;?]*)(?P<command>[A-Za-z])|\x1b\][^\x07]*\x07|(?P<control>[\r\n\x08])|(?P<shown>[^\x1b])"
)


def render(written: bytes) -> list[str]:
    """The lines from the first one to the last that is not empty, without the spaces at their ends.

    It knows what cursors do (ECMA-48, 8.3), and neither width nor height: nothing wraps or scrolls.
    """
    lines: list[list[str]] = [[]]
    row = column = 0
    for token in _TOKEN.finditer(written.decode(errors="replace")):
        parameters = token["parameters"] or ""
        count = int(parameters) if parameters.isdecimal() else 1
        match token["command"] or token["control"]:
            case "A":
                row = max(0, row - count)
            case "B" | "\n":
                row += count
            case "C":
                column += count
            case "D" | "\b":
                column = max(0, column - count)
            case "J":
                del lines[row + 1 :], lines[row][column:]
            case "K":
                del lines[row][column:]
            case "\r":
                column = 0
            case None if token["shown"]:
                lines[row] += " " * (column + 1 - len(lines[row]))
                lines[row][column] = token["shown"]
                column += 1
        lines += [[] for _ in range(row + 1 - len(lines))]
    shown = ["".join(line).rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    return shown
