"""A naive model of what each client is to hear: a list of its own for each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from hubbub.framing import BytesFraming, Decoder, Delimited, LengthPrefixed
from hubbub.hub.client import Client
from hubbub.hub.room import Room
from hubbub.values.ending import Ending, EndingCode
from hubbub.values.errors import ConnectionClosed, PositionLost, RoomClosed
from hubbub.values.position import Position

from support.stepping import FakeTransport, Told

KIB = 1024
NOTICE = "{missed} missed"


@dataclass(frozen=True)
class Picky(BytesFraming):
    """Carries no message with a mark in it, as one may say or as a fault of its own; and its notices if it can tell."""

    tells: bool = True

    def decoder(self, limit: int) -> Decoder[bytes]:
        return Delimited(b"\0").decoder(limit)

    def encode(self, messages: Any) -> bytes:
        for message in messages:
            if b"!" in message:
                raise ValueError(message)
            if b"?" in message:
                return {b"": b""}[message]
        return Delimited(b"\0").encode(messages)

    @property
    def textual(self) -> bool:
        return self.tells


@dataclass(frozen=True)
class Counted(LengthPrefixed):
    """Messages of text, after their length."""

    size: Literal[1, 2, 4] = 2

    @property
    def textual(self) -> bool:
        return True


@dataclass(eq=False)
class Said:
    """All that was ever said in a room: each message, and who does not read it."""

    room: Room[bytes]
    label: str
    messages: list[tuple[bytes, object]] = field(default_factory=list)


@dataclass
class Due:
    """One message that a client is to hear; a private one has no room."""

    text: bytes
    said: Said | None = None
    membership: int = 0
    seq: int = 0

    @property
    def lost(self) -> bool:
        return self.said is not None and self.seq < self.said.room._log.oldest.seq


class Listener:
    """A client, its transport, and its own list.

    It is still to hear what is `due`: all of that if it is `whole`. The test may have `ended` it or broken its
    connection. `policies` are those that it was under since the last look.
    """

    def __init__(self, client: Client[bytes], transport: FakeTransport) -> None:
        self.client = client
        self.transport = transport
        self.framing = client._reader.link.framing
        self.due: list[Due] = []
        self.whole = True
        self.ended = False
        self.policies: set[str | None] = {None}
        self.rooms: dict[Said, int] = {}
        self._memberships = 0
        self._decoder = self.framing.decoder(64 * KIB)
        self._heard = 0

    def join(self, said: Said, since: int) -> None:
        self._memberships += 1
        self.rooms[said] = self._memberships
        for seq in range(since, len(said.messages)):
            self.say(said, seq)

    def say(self, said: Said, seq: int) -> None:
        text, excluded = said.messages[seq]
        if said in self.rooms and excluded is not self:
            self.due.append(Due(text, said, self.rooms[said], seq))

    def carries(self, due: Due) -> bool:
        return not (isinstance(self.framing, Picky) and re.search(rb"[!?]", due.text))

    def listen(self, labels: dict[bytes, Said]) -> None:
        """Compare what has arrived since."""
        taken = bytes(self.transport.taken[self._heard :])
        self._heard += len(taken)
        for text in self._decoder.feed(taken):
            if notice := re.fullmatch(rb"(\d+) missed in (.*)", text):
                self._miss(int(notice[1]), labels[notice[2]])
            else:
                self._hear(text)

    def _hear(self, text: bytes) -> None:
        at = next((at for at, due in enumerate(self.due) if due.text == text), None)
        assert at is not None, f"{text!r} is not among {self.due}"
        self._check_order(at)
        del self.due[at]

    def _miss(self, count: int, said: Said) -> None:
        """Only what was lost, or cannot be carried, is missed, each once and in its place."""
        places = [at for at, due in enumerate(self.due) if due.said is said][:count]
        missed = [self.due[at] for at in places]
        assert len(missed) == count > 0, f"{count} missed of {said.label}, {self.due}"
        assert len({due.membership for due in missed}) == 1, f"{count} missed of {said.label}, {self.due}"
        assert all(due.lost or not self.carries(due) for due in missed), f"{missed} were there"
        self._check_order(places[0], told=True)
        for at in reversed(places):
            del self.due[at]

    def _check_order(self, at: int, *, told: bool = False) -> None:
        """Rooms of different names may overtake each other, and a notice a private message; nothing else may.

        A notice stands where the reader stood, which may be at older messages that exclude it.
        """
        heard = self.due[at].said
        for due in self.due[:at]:
            if told and not due.said:
                continue
            overtaken = not (heard and due.said) or heard.room.name == due.said.room.name
            assert not overtaken, f"{self.due[at]} came before {due}"

    @property
    def cut(self) -> bool:
        """Whether the last message that has arrived is only a part of one."""
        return self._decoder.partial


class Watch(Told):
    """Sees why clients end, while their lag is known."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners: dict[Client[Any], Listener] = {}
        self.wrong: list[str] = []

    def ended(self, reader: Any, ending: Ending) -> None:
        super().ended(reader, ending)
        listener = self.listeners[reader.client]
        listener.whole = listener.ended and listener.whole
        if ending.code is EndingCode.SLOW:
            cursors = [*reader.cursors, *reader.outbox.cursors]
            # A cursor that has left and is catching up is not among them.
            if not reader.leaving and not any(cursor.at.seq < cursor.log.start for cursor in cursors):
                self.wrong.append(f"{reader.client} ended as slow, and nothing had passed it")
            # One that was catching up is ended, whatever its policy: nobody could tell how much it missed.
            older = reader.leaving or any(cursor.log.older for cursor in cursors)
            if not older and not listener.policies & {None, "disconnect"}:
                self.wrong.append(f"{reader.client} ended as slow, and was to be skipped")
        elif ending.code is EndingCode.UNDELIVERABLE:
            blamed = [due for due in listener.due if due.lost or not listener.carries(due)]
            if not listener.ended and (listener.framing.textual or not blamed):
                self.wrong.append(f"{reader.client} ended as undeliverable, and missed nothing")
        elif not listener.ended:
            self.wrong.append(f"{reader.client} ended: {ending}")


class Play:
    """What is said and done, in the rooms and in the lists of the listeners at once; notices call a room `label`."""

    def __init__(self, label: Callable[[Room[bytes]], str]) -> None:
        self.listeners: list[Listener] = []
        self.saids: dict[Room[bytes], Said] = {}
        self._label = label

    def said(self, room: Room[bytes]) -> Said:
        return self.saids.setdefault(room, Said(room, self._label(room)))

    def listen(self) -> None:
        """Compare what has arrived everywhere."""
        labels = {said.label.encode(): said for said in self.saids.values()}
        for listener in self.listeners:
            listener.listen(labels)

    async def join(self, listener: Listener, room: Room[bytes] | str, back: int | None) -> None:
        since = None
        if back is not None and isinstance(room, Room):
            since = Position(room.head.term, max(0, room.head.seq - back))
        try:
            joined = await listener.client.join(room, since=since)
        except ConnectionClosed:
            assert listener.client.ending
        except PositionLost:
            assert isinstance(room, Room)
            assert since
            assert since.seq < room.oldest.seq
        except ValueError:
            assert isinstance(room, Room)
            assert room.closed or self.said(room) in listener.rooms
        else:
            said = self.said(joined)
            if said not in listener.rooms:
                listener.join(said, len(said.messages) if since is None else since.seq)

    async def leave(self, listener: Listener, room: Room[bytes]) -> None:
        listener.rooms.pop(self.said(room), None)
        await listener.client.leave(room)

    async def say(self, room: Room[bytes], texts: list[bytes], exclude: Listener | None, sender: Any) -> None:
        said = self.said(room)
        excluded = exclude.client if exclude else None
        try:
            at = await room.broadcast_many(texts, exclude=excluded, sender=sender)
        except RoomClosed:
            assert room.closed
            return
        assert at.seq == len(said.messages) + len(texts)
        for text in texts:
            said.messages.append((text, exclude))
            for listener in self.listeners:
                listener.say(said, len(said.messages) - 1)

    async def send(self, listener: Listener, text: bytes) -> None:
        try:
            await listener.client.send(text)
        except ConnectionClosed:
            assert listener.client.ending
        else:
            listener.due.append(Due(text))
