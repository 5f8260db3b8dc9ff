"""The client for browsers and Node, as a module of JavaScript."""

from __future__ import annotations

from typing import Final

from ..static_files import StaticFiles

PAGE: Final = StaticFiles({"/hubbub.js": "hubbub.js"})
