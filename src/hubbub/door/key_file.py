"""The file of keys: a table of TOML for each key, with the hash of its secret and what it allows."""

from __future__ import annotations

import json
import re
import tomllib
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ..values.key import RIGHTS, Key
from ..values.text import plain_utf8
from ..values.toml_lines import find_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What needs no quotes in TOML, and no escapes in a log."""

_PATTERN: Final = re.compile(r"[A-Za-z0-9._*?!\[\]-]+")
"""What names of rooms have, and what means something in a pattern."""

_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")

_FIELDS: Final = ("sha256", "may", "rooms")


class _MistakeError(ValueError):
    """Something in a key is wrong.

    Attributes:
        path: where, as tables and keys of the file.
    """

    def __init__(self, reason: str, *path: str) -> None:
        super().__init__(reason)
        self.path = path


def parse_keys(data: bytes, path: Any) -> dict[bytes, Key]:
    """The keys of a file, each by the SHA-256 of its secret.

    Args:
        data: the file.
        path: its path, for errors.

    Raises:
        ValueError: it is not valid; the message names the line. It quotes nothing that may be a secret.
    """
    try:
        text = plain_utf8(data).decode().replace("\r\n", "\n")
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # These are raised also for a number of too many digits, and for too deep a nesting.
        raise ValueError(f"{path} is not valid TOML: {error}") from None
    keys: dict[bytes, Key] = {}
    try:
        for name, table in tables.items():
            check_key_name(name, name)
            digest = _digest_of(name, table)
            if digest in keys:
                raise _MistakeError(f"{keys[digest].name} has the same secret; each key needs its own", name, "sha256")
            keys[digest] = Key(name, _rights_of(name, table), _rooms_of(name, table))
    except _MistakeError as mistake:
        raise ValueError(f"{path}, line {find_line(text, *mistake.path)}: {mistake}") from None
    return keys


def write_key(name: str, secret: bytes, may: Sequence[str], rooms: Sequence[str]) -> str:
    """The table of a key. Without `rooms`, it opens all of them."""
    fields: dict[str, object] = {"sha256": sha256(secret).hexdigest(), "may": list(may)}
    if rooms:
        fields["rooms"] = list(rooms)
    # These strings and lists are the same in JSON and in TOML.
    lines = [f"{field} = {json.dumps(value)}" for field, value in fields.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def check_key_name(name: str, *path: str) -> None:
    """See that a key may have a name.

    Args:
        name: the name.
        path: where it stands, as tables and keys of a file.

    Raises:
        ValueError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise _MistakeError(f"{name!r} is not a name for a key; use 1 to 64 of A-Z, a-z, 0-9, '_' and '-'", *path)


def check_room_pattern(pattern: str, *path: str) -> None:
    """See that rooms may have names of that pattern.

    Args:
        pattern: the pattern.
        path: where it stands, as tables and keys of a file.

    Raises:
        ValueError: none can.
    """
    if not _PATTERN.fullmatch(pattern):
        raise _MistakeError(f"no room can match {pattern!r}; write a name or a pattern, as in wx-*", *path)


def _digest_of(name: str, table: Any) -> bytes:
    if not isinstance(table, dict):
        raise _MistakeError(f"{name} is not the table of a key; write [NAME] above what belongs to a key", name)
    if unknown := [field for field in table if field not in _FIELDS]:
        raise _MistakeError(f"a key has no {unknown[0]!r}; it has {', '.join(_FIELDS)}", name, unknown[0])
    digest = table.get("sha256")
    if digest is None:
        raise _MistakeError(f"{name} has no sha256; `hubbub key new` makes keys", name)
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        # It may be the secret itself, so it is not quoted.
        raise _MistakeError("sha256 must be a SHA-256, as 64 hexadecimal digits in quotes", name, "sha256")
    return bytes.fromhex(digest)


def _rights_of(name: str, table: Any) -> frozenset[str]:
    may = table.get("may")
    known = f"it must be a list of {', '.join(RIGHTS)}, or of some of them"
    if may is None:
        raise _MistakeError(f"{name} has no may; {known}", name)
    if not (isinstance(may, list) and may and all(right in RIGHTS for right in may)):
        raise _MistakeError(f"may is {may!r}; {known}", name, "may")
    return frozenset(may)


def _rooms_of(name: str, table: Any) -> tuple[str, ...]:
    rooms = table.get("rooms", ["*"])
    if not (isinstance(rooms, list) and rooms and all(isinstance(room, str) for room in rooms)):
        raise _MistakeError(f"rooms is {rooms!r}; write names or patterns, as in ['ais', 'wx-*']", name, "rooms")
    for room in rooms:
        check_room_pattern(room, name, "rooms")
    return tuple(rooms)
