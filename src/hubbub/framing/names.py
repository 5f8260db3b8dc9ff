"""The names of framings on the command line.

Each file of this folder may declare names in a constant `NAMES: dict[str, Named]`. They are found by scanning the
folder, so a new framing is one file and no change elsewhere.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

from .. import framing

if TYPE_CHECKING:
    from .base import Named


def find_names() -> dict[str, Named]:
    """The framings that have a name on the command line, sorted by it.

    Raises:
        ValueError: two files declare the same name.
    """
    found: dict[str, Named] = {}
    for module in pkgutil.iter_modules(framing.__path__):
        names: dict[str, Named] = getattr(import_module(f"{framing.__name__}.{module.name}"), "NAMES", {})
        if taken := names.keys() & found.keys():
            raise ValueError(f"{module.name}.py declares {min(taken)!r}, which another framing has")
        found |= names
    return dict(sorted(found.items()))
