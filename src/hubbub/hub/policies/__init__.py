"""What happens to a reader that retention has passed: the policies that `when_slow` names, a file each.

A policy is a module with a function `overrun(cursor, room)`. It returns the ending of the reader, or None if the reader
stays and is told what it missed. Its name is that of the file.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...log.cursor import Cursor
    from ...values.ending import Ending

    Policy = Callable[[Cursor[Any, Any], str], Ending | None]


def names() -> list[str]:
    """The names of all policies."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


@cache
def find(name: str) -> Policy:
    """The policy of that name.

    Raises:
        ValueError: there is none; the message begins with the setting that names policies.
    """
    if name not in names():
        raise ValueError(f"when_slow is {name!r}; it must be {' or '.join(map(repr, names()))}")
    policy: Policy = import_module(f"{__name__}.{name}").overrun
    return policy
