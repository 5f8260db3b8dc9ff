"""The live page: files that show in a browser what `/status` and the streams say. The page itself asks for a key."""

from __future__ import annotations

from typing import Final

from ..static_files import FOLDER, StaticFiles

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

# The first one is at "/", and the others are where no stream is.
_FILES: Final = {f"/live/{file.name}": f"live/{file.name}" for file in sorted((FOLDER / "live").glob("*.*"))}

PAGE: Final = StaticFiles({"/": _FILES.pop("/live/index.html"), **_FILES}, _HEADERS)
