"""Reading again what listeners have from files, and ending the connections that would not be let in any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..door.arrival import Arrival
    from ..door.listener import Listener
    from ..hub.session import Session
    from .sessions import Sessions

ENDED_AT_ONCE: Final = 50
"""Connections that end in one turn of the event loop: many may have come in with the same key."""


def reload(listeners: Iterable[Listener[Any]], sessions: Sessions[Any]) -> tuple[list[str], list[str]]:
    """Read it again: what has changed, and what could not be read; there the old holds. One line each."""
    # Listeners may share a certificate.
    files = {id(part): part for listener in listeners for part in listener.files}
    changes: list[str] = []
    failures: list[str] = []
    for part in files.values():
        try:
            change = part.reload()
        except (OSError, ValueError) as error:
            failures.append(f"{error}; what was read before holds")
            continue
        if change is not None:
            changes.append(change)
    if ended := _end_those_without_keys(sessions):
        changes.append(f"connections ended, because their keys do not let them in any more: {ended}")
    return changes, failures


def _end_those_without_keys(sessions: Sessions[Any]) -> int:
    """End the connections whose keys were taken away, or do not allow what they do; how many."""
    unwanted = [each for each in (*sessions.readers, *sessions.arrivals) if each.is_unwanted]
    _end(unwanted)
    return len(unwanted)


def _end(unwanted: list[Session[Any] | Arrival[Any]]) -> None:
    """End these connections, some in each turn of the loop."""
    if later := unwanted[ENDED_AT_ONCE:]:
        asyncio.get_running_loop().call_soon(_end, later)
    for each in unwanted[:ENDED_AT_ONCE]:
        each.check_key()
