"""What happens to a reader that retention has passed: the policies that `when_slow` names, a file each.

A policy is a module with a function `overrun(cursor, room)`. It returns the ending of the reader, or None if the reader
stays and is told what it missed. Its name is that of the file.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...framing import Framing
    from ...log.cursor import Cursor
    from ...values.ending import Ending

    Policy = Callable[[Cursor[Any, Any], str], Ending | None]

DISCONNECT: Final = "disconnect"
"""The policy under which no reader misses messages and stays, so that none has to be told."""

SKIP: Final = "skip"
"""The policy of a reader that takes nothing and stays all the same."""


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


def check_notice(framing: Framing[Any], notice: str | None, when_slow: str) -> None:
    """Check that readers in `framing` can be told that they missed messages, where that may happen.

    A binary framing carries no notice. That is an error only where readers skip messages: otherwise none goes
    unnoticed, since a reader that misses a message is ended.

    Args:
        framing: how they read.
        notice: the notice of their room, as in `Settings.notice`.
        when_slow: their policy.

    Raises:
        ValueError: they cannot be told, or there is no such policy.
    """
    find(when_slow)
    if notice is None or (when_slow == DISCONNECT and not framing.textual):
        return
    cause: Exception | None = None
    reason = "it carries bytes, and no text of the server's"
    advice = f"set notice to none, or when_slow to {DISCONNECT!r}"
    try:
        # With as many digits as a count may ever have.
        text = notice.format(missed=10**18)
        if framing.encode_text(text):
            return
        if framing.textual:
            reason, advice = "it has no bytes for it", "set notice to another text, or to none"
            framing.encode([framing.from_text(text)])
    except Exception as error:
        cause, reason, advice = error, str(error), "set notice to another text, or to none"
    raise ValueError(f"notice is {notice!r}, and the framing {framing} cannot carry it: {reason}; {advice}") from cause
