"""The server: starting, serving, closing."""

from __future__ import annotations

import hubbub

from helpers import Peer, serving


async def test_what_one_says_all_others_hear() -> None:
    async with (
        serving(framing=hubbub.ByteLines(keepends=True)) as (server, record),
        Peer.of(server) as alice,
        Peer.of(server) as bob,
        Peer.of(server) as carol,
    ):
        await record.wait_for_clients(3)
        await alice.send(b"Hey\r\n")
        assert await bob.line() == b"Hey\r\n"
        assert await carol.line() == b"Hey\r\n"
        await bob.send(b"Ho\n")
        # Alice has not heard herself.
        assert await alice.line() == b"Ho\n"
