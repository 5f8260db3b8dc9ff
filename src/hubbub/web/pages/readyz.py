"""Whether more clients should be sent to the server."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from ..page import Page, Shown

if TYPE_CHECKING:
    from ..page import Watched
    from ..requests import Request


class _Readiness(Page):
    paths: tuple[str, ...] = ("/readyz",)
    guarded: ClassVar[bool] = False

    async def show(self, request: Request, server: Watched) -> Shown:
        if (trouble := server.trouble) is None:
            return Shown(b"ok\n", "text/plain")
        return Shown(f"{trouble}\n".encode(), "text/plain", HTTPStatus.SERVICE_UNAVAILABLE)


PAGE: Final = _Readiness()
