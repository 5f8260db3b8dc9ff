"""What it means for a client that its handler has raised."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed, RoomClosed

if TYPE_CHECKING:
    from ..hub.reader import Reader

logger = logging.getLogger("hubbub")

LEFT: Final = Ending(EndingCode.LEFT, "the client closed the connection")


def ending_of(error: Exception, reader: Reader[Any]) -> Ending:
    """The ending of a client whose handler raised `error`.

    A handler need not catch that a client has gone, its own or another one, nor need its task groups. Once its own has
    gone, it need not catch either that a room was closed, as one is that its client was the last to leave. Anything
    else is a failure, and is logged.
    """
    known = (ConnectionClosed,) if reader.ending is None else (ConnectionClosed, RoomClosed)
    gone: Exception | None = error
    rest: Exception | None = None
    if isinstance(error, ExceptionGroup):
        gone, rest = error.split(known)
    elif not isinstance(error, known):
        rest = error
    if rest is not None:
        logger.error("the handler of %s raised", reader.client, exc_info=error)
        return Ending(EndingCode.FAILED, f"the handler raised {type(error).__name__}: {error}")
    if reader.ending is not None or reader.link.at_end:
        return LEFT
    return Ending(EndingCode.FINISHED, f"the handler ended: {_first(gone)}")


def _first(error: BaseException | None) -> BaseException | None:
    """The first of the exceptions in a group, or the exception itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
