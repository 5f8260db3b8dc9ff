"""A shared secret, which a client says as its first message."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from ..values.key import UNNAMED, Key
from ..values.text import plain_utf8
from .credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping


class SharedSecret(Credentials):
    """Authenticates a client by its first message, as `authenticate` of a listener. Over HTTP, each request says it.

    Args:
        path: a file with the secret; with several, one a line, each of them will do, so that one can be replaced. A
            byte order mark is ignored, there and before what the client says.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file has no secret.
    """

    @property
    def first(self) -> bytes:
        """The first secret of the file, for a client to say."""
        return self._secrets[0]

    def reload(self) -> str | None:
        """Read the file again; what has changed, if anything has. Connected clients stay.

        Raises:
            OSError: the file cannot be read; the old secrets hold.
            ValueError: the file has no secret; the old ones hold.
        """
        before = self._secrets
        self._keys = self._read()
        return None if self._secrets == before else f"the secrets of {self.path} have changed"

    def _read(self) -> Mapping[bytes, Key]:
        secrets = tuple(line for line in plain_utf8(self.path.read_bytes()).splitlines() if line)
        if not secrets:
            raise ValueError(f"there is no secret in {self.path}; write one into it")
        self._secrets = secrets
        return {sha256(secret).digest(): UNNAMED for secret in secrets}
