"""`stream_servers.py DIALECT [losing]`: it answers the load of the bench as JetStream or Redis would.

It keeps nothing. `losing` loses a message.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

LOST = 200
"""The message that is lost, counted from the first."""


class StreamServer:
    """What both have: the messages so far, and the clients."""

    def __init__(self, *, losing: bool) -> None:
        self.losing = losing
        self.messages: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while line := await reader.readline():
                await self.answer(line.split(), reader, writer)
                await writer.drain()
        writer.close()

    async def answer(self, words: list[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    def add(self, message: bytes) -> bool:
        self.messages.append(message)
        return not (self.losing and len(self.messages) == LOST)


class JetStream(StreamServer):
    def __init__(self, *, losing: bool) -> None:
        super().__init__(losing=losing)
        self.readers: list[asyncio.StreamWriter] = []

    async def answer(self, words: list[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match words:
            case [b"SUB", subject, _] if subject.startswith(b"R."):
                self.readers.append(writer)
            case [b"PING"]:
                writer.write(b"PONG\r\n")
            case [b"PUB", subject, *_, size]:
                payload = (await reader.readexactly(int(size) + 2))[:-2]
                if subject.startswith(b"$JS.API.STREAM.CREATE"):
                    writer.write(b'MSG made 1 19\r\n{"did_create":true}\r\n')
                elif subject == b"hub" and self.add(payload):
                    count = len(self.messages)
                    for each in self.readers:
                        head = b"MSG hub 1 $JS.ACK.hub.name.1.%d.%d.1700000000000000000.0 " % (count, count)
                        each.write(b"%b%d\r\n%b\r\nPING\r\n" % (head, len(payload), payload))


class Redis(StreamServer):
    def __init__(self, *, losing: bool) -> None:
        super().__init__(losing=losing)
        self.lost: set[int] = set()
        self.waiting: list[tuple[int, asyncio.StreamWriter]] = []

    async def answer(self, words: list[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match words:
            case [b"PING"]:
                writer.write(b"+PONG\r\n")
            case [b"XREAD", *_, since]:
                start = len(self.messages) if since == b"$" else int(since.partition(b"-")[2])
                self.waiting.append((start, writer))
                self.reply()
            case [count] if count.startswith(b"*"):
                values = [await self.bulk(reader) for _ in range(int(count[1:]))]
                if not self.add(values[-1]):
                    self.lost.add(len(self.messages))
                writer.write(b"$3\r\n1-1\r\n")
                self.reply()

    async def bulk(self, reader: asyncio.StreamReader) -> bytes:
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:-2]

    def reply(self) -> None:
        waiting, self.waiting = self.waiting, []
        for start, writer in waiting:
            found = [number for number in range(start + 1, len(self.messages) + 1) if number not in self.lost]
            if not found:
                self.waiting.append((start, writer))
                continue
            writer.write(b"*1\r\n*2\r\n$3\r\nhub\r\n*%d\r\n" % len(found))
            for number in found:
                position, message = b"1700000000000-%d" % number, self.messages[number - 1]
                writer.write(b"*2\r\n$%d\r\n%b\r\n*2\r\n$1\r\nd\r\n" % (len(position), position))
                writer.write(b"$%d\r\n%b\r\n" % (len(message), message))


async def main(dialect: str, *, losing: bool) -> None:
    stream = {"jetstream": JetStream, "redis stream": Redis}[dialect](losing=losing)
    server = await asyncio.start_server(stream.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for the test
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], losing="losing" in sys.argv[2:]))
