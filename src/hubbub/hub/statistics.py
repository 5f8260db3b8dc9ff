"""The figures that a server keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..log.store import StoreStatistics
    from ..values.ending import EndingCode


@dataclass(frozen=True, slots=True)
class Statistics:
    """A server's figures at one moment.

    Attributes:
        clients: how many are connected.
        rooms: how many rooms there are.
        accepted: connections since the start, those that were not let in too.
        endings: how many of them ended, by code. Clients that left without a word within `Settings.probe_time` count as
            probes.
        refused: how many of these were not let in, by code. What was only answered over HTTP is not among them.
        slowed: how often a client was read no faster than `message_rate` and `byte_rate` allow.
        tails: how many last messages had no end when their stream ended, and were dropped; see `Listener.tail`.
        muted: how many clients took nothing, and stayed because they speak; see `Settings.mute_limit`.
        unheard: how many private messages were dropped, to clients that only write or are muted.
        messages: how many messages were broadcast since the start, in all rooms, those that have gone too.
        bytes: how many bytes these were: those on the wire, and 256 more for messages that came together.
        flushes: in how many turns of the event loop messages were flushed to readers.
        flush_time: how many seconds that took. The loop does nothing else meanwhile.
        store: the figures of the store; None where there is none.
    """

    clients: int
    rooms: int
    accepted: int
    endings: Mapping[EndingCode, int]
    slowed: int
    refused: Mapping[EndingCode, int] = field(default_factory=dict)
    tails: int = 0
    muted: int = 0
    unheard: int = 0
    messages: int = 0
    bytes: int = 0
    flushes: int = 0
    flush_time: float = 0.0
    store: StoreStatistics | None = None
