"""The lines that a user has typed, kept between runs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

if TYPE_CHECKING:
    from collections.abc import Iterable

LINES_LIMIT: Final = 1_000
"""How many lines are kept from one run for the next, at least; there are never more than twice as many for long."""


class _History(FileHistory):
    """A file with one entry for each line. A line that begins with a space is not kept, as in shells.

    If the file cannot be read or written, lines are remembered until the program ends.
    """

    def load_history_strings(self) -> Iterable[str]:
        with suppress(OSError):
            return list(super().load_history_strings())
        return []

    def store_string(self, string: str) -> None:
        if string.strip() and not string.startswith(" "):
            with suppress(OSError):
                super().store_string(string)

    def trim(self) -> None:
        """Drop the oldest lines, if there are twice as many as are kept; make the file if there is none."""
        path = Path(os.fsdecode(self.filename))
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            # It may have secrets.
            path.touch(mode=0o600)
            lines = list(self.load_history_strings())
            if len(lines) > 2 * LINES_LIMIT:
                path.unlink()
                path.touch(mode=0o600)
                for line in reversed(lines[:LINES_LIMIT]):
                    self.store_string(line)


def open_history() -> History:
    """The history of this user (XDG Base Directory Specification); one that nobody keeps for a user without a home."""
    try:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:
        return InMemoryHistory()
    history = _History(Path(state, "hubbub", "history"))
    history.trim()
    return history
