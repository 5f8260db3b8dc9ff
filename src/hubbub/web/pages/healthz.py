"""Whether the server lives: it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from ..page import Page, Shown

if TYPE_CHECKING:
    from ..page import Watched
    from ..requests import Request


class _Health(Page):
    paths: tuple[str, ...] = ("/healthz",)
    guarded: ClassVar[bool] = False

    async def show(self, request: Request, server: Watched) -> Shown:
        return Shown(b"ok\n", "text/plain")


PAGE: Final = _Health()
