"""What real programs show on terminals, each piece with its time in the film."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from support.programs import wait_until
from support.terminals import PROMPT, Terminal, character_of

if TYPE_CHECKING:
    from pathlib import Path

KEY_TIME: Final = 0.035
"""Seconds of the film from one key to the next."""


@dataclass(frozen=True)
class Piece:
    """Text in one line of a terminal.

    Attributes:
        text: what is shown.
        seconds: when it appears, from the start of the film.
        typed: whether a person has typed it.
    """

    text: str
    seconds: float
    typed: bool = False


@dataclass
class Pane:
    """A terminal in the film.

    Attributes:
        title: its heading.
        lines: what it has shown so far, from left to right.
    """

    title: str
    terminal: Terminal
    film: Film
    lines: list[list[Piece]] = field(default_factory=lambda: [[]])

    def show_prompt(self, prompt: str = PROMPT) -> None:
        """Take what a program asks with, and show it; the line goes on behind it."""
        self._take(prompt)
        self._show(prompt)

    def type(self, line: str) -> None:
        """Type a line and Enter, key by key."""
        for key in line:
            self.film.wait(KEY_TIME)
            self._show(key, typed=True)
        self.terminal.type(f"{line}\n")
        self._take(f"{line}\n")
        self.lines.append([])

    def press(self, key: str) -> None:
        """Press a key like "^C", once the program in the terminal heeds it."""
        wait_until(lambda: self.terminal.heeds(key), f"program that heeds {key}")
        self.terminal.type(character_of(key))
        self._take(f"{key}\n")
        self._show(key, typed=True)
        self.lines.append([])

    def see(self, text: str) -> None:
        """Show what comes, line by line, up to the first line that contains `text`."""
        line = ""
        while text not in line:
            line = self.terminal.read_line()
            if not line:
                shown = "\n".join("".join(piece.text for piece in pieces) for pieces in self.lines)
                raise AssertionError(f"{self.title}: {text!r} is not shown, only:\n{shown}")
            self._show(line)
            self.lines.append([])

    def _take(self, text: str) -> None:
        if not self.terminal.take(text):
            raise AssertionError(f"{self.title}: no {text!r}, but {self.terminal.unread!r}")

    def _show(self, text: str, *, typed: bool = False) -> None:
        self.lines[-1].append(Piece(text, self.film.seconds, typed))


class Film:
    """A session of real programs. Only its pace is made up: `wait` takes no time outside the film.

    Args:
        directory: where the shells start.

    Attributes:
        seconds: how long it is so far.
    """

    def __init__(self, directory: Path) -> None:
        self.seconds = 0.0
        self._directory = directory
        self._terminals = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._terminals.close()

    def wait(self, seconds: float) -> None:
        """Let time of the film pass."""
        self.seconds += seconds

    def open_pane(self, title: str) -> Pane:
        """Open a terminal, with a shell that shows its prompt."""
        pane = Pane(title, self._terminals.enter_context(Terminal(self._directory)), self)
        pane.show_prompt()
        return pane


def wait_for_connections(port: int, count: int) -> None:
    """Wait until so many are connected to the port, for programs that do not say when they are."""
    command = ["ss", "-Htn", "state", "established", f"dport = :{port}"]

    def count_connections() -> int:
        return len(subprocess.check_output(command).splitlines())  # noqa: S603 (nothing of it comes from outside)

    wait_until(lambda: count_connections() == count, f"{count} connections to port {port}")
