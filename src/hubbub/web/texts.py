"""Messages as the streams have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..framing import Framing


def message_of(message: Any, framing: Framing[Any]) -> Any:
    """A message without the end of its line, which lines of bytes may keep."""
    if isinstance(message, bytes) and framing.textual and message.endswith(b"\n"):
        return message[:-1].removesuffix(b"\r")
    return message
