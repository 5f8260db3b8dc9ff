"""Handlers that relay lines, and after a hundred do it badly: for `hubbub serve broken_relays:...`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import hubbub

Client = hubbub.Client[bytes]

_GOOD = 100


async def _relay_badly(client: Client, spoil: Callable[[Sequence[bytes]], Sequence[bytes]]) -> None:
    said = 0
    while lines := await client.receive_many():
        before, said = said, said + len(lines)
        await client.server.broadcast_many(spoil(lines) if before > _GOOD else lines, exclude=client)


async def losing(client: Client) -> None:
    await _relay_badly(client, lambda lines: lines[1:])


async def repeating(client: Client) -> None:
    await _relay_badly(client, lambda lines: [lines[0], *lines])


async def swapping(client: Client) -> None:
    await _relay_badly(client, lambda lines: lines[::-1])


async def tearing(client: Client) -> None:
    await _relay_badly(client, lambda lines: [lines[0][:50] + b"\n", *lines[1:]])
