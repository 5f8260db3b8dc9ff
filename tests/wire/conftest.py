"""What the tests of TLS share: certificates, and a server that speaks TLS with its clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hubbub

from support.certificates import Certificates, TlsPeer, make_certificates
from support.helpers import Record, serving, transport_of


@dataclass
class Talk:
    """A server, its clients in the order in which they came, and their other ends."""

    server: hubbub.Server[Any]
    record: Record
    peers: list[TlsPeer]
    clients: list[hubbub.Client[Any]]

    @property
    def peer(self) -> TlsPeer:
        return self.peers[0]

    @property
    def other(self) -> TlsPeer:
        return self.peers[1]

    @property
    def client(self) -> hubbub.Client[Any]:
        return self.clients[0]

    @property
    def transport(self) -> Any:
        """The TLS transport of the first client."""
        return transport_of(self.client)


@dataclass
class Tls:
    """How tests speak TLS."""

    certificates: Certificates

    @asynccontextmanager
    async def talk(
        self, *handler: Any, clients: int = 1, first: dict[str, Any] | None = None, **options: Any
    ) -> AsyncIterator[Talk]:
        """A server with `handler` and `options`, and so many clients; the first peer is made as `first` says."""
        context = self.certificates.client_context()
        listener = self.certificates.listener()
        async with AsyncExitStack() as stack:
            server, record = await stack.enter_async_context(serving(*handler, listeners=[listener], **options))
            peers = [
                await stack.enter_async_context(TlsPeer.of(server, **{"context": context, **wanted}))
                for wanted in [first or {}, *[{}] * (clients - 1)]
            ]
            named = {client.name: client for client in await record.wait_for_clients(clients)}
            yield Talk(server, record, peers, [named[peer.name] for peer in peers])


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


@pytest.fixture
def tls(certificates: Certificates) -> Tls:
    return Tls(certificates)
