"""The load: connections that speak to a server, and others that hear what it makes of it."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from ..client.connection import Connection, connect
from ..framing import Raw
from ..values.errors import ConnectionClosed
from ..values.settings import MIB, Settings
from ..wire.pulse import Pulse
from .lines import new_tag
from .measurement import Measurement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..values.address import Address
    from .figures import Figures
    from .plan import Plan

DIALLED_AT_ONCE: Final = 64
"""Connections that are being made at the same time: fewer than the shortest usual backlog (128, listen(2))."""

PROBE_TIME: Final = 0.1
"""The time from a sender's first probe to its second, in seconds; from then on it doubles."""

CATCH_UP_TIME: Final = 1.0
"""How long senders may still say what was due when the time is over, in seconds."""

_SETTINGS: Final = Settings(inbox_limit=MIB, patience=1.0)
"""Large reads, and a short farewell to servers that take no more."""


class LoadFailure(Exception):
    """The server does not play along; the message says how."""


class Load:
    """A run against a server.

    Args:
        endpoint: the server.
        plan: what is asked of it.
        tls: whether it is spoken to with TLS.

    Attributes:
        plan: what is asked of it.
        measurement: what was said and heard so far.
    """

    def __init__(self, endpoint: Address, plan: Plan, *, tls: bool = False) -> None:
        self.plan = plan
        # Two runs at the same time are to differ.
        self.measurement = Measurement(plan, new_tag(random.getrandbits(24)))
        self._endpoint = endpoint
        self._tls = tls
        self._started_at: float | None = None
        self._cpu_started_at = 0.0
        self._cpu_time: float | None = None
        self._risen = [Pulse() for _ in range(plan.senders)]
        self._due = [Pulse() for _ in range(plan.senders)]
        # The first one alone: a server that cannot be reached is to fail once.
        self._dialling = asyncio.Semaphore(1)
        self._undialled = plan.readers + plan.senders
        self._all_dialled = asyncio.Event()
        self._all_probed = asyncio.Event()
        self._speaking = plan.senders
        self._all_said = asyncio.Event()

    @property
    def elapsed(self) -> float | None:
        """The time since the senders began to speak, in seconds; None before."""
        return None if self._started_at is None else time.perf_counter() - self._started_at

    @property
    def figures(self) -> Figures:
        """What was measured so far."""
        cpu_time = self._cpu_time
        if cpu_time is None:
            cpu_time = time.process_time() - self._cpu_started_at
        return self.measurement.figures(cpu_time)

    async def run(self) -> None:
        """Connect, see that every reader hears every sender, let them speak, and wait until all is heard.

        Raises:
            LoadFailure: the server does not let every reader hear every sender.
            OSError: it cannot be reached.
        """
        plan = self.plan
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._read(reader)) for reader in range(plan.readers)]
                tasks += [group.create_task(self._speak(sender)) for sender in range(plan.senders)]
                await self._all_dialled.wait()
                await self._wait_until_probed()
                tasks.append(group.create_task(self._watch()))
                if plan.rate is not None:
                    tasks.append(group.create_task(self._keep_time()))
                await self._wait_until_heard()
                # Taking leave is not measured.
                self._cpu_time = time.process_time() - self._cpu_started_at
                for task in tasks:
                    task.cancel()
        except ExceptionGroup as failures:
            # The first one ended the others.
            raise failures.exceptions[0] from None

    async def _wait_until_probed(self) -> None:
        try:
            async with asyncio.timeout(self.plan.patience):
                await self._all_probed.wait()
        except TimeoutError:
            # The last probe may have been heard when the time was over, but before this task went on.
            if not self._all_probed.is_set():
                heard = f"{self.measurement.unheard()} within {self.plan.patience:g} s"
                raise LoadFailure(f"{heard}: is {self._endpoint} a line broadcaster?") from None

    async def _wait_until_heard(self) -> None:
        await self._all_said.wait()
        measurement = self.measurement
        for floor, said, risen in zip(measurement.floors, measurement.said, self._risen, strict=True):
            while floor.level < said:
                await risen.wait()

    async def _watch(self) -> None:
        """Fail when nothing is heard any more that should be."""
        measurement = self.measurement
        while True:
            passed, outstanding = measurement.passed, measurement.outstanding
            await asyncio.sleep(self.plan.patience)
            if outstanding and measurement.passed == passed:
                raise LoadFailure(f"the server stopped delivering: {measurement.standing(measurement.slowest())}")

    @asynccontextmanager
    async def _dialled(self) -> AsyncIterator[Connection[bytes]]:
        async with AsyncExitStack() as stack:
            dialled = connect(*self._endpoint, tls=self._tls, framing=Raw(), settings=_SETTINGS)
            # Behind one that failed nobody is to try, so that is not given back.
            await self._dialling.acquire()
            connection = await stack.enter_async_context(dialled)
            self._dialling.release()
            if self._undialled == self.plan.readers + self.plan.senders:
                for _ in range(DIALLED_AT_ONCE - 1):
                    self._dialling.release()
            self._undialled -= 1
            if not self._undialled:
                self._all_dialled.set()
            yield connection

    # Readers.

    async def _read(self, reader: int) -> None:
        async with self._dialled() as connection:
            try:
                while True:
                    self._hear(reader, await connection.receive())
            except ConnectionClosed as closed:
                raise LoadFailure(f"{self.measurement.standing(reader)}: {closed}") from None

    def _hear(self, reader: int, piece: bytes) -> None:
        for sender in self.measurement.hear(reader, piece, self.elapsed):
            self._risen[sender].fire()
        if self._started_at is None and not self.measurement.unprobed:
            self._started_at, self._cpu_started_at = time.perf_counter(), time.process_time()
            self._all_probed.set()

    # Senders.

    async def _speak(self, sender: int) -> None:
        async with self._dialled() as connection:
            hearing = asyncio.create_task(self._ignore(connection))
            try:
                await self._all_dialled.wait()
                await self._probe(sender, connection)
                if self.plan.rate is None:
                    await self._say_fast(sender, connection)
                else:
                    await self._say_when_due(sender, connection)
                self._speaking -= 1
                if not self._speaking:
                    self._all_said.set()
                await hearing
            except ConnectionClosed as closed:
                raise LoadFailure(f"sender {sender + 1} of {self.plan.senders}: {closed}") from None
            finally:
                hearing.cancel()

    async def _ignore(self, connection: Connection[bytes]) -> None:
        """Take what a sender hears: a server may send it its own lines, and those of the others."""
        # That it has ended, the sender hears when it says something; when all is said, it may have.
        with suppress(ConnectionClosed):
            while True:
                await connection.receive()

    async def _probe(self, sender: int, connection: Connection[bytes]) -> None:
        pause = PROBE_TIME
        while not self._all_probed.is_set():
            await connection.send(self.measurement.speeches[sender].probe)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._all_probed.wait()
            pause *= 2

    async def _say_fast(self, sender: int, connection: Connection[bytes]) -> None:
        floor, said, window = self.measurement.floors[sender], self.measurement.said, self.plan.window
        # On a busy machine, the time may be over before the first line.
        while not said[sender] or (self.elapsed or 0.0) < self.plan.time:
            free = floor.level + window - said[sender]
            # Rather a good part of the window at once than a line whenever one is heard.
            if free < window // 4:
                await self._risen[sender].wait()
            else:
                await self._say(sender, connection, free)

    async def _say_when_due(self, sender: int, connection: Connection[bytes]) -> None:
        said, plan = self.measurement.said, self.plan
        last = plan.count_of(sender, plan.count_due(plan.time))
        while said[sender] < last:
            elapsed = self.elapsed or 0.0
            if elapsed > plan.time + CATCH_UP_TIME:
                return
            due = plan.count_of(sender, plan.count_due(elapsed)) - said[sender]
            if due:
                await self._say(sender, connection, due)
            else:
                await self._due[sender].wait()

    async def _say(self, sender: int, connection: Connection[bytes], count: int) -> None:
        """Say so many lines, or as many as are one block."""
        lines = self.measurement.speeches[sender].blocks.lines(self.measurement.said[sender], count)
        self.measurement.said[sender] += len(lines) // self.plan.size
        await connection.send(bytes(lines))

    async def _keep_time(self) -> None:
        """Wake those who are to speak now: one clock for all senders. Only for a plan with a rate."""
        plan = self.plan
        last, told = plan.count_due(plan.time), 0
        while told < last:
            due = plan.count_due(self.elapsed or 0.0)
            for number in range(told, min(due, told + plan.senders)):
                self._due[number % plan.senders].fire()
            told = due
            await asyncio.sleep(plan.due(told) - (self.elapsed or 0.0))
