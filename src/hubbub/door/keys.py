"""Keys: secrets with names, of which each allows something of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .credentials import Credentials
from .key_file import parse_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..values.key import Key


class Keys(Credentials):
    """Lets in clients that say a key of a file first, as `authenticate` of a listener. Over HTTP, each request says it.

    A key allows some of what its place does, and opens some rooms. `Client.key` has its name. The file has a table of
    TOML for each, which `hubbub key new` writes. It has hashes only: it need not be secret. Plain SHA-256 is enough,
    because the secrets are generated, with 256 random bits: nobody can guess them, however fast that is.

    Args:
        path: the file. One without keys lets nobody in.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not valid; the message says why and names the line.
    """

    def reload(self) -> str | None:
        """Read the file again; what has changed, if anything has.

        `Server.reload` calls it, and then ends the connections that would not be let in any more.

        Raises:
            OSError: the file cannot be read; the old keys hold.
            ValueError: the file is not valid; the old keys hold.
        """
        now = dict(self._read())
        if now == self._keys:
            return None
        for digest, key in self._keys.items():
            key.become(now.get(digest))
            if digest in now:
                # Its connections have this very one.
                now[digest] = key
        self._keys = now
        return f"the keys of {self.path} have changed"

    def _read(self) -> Mapping[bytes, Key]:
        return parse_keys(self.path.read_bytes(), self.path)
