"""Words of the server's own in a client's framing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Framing

logger = logging.getLogger("hubbub")


def words_in(framing: Framing[Any], text: str) -> bytes:
    """The bytes of `text`; none where the framing cannot carry it, or raises, which is logged.

    A connection is to end, and others with it: no framing may stand in the way of that.
    """
    try:
        return framing.encode_text(text)
    except Exception:
        logger.exception("%r cannot be encoded by %s", text, framing)
        return b""
