"""The live page: the files of `static`, which show in a browser what `/status` and the streams say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from ..page import Page, Shown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..page import Watched
    from ..requests import Request

FILES: Final = Path(__file__).parents[1] / "static"

FIRST: Final = "index.html"
"""The file at "/". The others are below "/live/", where no stream is."""

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    # No text becomes markup, not even by a mistake of the page: browsers that know this refuse it.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)

_HEADERS: Final = {"Content-Security-Policy": "; ".join(_POLICY), "Referrer-Policy": "no-referrer"}


def _read() -> Mapping[str, Shown]:
    """All files, by their paths."""
    files = [path for path in FILES.iterdir() if path.suffix in _TYPES]
    return {
        "/" if path.name == FIRST else f"/live/{path.name}": Shown(
            path.read_bytes(), _TYPES[path.suffix], headers=_HEADERS
        )
        for path in files
    }


SHOWN: Final = _read()


class _Live(Page):
    """The files tell nothing of the server. So they need no key: the page itself asks for it."""

    paths: ClassVar[Collection[str]] = SHOWN.keys()
    guarded: ClassVar[bool] = False

    async def show(self, request: Request, server: Watched) -> Shown:
        return SHOWN[request.path]


PAGE: Final = _Live()
