"""TLS records, as far as they can be seen without keys: where each of them ends (RFC 8446, 5.1).

OpenSSL is given a few records at a time. One call of it reads past all records without data, such as key updates, and
64 KiB of those would hold the event loop for 60 ms.
"""

from __future__ import annotations

from math import inf
from typing import Final

from ..values.settings import TLS_BARREN_LIMIT, TLS_BARREN_RATE

RECORD_HEADER: Final = 5

RECORD_LIMIT: Final = 16 * 1024
"""The longest record, in bytes."""

RECORDS_AT_ONCE: Final = 32
"""How many records OpenSSL is given at a time: it takes less than a millisecond for as many key updates."""


class TlsError(Exception):
    """TLS with a client cannot begin or go on; the message says why, in words."""


class Records:
    """What has arrived from a client behind its first message, given out a few records at a time.

    Attributes:
        arrived: what has not been given out.
        barren: how many of the records that were given out have brought no data. The caller subtracts 1 for each that
            does.
    """

    __slots__ = ("_due", "_left", "arrived", "barren")

    def __init__(self) -> None:
        self.arrived: bytes | memoryview = b""
        # How many bytes are to come of the record of which the beginning was given out.
        self._left = 0
        # When the client may send `TLS_BARREN_LIMIT` barren records at once again, on the caller's clock.
        self._due = -inf
        self.barren = 0

    def add(self, data: bytes | memoryview) -> None:
        """Take what has arrived. It is not copied before `keep` is called."""
        self.arrived = bytes(self.arrived) + data if self.arrived else data

    def keep(self) -> None:
        """Copy what has not been given out: its buffer is about to be used again."""
        self.arrived = bytes(self.arrived)

    def take(self) -> bytes | memoryview:
        """Give out the next `RECORDS_AT_ONCE` records, or what there is; a header that is cut stays.

        Only to be called once all that was given out before is used up.
        """
        arrived, end = self.arrived, self._left
        size = len(arrived)
        begun = 0
        while begun < RECORDS_AT_ONCE and end + RECORD_HEADER <= size:
            end += RECORD_HEADER + (arrived[end + 3] << 8 | arrived[end + 4])
            begun += 1
        self.barren += begun
        if end >= size:
            self._left, self.arrived = end - size, b""
            return arrived
        self._left, self.arrived = 0, arrived[end:]
        return arrived[:end]

    def settle(self, now: float) -> None:
        """Forget the records that were given out, and count those without data at the time `now`, in seconds.

        Raises:
            TlsError: there are more of them than a client may send.
        """
        # One whose end has not arrived may still bring data.
        unfinished = 1 if self._left else 0
        barren, self.barren = self.barren - unfinished, unfinished
        if barren > 0:
            self._due = max(self._due, now) + barren / TLS_BARREN_RATE
            if self._due > now + TLS_BARREN_LIMIT / TLS_BARREN_RATE:
                raise TlsError("the client sends too many TLS records without data, such as key updates")
