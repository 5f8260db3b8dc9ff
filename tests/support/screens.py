"""What a terminal shows after a program has written to it."""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"\x1b\[(?P<parameters>[0-9;?]*)(?P<command>[A-Za-z])|\x1b\][^\x07]*\x07|(?P<control>[\r\n\x08])|(?P<shown>[^\x1b])"
)


def render(written: bytes) -> list[str]:
    """The lines from the first one to the last that is not empty, without the spaces at their ends.

    It knows what cursors do (ECMA-48, 8.3), and neither width nor height: nothing wraps or scrolls.
    """
    screen = _Screen()
    for token in _TOKEN.finditer(written.decode(errors="replace")):
        screen.take(token)
    lines = ["".join(line).rstrip() for line in screen.lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


class _Screen:
    def __init__(self) -> None:
        self.lines: list[list[str]] = [[]]
        self._row = 0
        self._column = 0

    def take(self, token: re.Match[str]) -> None:
        if shown := token["shown"]:
            line = self.lines[self._row]
            line += " " * (self._column + 1 - len(line))
            line[self._column] = shown
            self._column += 1
        elif control := token["control"]:
            self._control(control)
        elif command := token["command"]:
            self._command(command, token["parameters"])

    def _control(self, control: str) -> None:
        if control == "\r":
            self._column = 0
        elif control == "\n":
            self._down(1)
        else:
            self._column = max(0, self._column - 1)

    def _command(self, command: str, parameters: str) -> None:
        count = int(parameters) if parameters.isdecimal() else 1
        match command:
            case "A":
                self._row = max(0, self._row - count)
            case "B":
                self._down(count)
            case "C":
                self._column += count
            case "D":
                self._column = max(0, self._column - count)
            case "J":
                del self.lines[self._row + 1 :]
                del self.lines[self._row][self._column :]
            case "K":
                del self.lines[self._row][self._column :]

    def _down(self, count: int) -> None:
        self._row += count
        self.lines += [[] for _ in range(self._row + 1 - len(self.lines))]
