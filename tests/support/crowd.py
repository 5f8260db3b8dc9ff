"""Many clients, in a program of their own: `python crowd.py ROLE OPTIONS`, with the options of the role as JSON.

A role tells what it has done in lines of JSON, and goes on when its input has a line for it. It knows nothing
of hubbub.
"""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import select
import socket
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from heapq import heappop, heappush
from math import inf
from typing import Any

PIECE = 256 * 1024
LINE_SIZE = 1024
PERIOD = 8 * 1024 * LINE_SIZE
"""The stream begins anew after so many bytes."""

RESET = struct.pack("ii", 1, 0)
"""With this SO_LINGER, closing a socket resets its connection (socket(7))."""

Endpoint = tuple[str, int]


def stream() -> bytes:
    """Lines that differ in their number."""
    filler = b"." * (LINE_SIZE - 17)
    return b"".join([b"%015d %s\n" % (number, filler) for number in range(PERIOD // LINE_SIZE)])


def tell(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def wait_for_word() -> str:
    """The next line of the input; nothing at its end."""
    return sys.stdin.readline().strip()


def connect(endpoint: Endpoint, *, receive_buffer: int | None = None) -> socket.socket:
    connection = socket.socket(socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(endpoint)
    connection.setblocking(False)
    return connection


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


class StreamReader:
    """Compares what arrives with the stream from a position on, wherever in it the pieces end."""

    _expected = b""
    _piece = memoryview(bytearray(PIECE))

    def __init__(self, connection: socket.socket, position: int = 0) -> None:
        if not StreamReader._expected:
            period = stream()
            StreamReader._expected = period + period[:PIECE]
        self.connection = connection
        self.position = position
        self.wrong = False
        self.ended = False

    def read(self, limit: int = PIECE) -> int:
        """Read once, at most so many bytes; how many there were."""
        try:
            size = self.connection.recv_into(self._piece, limit)
        except BlockingIOError:
            return 0
        except ConnectionError:
            size = 0
        if not size:
            self.ended = True
        elif not self._expected.startswith(self._piece[:size], self.position % PERIOD):
            self.wrong = True
        self.position += size
        return size


def watch(*files: Any) -> select.epoll:
    """What tells when there is something to read."""
    events = select.epoll()
    for file in files:
        events.register(file, select.EPOLLIN)
    return events


def read(endpoint: Endpoint, *, readers: int, idlers: int = 0, position: int = 0) -> None:
    """Readers of the stream from a position on, and idlers that never read.

    A word is a size: all readers read so much more, or, if it is `end`, all there is; then it is told how that went.
    Nobody waits for one that has found something wrong.
    """
    idle = [connect(endpoint, receive_buffer=4096) for _ in range(idlers)]
    found = (StreamReader(connect(endpoint), position) for _ in range(readers))
    crowd = {reader.connection.fileno(): reader for reader in found}
    events = watch(*crowd)
    tell(connected=readers, idle=[connection.getsockname()[1] for connection in idle])
    target: float = position
    while word := wait_for_word():
        target = inf if word == "end" else target + int(word)
        waiting = {descriptor for descriptor, reader in crowd.items() if not reader.ended}
        while waiting:
            for descriptor, _ in events.poll():
                reader = crowd[descriptor]
                reader.read()
                if reader.ended:
                    events.unregister(descriptor)
                if reader.ended or reader.wrong or reader.position >= target:
                    waiting.discard(descriptor)
        tell(
            at=time.monotonic(),
            positions=sorted({reader.position for reader in crowd.values()}),
            wrong=sum(reader.wrong for reader in crowd.values()),
            ended=sum(reader.ended for reader in crowd.values()),
        )


def read_at(endpoint: Endpoint, *, rates: list[float | None]) -> None:
    """Readers of the stream, each at its rate in bytes per second or as fast as it can; each word asks how they are."""
    readers = [StreamReader(connect(endpoint, receive_buffer=64 * 1024)) for _ in rates]
    tell(connected=len(readers))
    watch(*(reader.connection for reader in readers)).poll()
    start = time.monotonic()
    words = watch(sys.stdin)
    while True:
        for reader, rate in zip(readers, rates, strict=True):
            allowed = inf if rate is None else rate * (time.monotonic() - start) - reader.position
            while allowed >= 1 and not reader.ended and (size := reader.read(int(min(allowed, PIECE)))):
                allowed -= size
        if words.poll(0.002):
            if not wait_for_word():
                return
            tell(
                at=time.monotonic(),
                positions=[reader.position for reader in readers],
                wrong=[reader.wrong for reader in readers],
                ended=[reader.ended for reader in readers],
            )


def follow(endpoint: Endpoint, *, readers: int) -> None:
    """Readers of lines that tell when they were said, on the monotonic clock in ns; a word asks for the latencies."""
    crowd = {reader.fileno(): reader for reader in (connect(endpoint) for _ in range(readers))}
    events = watch(*crowd, sys.stdin)
    tell(connected=readers)
    latencies: list[int] = []
    parts = dict.fromkeys(crowd, b"")
    while True:
        for descriptor, _ in events.poll():
            if descriptor not in crowd:
                if not wait_for_word():
                    return
                ordered, latencies = sorted(latencies), []
                tell(lines=len(ordered), p99=ordered[int(0.99 * (len(ordered) - 1))] / 1e9 if ordered else inf)
                continue
            *lines, parts[descriptor] = (parts[descriptor] + crowd[descriptor].recv(PIECE)).split(b"\n")
            now = time.monotonic_ns()
            latencies += [now - int(line) for line in lines]


def storm(endpoint: Endpoint, *, slots: int, rate: float) -> None:
    """Clients that connect again and again, so many at a time and per second, until the first word asks how it went.

    It is nice(2): elsewhere, it would not take the time of this machine's processors.
    """
    os.nice(19)
    events = watch(sys.stdin)
    waiting: dict[int, socket.socket] = {}
    words: dict[int, bytes] = {}
    connects = failed = 0
    endings: Counter[str] = Counter()
    start = time.monotonic()
    tell(started=True)
    while True:
        due = rate * (time.monotonic() - start)
        while len(waiting) < slots and connects < due:
            connects += 1
            connection = socket.socket(socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET)
            connection.setblocking(False)
            failed += connection.connect_ex(endpoint) not in (0, errno.EINPROGRESS)
            waiting[connection.fileno()] = connection
            words[connection.fileno()] = b""
            events.register(connection, select.EPOLLIN)
        for descriptor, _ in events.poll(0.001):
            if descriptor == sys.stdin.fileno():
                seconds = time.monotonic() - start
                tell(connects=connects, failed=failed, endings=endings, seconds=seconds)
                return
            try:
                data = waiting[descriptor].recv(4096)
            except ConnectionError as error:
                data = b""
                words[descriptor] += type(error).__name__.encode()
            if data:
                words[descriptor] += data
            else:
                endings[words.pop(descriptor).decode()] += 1
                waiting.pop(descriptor).close()


def resets(endpoint: Endpoint, *, count: int) -> None:
    """Clients that connect at one word, and reset their connections at the next, having read a part or nothing."""
    tell(started=True)
    while wait_for_word():
        crowd = [connect(endpoint) for _ in range(count)]
        tell(connected=count)
        wait_for_word()
        for number, connection in enumerate(crowd):
            if number % 2:
                with suppress(BlockingIOError):
                    connection.recv(100)
            reset(connection)
        tell(reset=count)


def churn(endpoint: Endpoint, *, slots: int, seconds: float) -> None:
    """Clients that come, speak or not, read or not, and go in every way there is; tells when each time is over.

    A word begins another time. There are so many at a time at most, and each stays a quarter of the time at most.
    """
    chance = random.Random(1)
    tell(started=True)
    while wait_for_word():
        ways: Counter[str] = Counter()
        leaving: list[tuple[float, int, socket.socket]] = []
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end or leaving:
            for _ in range(min(20, slots - len(leaving)) if now < end else 0):
                connection = connect(endpoint)
                if chance.random() < 0.02:
                    connection.send(b"Hello\n" if chance.random() < 0.5 else b"Hell")
                heappush(leaving, (now + chance.random() * seconds / 4, connection.fileno(), connection))
            while leaving and (leaving[0][0] <= now or now >= end):
                ways[_leave(heappop(leaving)[2], chance)] += 1
            time.sleep(0.001)
        tell(ways=ways)


def _leave(connection: socket.socket, chance: random.Random) -> str:
    way = chance.choice(("close", "read and close", "half-close", "reset"))
    with suppress(OSError):
        if way == "read and close":
            connection.recv(PIECE)
        elif way == "half-close":
            connection.shutdown(socket.SHUT_WR)
        elif way == "reset":
            reset(connection)
    connection.close()
    return way


def sit(endpoint: Endpoint) -> None:
    """A client that does nothing, until the input ends."""
    with connect(endpoint) as connection:
        tell(name="{}:{}".format(*connection.getsockname()))
        wait_for_word()


def talk(endpoint: Endpoint, *, interval: float, size: int = 0) -> None:
    """A client that says when it says it, on the monotonic clock in ns, again and again until the input ends.

    Lines have at least so many bytes.
    """
    words = watch(sys.stdin)
    with connect(endpoint) as connection:
        connection.setblocking(True)
        tell(name="{}:{}".format(*connection.getsockname()))
        due = time.monotonic()
        while not words.poll(max(0.0, due - time.monotonic())):
            connection.sendall(b"%*d\n" % (size - 1, time.monotonic_ns()))
            due += interval


def converse(endpoint: Endpoint, *, seconds: float, answer: str) -> None:
    """A client that says lines and hears each behind `answer`, as fast as it can; tells how many a second."""
    lines = [b"%099d\n" % number for number in range(500)]
    said, due = b"".join(lines), b"".join([answer.encode() + line for line in lines])
    tell(started=True)
    with socket.create_connection(endpoint, timeout=30) as connection, connection.makefile("rb") as answers:
        start = time.monotonic()
        count = 0
        # There is always something for the server to do.
        connection.sendall(said)
        while time.monotonic() < start + seconds:
            connection.sendall(said)
            assert answers.read(len(due)) == due
            count += len(lines)
        tell(speed=count / (time.monotonic() - start))


def main() -> None:
    role, options = sys.argv[1], json.loads(sys.argv[2])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    globals()[role](tuple(options.pop("endpoint")), **options)


if __name__ == "__main__":
    main()
