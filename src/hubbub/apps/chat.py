"""What one client says all others see, with who said it; so are joins and leaves."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..hub.client import Client
from ..hub.publisher import Publisher
from ..values.errors import NotStored
from ..values.text import printable
from ..wire.countdown import within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..values.position import Position


async def chat(client: Client) -> None:
    """Serve one client; text from others is shown with control characters escaped."""
    first: Sequence[str] = ()
    with suppress(TimeoutError):
        async with within(client.server.settings.probe_time):
            first = await client.receive_many()
            if not first:
                # It left without a word, as probes do.
                return
    await _tell(client, "connected.")
    while messages := first or await client.receive_many():
        await _tell(client, *_said(messages))
        first = ()
    await _tell(client, "disconnected.")


async def publish(publisher: Publisher, messages: Sequence[str]) -> Position:
    """Publish what came over HTTP, as a client says it; nobody is told that it connects."""
    said = [f"{publisher} {each}" for each in _said(messages)]
    return await publisher.room.broadcast_many(said, sender=publisher)


def _said(messages: Sequence[str]) -> list[str]:
    return [f"says: {printable(text)}" for text in messages]


async def _tell(client: Client, *words: str) -> None:
    # The others have heard it; the log of the server says what the store could not keep.
    with suppress(NotStored):
        await client.room.broadcast_many([f"{client} {each}" for each in words], exclude=client)
