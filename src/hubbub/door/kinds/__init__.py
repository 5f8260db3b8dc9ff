"""The kinds of listeners, a file each.

Each file has a `Kind` by the name of KIND. A new file in this folder is a new kind, with its URLs in `--listen`, and
nothing else has to change.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..kind import Kind


def found() -> list[Kind]:
    """All kinds."""
    return [import_module(f"{__name__}.{module.name}").KIND for module in pkgutil.iter_modules(__path__)]


def with_scheme(scheme: str) -> Kind:
    """The kind of the URLs that begin with `scheme`.

    Raises:
        ValueError: there is none; the message names the schemes.
    """
    kinds = found()
    for kind in kinds:
        if scheme in kind.schemes:
            return kind
    raise ValueError(f"it must begin with {listed([f'{scheme}://' for kind in kinds for scheme in kind.schemes])}")


def serving(endpoint: Any) -> Kind:
    """The kind that listens at `endpoint`.

    Raises:
        TypeError: there is none; the message names the types.
    """
    kinds = found()
    for kind in kinds:
        if isinstance(endpoint, kind.endpoint):
            return kind
    types = listed([kind.endpoint.__name__ for kind in kinds])
    raise TypeError(f"nothing can listen at {endpoint!r}; give one of these types: {types}")


def listed(words: list[str]) -> str:
    """At least two words as a list, as in "a, b or c"."""
    return f"{', '.join(words[:-1])} or {words[-1]}"
