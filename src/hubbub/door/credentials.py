"""Authenticates clients by secrets. A file has these secrets, or their hashes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from codecs import BOM_UTF8
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from ..values.key import Key


class Stranger(Protocol):
    """What `Credentials` needs of an `Arrival`.

    Attributes:
        held_key: the key that it has shown.
    """

    held_key: Key | None

    def receive(self) -> Coroutine[Any, Any, str | bytes]:
        """Its next message."""


class Credentials(ABC):
    """Authenticates clients, as `authenticate` of a listener: by their first message, or by each request over HTTP.

    What was said is looked up by its SHA-256, in a time that does not tell how much of it is right: the digests of
    similar secrets have nothing in common. Besides, a dict compares two digests only where their hashes agree, which
    are made with a random number of the process (PEP 456).

    Args:
        path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._keys = self._read()

    async def __call__(self, arrival: Stranger) -> bool:
        """Whether the first message is a secret of the file. The arrival then has its key.

        Raises:
            ConnectionClosed: it left instead.
        """
        message = await arrival.receive()
        said = message.encode(errors="surrogateescape") if isinstance(message, str) else message
        # Lines of text have lost their mark already.
        arrival.held_key = self.find(said.removeprefix(BOM_UTF8).rstrip(b"\r\n"))
        return arrival.held_key is not None

    def find(self, secret: bytes) -> Key | None:
        """The key whose secret this is; None: it is nobody's."""
        return self._keys.get(sha256(secret).digest())

    @abstractmethod
    def reload(self) -> str | None:
        """Read the file again; what has changed, if anything has.

        Raises:
            OSError: the file cannot be read; what was read before holds.
            ValueError: the file is not valid; what was read before holds.
        """

    @abstractmethod
    def _read(self) -> Mapping[bytes, Key]:
        """The keys, each by the SHA-256 of its secret."""
