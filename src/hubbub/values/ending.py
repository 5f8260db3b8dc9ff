"""Why a connection ended: a code to count by, and a reason to read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Final

from .text import printable

if TYPE_CHECKING:
    from typing import Self


@unique
class EndingCode(StrEnum):
    """What ended a connection. The value is what logs and counters show."""

    LEFT = "left"
    """The client closed the connection."""
    LOST = "lost"
    """The connection broke: a reset, a timeout, an unreachable network."""
    FINISHED = "finished"
    """The handler returned."""
    CLOSED = "closed"
    """`Client.close` was called."""
    FAILED = "failed"
    """The handler raised."""
    SLOW = "slow"
    """Retention passed the client's cursor."""
    STALLED = "stalled"
    """The client's socket took nothing for the time of `patience`."""
    UNDELIVERABLE = "undeliverable"
    """What the client is to be sent cannot be put into its framing, or cannot be written."""
    TOO_LONG = "too-long"
    """The client sent a message over the limit."""
    MALFORMED = "malformed"
    """The client sent bytes that are not a message in its framing."""
    WRONG_PROTOCOL = "wrong-protocol"
    """The client began with an HTTP request or a TLS handshake, where messages are text."""
    INCOMPLETE = "incomplete"
    """The client's stream ended within a message."""
    UNFINISHED = "unfinished"
    """One message of the client took longer than `message_time`."""
    IDLE = "idle"
    """The client said nothing for the time of `idle_time`."""
    SHUTDOWN = "shutdown"
    """The server closed."""

    # Those of connections that never became clients. (Of clients, only the count of `Statistics` has the first.)
    PROBE = "probe"
    """It ended without a word, as the probes of load balancers do, or was a check of a proxy's own (PROXY LOCAL)."""
    FULL = "full"
    """The server has as many clients as it may."""
    CROWDED = "crowded"
    """The address or its subnet has as many clients as it may."""
    HASTY = "hasty"
    """The address connects too often."""
    DENIED = "denied"
    """The listener does not admit the address."""
    OVERLOADED = "overloaded"
    """The process has no descriptor left."""
    BAD_PROXY = "bad-proxy"
    """A trusted proxy sent no valid PROXY header."""
    BAD_TLS = "bad-tls"
    """The TLS handshake failed."""
    UNAUTHENTICATED = "unauthenticated"
    """The client was not authenticated."""
    LATE = "late"
    """What the listener asks for did not come within `handshake_time`."""

    @property
    def worth_retrying(self) -> bool:
        """Whether a client that was ended so should connect again.

        If not, it would be ended again in the same way before somebody changes something: what the client says, its
        certificate, or who is let in.
        """
        return self not in _FINAL


_FINAL: Final = frozenset(
    (
        EndingCode.FINISHED,
        EndingCode.CLOSED,
        EndingCode.TOO_LONG,
        EndingCode.MALFORMED,
        EndingCode.WRONG_PROTOCOL,
        EndingCode.PROBE,
        EndingCode.DENIED,
        EndingCode.BAD_PROXY,
        EndingCode.BAD_TLS,
        EndingCode.UNAUTHENTICATED,
    )
)


@dataclass(frozen=True, slots=True)
class Ending:
    """Why one connection ended.

    Its text is always one line. The reason may quote the peer, so control characters and line ends in it are escaped.

    Attributes:
        code: the kind of ending, for counters and decisions.
        reason: why, for people.
    """

    code: EndingCode
    reason: str

    def __str__(self) -> str:
        return f"{self.code}: {printable(self.reason)}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The ending that `str` wrote as `text`; None if it did not."""
        code, _, reason = text.partition(": ")
        return cls(EndingCode(code), reason) if reason and code in frozenset(EndingCode) else None
