"""What a check of the pages finds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Complaint(NamedTuple):
    """A place in a page that is not plain English."""

    page: Path
    line: int
    column: int
    rule: str
    advice: str
    text: str

    def __str__(self) -> str:
        """Compose the line that is shown: where, which rule, what to do, and the text."""
        return f"{self.page}:{self.line}:{self.column}: {self.rule}: {self.advice} [{' '.join(self.text.split())}]"
