"""Many rooms, a few speakers: `hubbub serve bench.peers.hubbub_rooms:rooms --framing byte-lines`.

A client's first line is `join NAME`: it hears that room and no other; or `speak`: each line that it sends then goes to
the room that its first four characters name.
"""

from __future__ import annotations

import hubbub


async def rooms(client: hubbub.Client[bytes]) -> None:
    # Lines keep their ends here.
    match (await client.receive()).split():
        case [b"speak"]:
            await speak(client)
        case [b"join", name]:
            await listen(client, name.decode())


async def speak(client: hubbub.Client[bytes]) -> None:
    await client.send(b"speaking")
    while lines := await client.receive_many():
        for line in lines:
            await client.server.room(line[:4].decode()).broadcast(line)


async def listen(client: hubbub.Client[bytes], name: str) -> None:
    await client.join(client.server.room(name))
    await client.leave(client.server.root)
    await client.send(f"joined {name}".encode())
    while await client.receive_many():
        pass
