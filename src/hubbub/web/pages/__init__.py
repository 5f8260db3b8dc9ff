"""The pages that show the server itself, a file each.

Each file has a `Page` by the name of PAGE. A new file in this folder is a new page, and nothing else has to change.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..page import Page


@cache
def found() -> Mapping[str, Page]:
    """All pages, by their paths."""
    pages = [import_module(f"{__name__}.{module.name}").PAGE for module in pkgutil.iter_modules(__path__)]
    return MappingProxyType({path: page for page in pages for path in page.paths})
