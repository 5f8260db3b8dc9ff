"""TLS records, as far as they can be seen without keys: where each of them ends (RFC 8446, 5.1).

OpenSSL is given a few records at a time. One call of it reads past all records without data, such as key updates, and
64 KiB of those would hold the event loop for 60 ms.
"""

from __future__ import annotations

from math import inf
from typing import Final

from ..values.fixed_limits import TLS_BARREN_LIMIT, TLS_BARREN_RATE

RECORD_HEADER: Final = 5

RECORD_LIMIT: Final = 16 * 1024
"""The most data that a record may carry, in bytes."""

LONGEST_RECORD: Final = RECORD_LIMIT + 2048
"""The longest record, in bytes behind its header, once it is encrypted (RFC 5246, 6.2.3; in TLS 1.3 it is shorter)."""

RECORDS_AT_ONCE: Final = 32
"""How many records OpenSSL is given at a time: it takes less than a millisecond for as many key updates."""


class TlsError(Exception):
    """TLS with a client cannot begin or go on; the message says why, in words."""


class Records:
    """What has arrived from a client behind its first message, given out a few records at a time.

    Attributes:
        arrived: what has not been given out.
        whole: how many whole records were given out and not used. The caller subtracts 1 for each that brings data.
    """

    __slots__ = ("_due", "_left", "arrived", "whole")

    def __init__(self) -> None:
        self.arrived: bytes | memoryview = b""
        self.whole = 0
        # How many bytes are to come of the record of which the beginning was given out.
        self._left = 0
        # When the client may send `TLS_BARREN_LIMIT` barren records at once again, on the caller's clock.
        self._due = -inf

    @property
    def waiting(self) -> bool:
        """Whether there may be something to read: bytes that were not given out, or records that were not used."""
        return bool(self.whole or self.arrived)

    def add(self, data: bytes | memoryview) -> None:
        """Take what has arrived. It is not copied before `keep` is called."""
        self.arrived = bytes(self.arrived) + data if self.arrived else data

    def keep(self) -> None:
        """Copy what has not been given out: its buffer is about to be used again."""
        self.arrived = bytes(self.arrived)

    def take(self, *, whole: bool = False) -> bytes | memoryview:
        """Give out the next `RECORDS_AT_ONCE` records, or what there is; a header that is cut stays.

        Behind the handshake, only to be called once all that was given out before is used up.

        Args:
            whole: whether a record that is cut stays as well. OpenSSL makes room for all of one that it has begun.

        Raises:
            TlsError: a record is longer than any may be.
        """
        arrived, end = self.arrived, self._left
        size = len(arrived)
        begun = 1 if end else 0
        while begun < RECORDS_AT_ONCE and end + RECORD_HEADER <= size:
            length = arrived[end + 3] << 8 | arrived[end + 4]
            if length > LONGEST_RECORD:
                raise TlsError("the client sends a TLS record that is too long")
            if whole and end + RECORD_HEADER + length > size:
                break
            end += RECORD_HEADER + length
            begun += 1
        if end >= size:
            self._left, self.arrived = end - size, b""
            self.whole += begun - (1 if end > size else 0)
            return arrived
        self._left, self.arrived = 0, arrived[end:]
        self.whole += begun
        return arrived[:end]

    def put_back(self, data: bytes) -> None:
        """Take back what was given out and not used, from the beginning of a record on."""
        self.arrived = data + self.arrived
        self._left = self.whole = 0

    def settle(self, now: float) -> None:
        """Forget the records that were given out: they brought no data at the time `now`, in seconds.

        Raises:
            TlsError: there are more of them than a client may send.
        """
        barren, self.whole = self.whole, 0
        self._due = max(self._due, now) + barren / TLS_BARREN_RATE
        if self._due > now + TLS_BARREN_LIMIT / TLS_BARREN_RATE:
            raise TlsError("the client sends too many TLS records without data, such as key updates")
