"""What the tests of pages with transcripts share: where a page is replayed, and what is checked without a replay."""

from __future__ import annotations

import errno
import functools
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from support.programs import wait_until

ROOT = Path(__file__).parents[2]


def set_up_desk(directory: Path, ports: Iterable[int]) -> Path:
    """Make `directory` look like a clone to a page's commands, and wait until nobody listens on its ports."""
    for port in ports:
        wait_until(functools.partial(_is_free, port), f"free port {port}: the pages use it, so stop what listens there")
    (directory / ".venv").symlink_to(sys.prefix)
    (directory / "examples").symlink_to(ROOT / "examples")
    return directory


def check_listing(path: str, lines: list[str]) -> None:
    """See that a file of the project contains these lines."""
    text = (ROOT / path).read_text()
    listing = "\n".join(lines)
    assert f"\n{listing}\n" in f"\n{text}", f"{path} does not contain this:\n{listing}"


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
