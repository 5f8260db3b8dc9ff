"""The terms of a log: which position means which place, and which is lost."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, NamedTuple

from ..values.position import Position

if TYPE_CHECKING:
    from collections.abc import Iterable

TERMS_LIMIT: Final = 1000
"""How many terms of a log are known: a server that starts again and again must not fill its store with them."""


class Term(NamedTuple):
    """One uninterrupted life of a log. A position of a term is valid from `first` up to `last`.

    Attributes:
        name: 64 random bits, as 16 hexadecimal digits.
        first: the `seq` at which it began.
        last: the `seq` which it reached; of the current term, for as long as it is that, the one at which it began.
    """

    name: str
    first: int
    last: int


class Terms:
    """The terms of one log, oldest first. They follow each other, and the last one is current: it has no end yet.

    Args:
        earlier: those of earlier lives of the log. One is to `begin`.
    """

    def __init__(self, earlier: Iterable[Term]) -> None:
        self._terms = list(earlier)
        self._first = 0

    def begin(self, name: str, first: int) -> None:
        """End the current term at `first`, and begin another one there."""
        if self._terms:
            self._terms[-1] = self._terms[-1]._replace(last=first)
        self._terms.append(Term(name, first, first))
        del self._terms[:-TERMS_LIMIT]
        self._first = first

    def position(self, seq: int) -> Position:
        """The position of the place after `seq` messages, in the term that brought the last of them."""
        if seq > self._first:
            return Position(self._terms[-1].name, seq)
        # The first term whose end is not before it.
        return Position(self._terms[bisect_left(self._terms[:-1], seq, key=_last)].name, seq)

    def reach(self, position: Position, head: int) -> int | None:
        """The `seq` up to which messages are those that the position's term brought; None: the term is not known.

        A position up to there means the same place as ever. One behind it is lost, and none is before its term began.

        Args:
            position: the position.
            head: where the current term ends, as things stand.
        """
        for term in reversed(self._terms):
            if term.name == position.term and term.first <= position.seq:
                return head if term is self._terms[-1] else term.last
        return None


def _last(term: Term) -> int:
    return term.last
