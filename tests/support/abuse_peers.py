"""Clients that mean harm, many at a time, and the good ones beside them: all of them in the program of the test."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from math import inf
from statistics import median
from typing import Self

from hubbub import Address

from support.abuse_tools import KIB, Meanwhile
from support.certificates import TlsEnd
from support.programs import WAIT_TIME, Peer


class TlsPeer(TlsEnd, Peer):
    """A peer that speaks TLS, and ends its stream just as it is told to."""

    def __init__(self, endpoint: Address, context: ssl.SSLContext, *, receive_buffer: int | None = None) -> None:
        Peer.__init__(self, endpoint, receive_buffer=receive_buffer)
        TlsEnd.__init__(self, self._socket, context)
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._socket.sendall(self._outgoing.read())
                self._incoming.write(self._socket.recv(64 * KIB) or b"the server has ended the connection")
            else:
                self._socket.sendall(self._outgoing.read())
                return

    @property
    def serial_number(self) -> int:
        """That of the server's certificate."""
        certificate = self.tls.getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)

    def send(self, data: bytes) -> None:
        self._socket.sendall(self.encrypted(data))

    def say_end(self) -> None:
        """Send TLS's own end of the stream (close_notify); what comes is still read."""
        self._socket.sendall(self._encrypted_end())

    def line(self) -> bytes:
        while b"\n" not in self._heard and self._hear():
            pass
        return self._give_line()

    def exactly(self, size: int) -> bytes:
        while len(self._heard) < size and self._hear():
            pass
        return self._give(size)

    def rest(self) -> bytes:
        while self._hear():
            pass
        return self._give(len(self._heard))

    def _hear(self) -> bool:
        while (more := self._decrypt()) is None:
            self._arrived(self._socket.recv(64 * KIB))
        return more


class Talk(Meanwhile):
    """Two who are inside talk on: one says a line, the other hears it, and then comes the next.

    As a context manager it talks from entry to exit, and raises then what was wrong. With `newcomer`, another one
    dials for each line and hears it too. `delays` are the seconds until all had heard a line, dialling included.
    """

    def __init__(self, sender: Peer, listener: Peer, newcomer: Callable[[], Peer] | None = None) -> None:
        # Many lines a second, and no load of their own.
        super().__init__(pause=0.01)
        self.delays: list[float] = []
        self._sender = sender
        self._listener = listener
        self._newcomer = newcomer

    @property
    def figures(self) -> str:
        """The delays, in words."""
        return f"{median(self.delays) * 1000:.1f} ms, at worst {max(self.delays) * 1000:.0f} ms"

    def step(self) -> None:
        started = time.monotonic()
        line = b"line %d\n" % len(self.delays)
        if self._newcomer is None:
            self._hear(line, self._listener)
        else:
            with self._newcomer() as newcomer:
                # It is let in once another has heard it.
                newcomer.send(b"I am here\n")
                assert self._listener.line() == self._sender.line() == b"I am here\n"
                self._hear(line, self._listener, newcomer)
        self.delays.append(time.monotonic() - started)

    def _hear(self, line: bytes, *listeners: Peer) -> None:
        self._sender.send(line)
        for listener in listeners:
            heard = listener.line()
            assert heard == line, f"heard {heard!r} instead of {line!r}"


class Member:
    """One of a crowd.

    It has `began` when it dialled, and has `ended` once the server has ended the connection. It has `heard` the first
    of what it was told, as it is on the wire, and the `last` of it, and has `said` what the kernel has taken, in bytes.
    """

    def __init__(self, dial: Callable[[], Peer], says: Iterable[bytes], interval: float) -> None:
        self.began = time.monotonic()
        self.ended: float | None = None
        self.heard = b""
        self.last = b""
        self.said = 0
        self.interval = interval
        self.peer = dial()
        self.connection = self.peer._socket
        self.connection.setblocking(False)
        # A thousand that flood are not to fill the kernel.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * KIB)
        self.is_to_say(says)

    @property
    def lasted(self) -> float:
        """How long the connection has lasted, in seconds."""
        assert self.ended is not None
        return self.ended - self.began

    def is_to_say(self, says: Iterable[bytes]) -> None:
        """These pieces, one after the other, from now on."""
        self.due = time.monotonic()
        self._says = map(self.peer.encrypted, says) if isinstance(self.peer, TlsPeer) else iter(says)
        self._unsaid = memoryview(b"")

    def hear(self) -> None:
        """Read what there is."""
        try:
            data = self.connection.recv(64 * KIB)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if data:
            self.heard = (self.heard + data)[: 64 * KIB]
            self.last = (self.last + data)[-KIB:]
        else:
            self.ended = time.monotonic()

    def speak(self) -> bool:
        """Say what is to be said now; whether there is more that the kernel does not take yet."""
        while self._unsaid or time.monotonic() >= self.due:
            if not self._unsaid:
                self.due = time.monotonic() + self.interval
                piece = next(self._says, None)
                if piece is None:
                    self.due = inf
                    return False
                self._unsaid = memoryview(piece)
            try:
                sent = self.connection.send(self._unsaid)
            except BlockingIOError:
                return True
            except ConnectionError:
                # What the server still has to say is read all the same.
                self.is_to_say(())
                return False
            self.said += sent
            self._unsaid = self._unsaid[sent:]
            if not self._unsaid and not self.interval:
                # So that one who floods leaves time to the others.
                return True
        return False


class PeerCrowd:
    """Many connections to one server, driven by whoever waits for something (`run`)."""

    def __init__(self, endpoint: Address) -> None:
        self.members: list[Member] = []
        self._endpoint = endpoint
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        for member in self.members:
            member.peer.close()
        self._selector.close()

    @property
    def ended(self) -> bool:
        """Whether the server has ended all of them."""
        return all(member.ended is not None for member in self.members)

    def add(
        self, says: Iterable[bytes] = (), *, interval: float = 0.0, dial: Callable[[Address], Peer] = Peer
    ) -> Member:
        """Let another one connect by `dial`, and say these pieces, with `interval` seconds between two of them."""
        member = Member(lambda: dial(self._endpoint), says, interval)
        self.members.append(member)
        self._selector.register(member.connection, selectors.EVENT_READ, member)
        self._speak(member)
        return member

    def let_say(self, member: Member, says: Iterable[bytes]) -> None:
        """Give a member something more to say."""
        member.is_to_say(says)
        self._speak(member)

    def run(self, until: Callable[[], bool], what: str, *, within: float = WAIT_TIME) -> None:
        """Let all of them speak and hear until something is so; `what` it is, for the report."""
        deadline = time.monotonic() + within
        while not until():
            assert time.monotonic() < deadline, f"no {what} within {within:g} s"
            self._turn()

    def run_until_stuck(self) -> None:
        """Let all of them speak until neither the server nor the kernel takes any more."""
        seen: list[int] = []

        def settled() -> bool:
            seen.append(sum(member.said for member in self.members))
            # A turn in which nothing happens takes 10 ms.
            return len(seen) > 20 and seen[-20] == seen[-1]

        self.run(settled, "end of what the server takes")

    def _turn(self) -> None:
        for key, events in self._selector.select(0.01):
            member: Member = key.data
            if events & selectors.EVENT_READ:
                member.hear()
            if member.ended is not None:
                self._selector.unregister(member.connection)
            elif events & selectors.EVENT_WRITE:
                self._speak(member)
        now = time.monotonic()
        for member in self.members:
            if member.interval and member.due <= now and member.ended is None:
                self._speak(member)

    def _speak(self, member: Member) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if member.speak() else 0)
        self._selector.modify(member.connection, events, member)
