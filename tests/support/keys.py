"""Files of keys for tests."""

from __future__ import annotations

from pathlib import Path

from hubbub.door.key_file import write_key


def secret_of(name: str) -> bytes:
    """The secret of a key of that name."""
    return b"secret-of-" + name.encode()


def write_keys(path: Path, **may: str) -> Path:
    """A file with keys of these names; what each may, and behind a colon the rooms, as in "read write: ais wx-*"."""
    tables = []
    for name, text in may.items():
        rights, _, rooms = text.partition(":")
        tables.append(write_key(name, secret_of(name), rights.split(), rooms.split()))
    path.write_text("\n".join(tables))
    return path


def replace_in(path: Path, old: str, new: str) -> None:
    """Change a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
