"""An inbox that a test fills."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import hubbub
from hubbub.values.pace import Throttle
from hubbub.wire.inbox import Inbox


class Box(Inbox[str]):
    """An inbox of what a test says has arrived, which notes what its receiver is told."""

    def __init__(
        self, settings: hubbub.Settings | None = None, throttle: Throttle | None = None, *, guarded: bool = False
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(self, hubbub.Lines(), settings or hubbub.Settings(), loop, guarded=guarded)
        self._throttle = throttle
        self.gone = False
        self.reading = True
        self.told: list[object] = []

    @property
    def lost(self) -> bool:
        return self.gone

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def on_received(self, messages: Sequence[str]) -> None:
        self.told.append(list(messages))

    def on_slowed(self) -> None:
        self.told.append("slowed")

    def on_replies(self, replies: bytes) -> None:
        self.told.append(replies)

    def on_failed(self, error: hubbub.FramingError) -> None:
        self.told.append(error.reason)

    def arrive(self, data: bytes) -> None:
        self._add(data)

    def end(self) -> None:
        """The peer has ended its stream."""
        self.at_end = True
        self._wake_receiver()

    def lose(self) -> None:
        """The connection breaks."""
        self.gone = True
        self._wake_receiver()


async def receiving(box: Box) -> asyncio.Task[str | None]:
    """A task that waits in `receive` by now."""
    task = asyncio.create_task(box.receive())
    await asyncio.sleep(0)
    assert not task.done()
    return task
