"""What the layers need of each other; that each has it is for the type checker to see."""

from __future__ import annotations

from typing import Any

from hubbub.framing import ByteLines
from hubbub.hub.ports import Flushing, Member, Place, Pumped, Supervisor
from hubbub.values.settings import Settings

from support.stepping import FakeHub, Told, new_loop


def test_rooms_fan_outs_and_readers_are_what_the_others_need() -> None:
    with new_loop() as loop:
        hub = FakeHub(loop, ByteLines(), Settings())
        reader = hub.connect()[0]._reader
        place: Place = hub.root
        flushing: Flushing = hub.root.fan_out
        member: Member = reader
        pumped: Pumped = reader
        supervisor: Supervisor = Told()
        parts: list[tuple[Any, Any]] = [
            (place, Place),
            (flushing, Flushing),
            (member, Member),
            (pumped, Pumped),
            (supervisor, Supervisor),
        ]
        for part, port in parts:
            names = {name for name in {*vars(port), *port.__annotations__} if not name.startswith("_")}
            assert names <= set(dir(part))
