"""The kinds of streams, a file each: `GET /ROOM/json` is in `json.py`.

Each file has a `Stream` by the name of STREAM. A new file in this folder is a new kind, and nothing else has to change.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..stream import Stream


@cache
def names() -> list[str]:
    """The names of all kinds."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


@cache
def find(name: str) -> Stream | None:
    """The kind of that name, if there is one."""
    if name not in names():
        return None
    stream: Stream = import_module(f"{__name__}.{name}").STREAM
    return stream
