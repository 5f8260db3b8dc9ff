"""The life of a connection: its states, and the table of what may follow what."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class State(Enum):
    """Where a connection is in its life."""

    OPENING = auto()
    """There is no transport yet."""
    OPEN = auto()
    """Both sides may speak."""
    HALF_CLOSED = auto()
    """The peer has ended its stream and may still read."""
    FINISHING = auto()
    """This side has ended its stream; what the peer still says is read and discarded."""
    CLOSED = auto()
    """The connection is gone."""


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.OPENING: frozenset((State.OPEN, State.CLOSED)),
    State.OPEN: frozenset((State.HALF_CLOSED, State.FINISHING, State.CLOSED)),
    State.HALF_CLOSED: frozenset((State.FINISHING, State.CLOSED)),
    State.FINISHING: frozenset((State.CLOSED,)),
    State.CLOSED: frozenset(),
}


class IllegalTransition(RuntimeError):
    """A connection cannot go from one state to the other. This is a fault of the program."""


def advance(state: State, to: State) -> State:
    """The state that follows.

    Raises:
        IllegalTransition: `to` cannot follow `state`.
    """
    if to not in TRANSITIONS[state]:
        raise IllegalTransition(f"a connection cannot go from {state.name} to {to.name}")
    return to
