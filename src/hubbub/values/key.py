"""What a key allows: to do what, and in which rooms."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from .role import Role

READ: Final = "read"
WRITE: Final = "write"
WATCH: Final = "watch"

RIGHTS: Final = (READ, WRITE, WATCH)
"""What a key may allow: to hear rooms, to speak there, and to look at the state of the server."""


@dataclass(slots=True)
class Key:
    """What those are allowed who have shown a key.

    All connections that came in with a key share it. A reload changes it in place, so each of them can be asked again.

    Attributes:
        name: how logs name it; None: it has no name, and allows everything.
        may: those of the `RIGHTS` that it has; none, once it was taken away.
        rooms: patterns of names of rooms, as in the shell.
    """

    name: str | None
    may: frozenset[str]
    rooms: tuple[str, ...]

    def narrow(self, role: Role) -> Role:
        """What is left of a role. Where nothing is, it is the same role, and `refusal` says why."""
        hears, speaks = role.hears and READ in self.may, role.speaks and WRITE in self.may
        if hears == speaks:
            return role
        return Role.READ if hears else Role.WRITE

    def refusal(self, room: str, role: Role) -> str | None:
        """Why nobody may have that role in a room with it; None: everybody may."""
        if not self.may:
            return f"the key {self.name} is not valid any more"
        needs = {READ: role.hears, WRITE: role.speaks}
        if lacking := [right for right, needed in needs.items() if needed and right not in self.may]:
            return f"the key {self.name} may not {' or '.join(lacking)}"
        if not any(fnmatchcase(room, pattern) for pattern in self.rooms):
            return f"the key {self.name} does not open the room {room}"
        return None

    def become(self, other: Key | None) -> None:
        """From now on it allows what another key does; nothing, if that is None."""
        self.may = frozenset() if other is None else other.may
        if other is not None:
            self.name, self.rooms = other.name, other.rooms


UNNAMED: Final = Key(None, frozenset(RIGHTS), ("*",))
"""What a secret is that all clients share."""
