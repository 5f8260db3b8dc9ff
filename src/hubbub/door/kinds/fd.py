"""A socket that listens already, passed on by the program that started this one."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ...values.errors import ListenError
from ..kind import Kind, prepare, refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from ...values.settings import Settings
    from ..kind import Place

_DESCRIPTOR: Final = re.compile("[0-9]{1,6}")


class _Descriptor(Kind):
    forms: ClassVar[tuple[str, ...]] = ("fd://NUMBER", "fd://systemd")
    endpoint: ClassVar[type] = int

    def parse(self, url: SplitResult, query: Mapping[str, str]) -> dict[str, Any]:
        if url.netloc == "systemd":
            return {"endpoint": None}
        if not _DESCRIPTOR.fullmatch(url.netloc):
            raise ValueError("write it as fd://3 or fd://systemd")
        return {"endpoint": int(url.netloc)}

    async def bind(self, place: Place, settings: Settings) -> list[socket.socket]:
        descriptor: int = place.endpoint
        try:
            listening = socket.socket(fileno=descriptor)
        except OSError as error:
            raise refused(f"descriptor {descriptor}", error, {}) from error
        if listening.type != socket.SOCK_STREAM or not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listening.detach()
            raise ListenError(f"descriptor {descriptor}", "it is not a stream socket that listens")
        return [prepare(listening, settings)]


KIND: Final = _Descriptor()
