"""What a program is told that gives a framing what it cannot carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def wrong_type(messages: Sequence[Any], kind: type) -> TypeError:
    """What `encode` raises for messages of which one is not of the type that its framing carries."""
    wrong = next((message for message in messages if not isinstance(message, kind)), messages)
    what_else = "bytes, such as hubbub.ByteLines()" if kind is str else "text, such as hubbub.Lines()"
    return TypeError(
        f"a message in this framing must be {kind.__name__}, and this one is {type(wrong).__name__}: "
        f"{repr(wrong)[:60]}; convert it, or choose a framing of {what_else}"
    )
