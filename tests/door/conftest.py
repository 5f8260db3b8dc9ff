"""What the tests of the door share: connections that are plain or speak TLS, and a secret."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hubbub

from support.certificates import Certificates, TlsPeer, make_certificates
from support.helpers import Peer


@dataclass
class Way:
    """How clients connect.

    Attributes:
        certificates: with which, where they speak TLS.
    """

    certificates: Certificates | None

    def listener(self, **options: Any) -> hubbub.Listener[Any]:
        """A listener on a port of its own."""
        if self.certificates is not None:
            return self.certificates.listener(**options)
        return hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), **options)

    def peer(self, server: hubbub.Server[Any]) -> AbstractAsyncContextManager[Peer | TlsPeer]:
        if self.certificates is not None:
            return TlsPeer.of(server, self.certificates.client_context())
        return Peer.of(server)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


@pytest.fixture
def plain() -> Way:
    return Way(None)


@pytest.fixture(params=["plain", "TLS"])
def way(request: pytest.FixtureRequest, certificates: Certificates) -> Way:
    """Both ways, one after the other."""
    return Way(certificates if request.param == "TLS" else None)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A file with the secret "open sesame"."""
    path = tmp_path / "secret"
    path.write_text("open sesame\n")
    return path
