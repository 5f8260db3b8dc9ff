"""The client for browsers and Node, as a module of JavaScript."""

from __future__ import annotations

from typing import ClassVar, Final

from ..static_file import StaticFile


class _Client(StaticFile):
    paths: ClassVar[tuple[str, ...]] = ("/hubbub.js",)
    name: ClassVar[str] = "hubbub.js"
    # Browsers run a module only if it is of this type.
    content_type: ClassVar[str] = "text/javascript; charset=utf-8"


PAGE: Final = _Client()
