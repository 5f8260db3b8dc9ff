"""Pages that are files of `static`, as they are: they tell nothing of the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from .page import Page, Shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .page import Watched
    from .requests import Request

FOLDER: Final = Path(__file__).parent / "static"

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    # Browsers run a module only if it is of this type.
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFiles(Page):
    """Such pages. They are read once: a file does not change while the server runs.

    Args:
        files: by the path of each page, the name of its file in the folder.
        headers: further headers of the answers.

    Attributes:
        shown: the answers, by their paths.
    """

    guarded: ClassVar[bool] = False

    def __init__(self, files: Mapping[str, str], headers: Mapping[str, str] | None = None) -> None:
        self.shown = {path: _read(FOLDER / name, headers or {}) for path, name in files.items()}
        self.paths = tuple(self.shown)

    async def show(self, request: Request, server: Watched) -> Shown:
        return self.shown[request.path]


def _read(file: Path, headers: Mapping[str, str]) -> Shown:
    return Shown(file.read_bytes(), _TYPES[file.suffix], headers=headers)
