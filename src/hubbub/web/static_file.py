"""Pages that are files of `static`, as they are: they tell nothing of the server."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, ClassVar

from .page import Page, Shown

if TYPE_CHECKING:
    from .page import Watched
    from .requests import Request


class StaticFile(Page):
    """Such a page.

    Attributes:
        name: the name of the file.
        content_type: its type.
    """

    guarded: ClassVar[bool] = False
    name: ClassVar[str]
    content_type: ClassVar[str]

    async def show(self, request: Request, server: Watched) -> Shown:
        return Shown(_read(self.name), self.content_type)


@cache
def _read(name: str) -> bytes:
    """The bytes of a file; it does not change while the server runs."""
    return (files(__package__) / "static" / name).read_bytes()
