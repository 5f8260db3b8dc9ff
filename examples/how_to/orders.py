#!/usr/bin/env python3
"""A feed of orders. Each reader begins where it was, also after a restart of the server."""

import hubbub

SETTINGS = hubbub.Settings(durable="ack")


async def begin(client: hubbub.Client, orders: hubbub.Room, place: str) -> None:
    """Let a client read from a place on: a position, or "all"."""
    try:
        await client.join(orders, since=place)
    except hubbub.PositionLost as lost:
        gone = "nobody knows how many" if lost.missed is None else lost.missed
        await client.send(f"! orders are gone: {gone}")
        await client.join(orders, since=lost.first)
    except ValueError as error:
        await client.send(f"! {error}")


async def take(client: hubbub.Client, orders: hubbub.Room, order: str) -> None:
    """Broadcast an order, and say whether it is on the disk."""
    try:
        await orders.broadcast(f"+ {hubbub.printable(order)}")
    except hubbub.NotStored as error:
        await client.send(f"! not stored: {error.reason}")
    else:
        await client.send("stored")


async def serve(client: hubbub.Client) -> None:
    orders = client.server.room("orders")
    async for line in client:
        match line.split(maxsplit=1):
            case ["from", place]:
                await begin(client, orders, place)
            case ["where"]:
                # This comes after all orders before the head, and before all others.
                await client.send(f"@ {orders.head}")
            case ["order", order]:
                await take(client, orders, order)
            case _:
                await client.send("! say: from PLACE, where, or order TEXT")


hubbub.run(serve, port=5380, settings=SETTINGS, store=hubbub.SqliteStore("orders.db"))
