"""A shared secret, which a client says as its first message."""

from __future__ import annotations

import hmac
from codecs import BOM_UTF8
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..values.text import plain_utf8

if TYPE_CHECKING:
    from .arrival import Arrival


class SharedSecret:
    """Authenticates a client by its first message, as `authenticate` of a listener.

    Args:
        path: a file with the secret; with several, one a line, each of them will do, so that one can be replaced. A
            byte order mark is ignored, there and before what the client says.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file has no secret.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._secrets = self._read()

    async def __call__(self, arrival: Arrival[Any]) -> bool:
        """Whether the first message is the secret.

        Raises:
            ConnectionClosed: it left instead.
        """
        message = await arrival.receive()
        said = message.encode(errors="surrogateescape") if isinstance(message, str) else message
        # Lines of text have lost their mark already.
        said = said.removeprefix(BOM_UTF8).rstrip(b"\r\n")
        # Each is compared, in a time that does not tell how far they agree.
        return sum(hmac.compare_digest(said, secret) for secret in self._secrets) > 0

    @property
    def first(self) -> bytes:
        """The first secret of the file, for a client to say."""
        return self._secrets[0]

    def reload(self) -> str | None:
        """Read the file again; what has changed, if anything has.

        Raises:
            OSError: the file cannot be read; the old secrets hold.
            ValueError: the file has no secret; the old ones hold.
        """
        before, self._secrets = self._secrets, self._read()
        return None if self._secrets == before else f"the secrets of {self.path} have changed"

    def _read(self) -> tuple[bytes, ...]:
        secrets = tuple(line for line in plain_utf8(self.path.read_bytes()).splitlines() if line)
        if not secrets:
            raise ValueError(f"there is no secret in {self.path}; write one into it")
        return secrets
