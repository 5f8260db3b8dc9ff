"""The kinds of streams, a file each: `GET /ROOM/json` is in `json.py`.

Each file has a `Stream` by the name of STREAM. A new file in this folder is a new kind, and nothing else has to change.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..stream import Stream


@cache
def found() -> Mapping[str, Stream]:
    """All kinds, by their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return MappingProxyType({name: import_module(f"{__name__}.{name}").STREAM for name in names})
