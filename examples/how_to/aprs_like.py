#!/usr/bin/env python3
"""A feed of lines with the login of APRS-IS: everybody hears, and stations with the right passcode speak."""

import hubbub

verified: set[str] = set()
"""The names of the clients that may speak."""


def passcode(station: str) -> int:
    """The passcode of a station: a checksum of its call sign, and no secret."""
    code = 0x73E2
    for place, letter in enumerate(station.upper().partition("-")[0].encode()):
        code ^= letter if place % 2 else letter << 8
    return code & 0x7FFF


async def log_in(arrival: hubbub.Arrival[bytes]) -> bool:
    """Let a connection in if its first line is a login."""
    verified.discard(arrival.name)
    await arrival.send(b"# hubbub")
    words = (await arrival.receive()).decode("ascii", errors="replace").split()
    if len(words) < 4 or words[0] != "user" or words[2] != "pass":
        return False
    station, code = words[1], words[3]
    answer = "unverified"
    if code == str(passcode(station)):
        verified.add(arrival.name)
        answer = "verified"
    await arrival.send(f"# logresp {hubbub.printable(station)} {answer}".encode())
    return True


async def pass_on(client: hubbub.Client[bytes]) -> None:
    try:
        async for packet in client:
            # A line that begins with # is a remark, often a sign of life.
            if client.name in verified and not packet.startswith(b"#"):
                await client.room.broadcast(packet, exclude=client)
    finally:
        verified.discard(client.name)


place: hubbub.Listener[bytes] = hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 14580), authenticate=log_in)
hubbub.run(pass_on, listeners=[place], framing=hubbub.ByteLines())
