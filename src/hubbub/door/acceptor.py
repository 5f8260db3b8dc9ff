"""Accepting the connections of one listening socket, in a storm of them too, and when descriptors have run out."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol

from ..framing import M
from ..values.ending import Ending, EndingCode
from ..values.fixed_limits import READ_SIZE, SHED_SLICE

if TYPE_CHECKING:
    from ..values.settings import Settings
    from .listener import Listener

logger = logging.getLogger("hubbub")

LOG_INTERVAL: Final = 10.0
"""Seconds between two lines of the log that say that descriptors have run out."""

# accept(2): the connection was gone before it was accepted; and what the protocol below passes on.
_GONE: Final = {
    errno.ECONNABORTED,
    errno.EPROTO,
    errno.ENOPROTOOPT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EOPNOTSUPP,
    errno.EPERM,
}
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_MORE_DESCRIPTORS: Final = "; raise the limit (ulimit -n, LimitNOFILE=), or lower clients_limit"
_ADVICE: Final = {errno.EMFILE: _MORE_DESCRIPTORS, errno.ENFILE: "; raise fs.file-max (sysctl)"}

_OVERLOADED: Final = Ending(EndingCode.OVERLOADED, "the server has no descriptor left for a connection")


class Taker(Protocol[M]):
    """What an acceptor needs of what it gives connections to."""

    def take(self, connection: socket.socket, peername: Any, listener: Listener[M], settings: Settings) -> None:
        """Serve a connection that was just accepted, or refuse it."""

    def refuse(self, connection: socket.socket, peername: Any, listener: Listener[M], ending: Ending) -> None:
        """Close a connection that was just accepted, and say why."""


class Reserve:
    """A descriptor kept for the time when there is none left: given up, it lets a client be told so."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._logged_at = -LOG_INTERVAL

    def keep(self) -> None:
        """Take one, if there is one to be had."""
        if self._descriptor is None:
            with suppress(OSError):
                self._descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def give_up(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def complain(self, error: OSError) -> None:
        """Log that descriptors have run out, if that was not said a moment ago."""
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            logger.error("no connection can be accepted: %s%s", error.strerror, _ADVICE.get(error.errno or 0, ""))


class Acceptor(Generic[M]):
    """Accepts connections while it is started.

    Args:
        listening: the socket.
        listener: what is asked of those who connect.
        sessions: is given each connection, to take or to refuse it.
        reserve: what all acceptors of a server share.
        settings: the limits there.
    """

    def __init__(
        self,
        listening: socket.socket,
        listener: Listener[M],
        sessions: Taker[M],
        reserve: Reserve,
        settings: Settings,
    ) -> None:
        self.listening = listening
        self.listener = listener
        self._reserve = reserve
        self._settings = settings
        self._sessions = sessions
        self._pause: asyncio.TimerHandle | None = None
        # The sockets that a TCP socket accepts have it too, those of a Unix socket do not.
        self._sndbuf = None if listening.family != socket.AF_UNIX else listener.sndbuf
        if listener.sndbuf is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, listener.sndbuf)

    def start(self) -> None:
        """Accept from now on."""
        self._pause = None
        self._reserve.keep()
        asyncio.get_running_loop().add_reader(self.listening, self._accept_some)

    def stop(self) -> None:
        """Accept no more. The socket still listens, so that nobody who is waiting is refused yet."""
        if self._pause is not None:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(self.listening)

    def close(self) -> None:
        """Listen no more. The connections that wait to be accepted are refused."""
        self.listening.close()

    def _accept_some(self) -> None:
        # Only some: those who are connected already have their turn between them.
        for _ in range(self._settings.accept_slice):
            try:
                connection, peername = self.listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _GONE:
                    self._back_off(error)
                    return
            else:
                connection.setblocking(False)
                if self._sndbuf is not None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._sndbuf)
                self._sessions.take(connection, peername, self.listener, self._settings)

    def _back_off(self, error: OSError) -> None:
        """Accept nothing for a moment: whatever it is would be tried again and again."""
        self._reserve.complain(error)
        if error.errno in _EXHAUSTED:
            self._shed()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.listening)
        self._pause = loop.call_later(self._settings.shed_time, self.start)

    def _shed(self) -> None:
        """Turn away some of those who wait."""
        self._reserve.give_up()
        with suppress(OSError):
            for _ in range(SHED_SLICE):
                connection, peername = self.listening.accept()
                connection.setblocking(False)
                self._sessions.refuse(connection, peername, self.listener, _OVERLOADED)
        self._reserve.keep()


def turn_away(connection: socket.socket, words: bytes) -> None:
    """Close a connection that was just accepted, and say why, as far as that can be done without waiting."""
    with connection, suppress(OSError):
        with suppress(BlockingIOError):
            # A socket that is closed with unread data sends a reset.
            connection.recv(READ_SIZE)
        connection.send(words)
        connection.shutdown(socket.SHUT_WR)
