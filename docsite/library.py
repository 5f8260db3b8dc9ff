"""The code of hubbub, as griffe reads it without running it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import griffe

from .extension import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]


@cache
def package() -> griffe.Module:
    """All of hubbub."""
    extensions = griffe.load_extensions(Facts)
    found = griffe.load("hubbub", search_paths=[ROOT / "src"], resolve_aliases=True, extensions=extensions)
    assert isinstance(found, griffe.Module)
    return found


def public(name: str) -> griffe.Object:
    """What has a public name."""
    return target(package().members[name])


def target(thing: griffe.Object | griffe.Alias) -> griffe.Object:
    """What was imported, if that is all that something is."""
    return thing.final_target if isinstance(thing, griffe.Alias) else thing


def is_for_programs(name: str) -> bool:
    """Whether a member of a public class is public. What a link tells its owner (`on_...`) is of no use to others."""
    return not name.startswith(("_", "on_"))


def undocumented() -> Iterator[str]:
    """The public names of hubbub without a docstring, and such methods and properties of its classes."""
    for name in map(str, package().exports or ()):
        thing = public(name)
        if thing.docstring is None:
            yield name
        if isinstance(thing, griffe.Class):
            yield from (f"{name}.{member}" for member in _undocumented_members(thing))


def _undocumented_members(owner: griffe.Class) -> Iterator[str]:
    for name, member in owner.members.items():
        is_override = any(name in base.members for base in owner.mro())
        is_callable = member.is_function or "property" in member.labels
        if is_callable and is_for_programs(name) and not (is_override or member.docstring):
            yield name
