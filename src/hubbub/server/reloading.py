"""Reading again what listeners have from files, and ending the connections that would not be let in any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..door.listener import Listener
    from .sessions import Sessions


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
    readers = sum([reader.check_key() for reader in list(sessions.readers)])
    return readers + sum([arrival.check_key() for arrival in sessions.arrivals])
