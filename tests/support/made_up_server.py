"""A server that does not exist, for the live page: it has more clients than a test can connect, and is never still."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hubbub.web.page import Shown
from hubbub.web.pages.live import PAGE

from support.threaded import in_thread

BURST = 50
"""Messages that the stream of a room has at once, every 50 ms."""

TERM = "5f0c6d0a6b0e8f3d"


@dataclass
class MadeUp:
    """What the server says of itself.

    Attributes:
        clients: how many it has.
        rooms: how many rooms.
        port: where it serves.
    """

    clients: int
    rooms: int
    port: int = 0
    closing: Event = field(default_factory=Event)
    begun: float = field(default_factory=time.monotonic)

    def status(self, offset: int, limit: int) -> dict[str, Any]:
        """What `/status` answers."""
        uptime = 86_400 + time.monotonic() - self.begun
        part = slice(offset, offset + limit)
        return {
            "time": "2026-11-29T07:12:35.662848Z",
            "uptime": uptime,
            "urls": ["tcp://127.0.0.1:5000"],
            "places": [{"url": "tcp://127.0.0.1:5000", "room": "root"}],
            "trouble": None,
            "figures": {
                "clients": self.clients,
                "rooms": self.rooms,
                "accepted": 3 * self.clients,
                "endings": {"left": 2 * self.clients - 700, "lost": 612, "slow": 77, "hasty": 11},
                "slowed": 3,
                "tails": 0,
                "muted": 1,
                "unheard": 0,
                "store": None,
            },
            "more": offset + limit < max(self.clients, self.rooms),
            "rooms": [self._room(number, uptime) for number in range(self.rooms)[part]],
            "connections": [self._connection(number, uptime) for number in range(self.clients)[part]],
        }

    def _room(self, number: int, uptime: float) -> dict[str, Any]:
        rate = number * 7919 % 97 / 8
        messages = int(uptime * rate)
        return {
            "name": f"wx-{number:03}" if number else "root",
            "readers": self.clients // self.rooms + number % 7,
            "position": f"{TERM}:{messages}",
            "messages": messages,
            "bytes": 300 * messages,
            "retained": {"messages": messages % 4000, "bytes": 300 * (messages % 4000)},
            "rate": {"messages": rate, "bytes": 300 * rate},
        }

    def _connection(self, number: int, uptime: float) -> dict[str, Any]:
        room = number % self.rooms
        lag = number * 104_729 % 5000 if number % 23 == 0 else 0
        return {
            "id": f"{number:08x}",
            "name": f"198.51.{number >> 8 & 255}.{number & 255}:{1024 + number * 31 % 60_000}",
            "key": f"boat-{number % 40}" if number % 3 else None,
            "via": ("tcp", "tls", "ws", "sse")[number % 4],
            "role": "both" if number % 2 else "read",
            "room": f"wx-{room:03}" if room else "root",
            "rooms": 1 + (number % 50 == 0),
            "age": uptime - number % 80_000,
            "lag": {"messages": lag, "bytes": 300 * lag},
            "muted": number == 46,
            "heard": int(uptime * (room * 7919 % 97 / 8)),
            "said": int(uptime * (number % 5)) * 60,
        }


class _Handler(BaseHTTPRequestHandler):
    """Answers what the page asks."""

    protocol_version = "HTTP/1.1"
    made_up: MadeUp

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if shown := PAGE.shown.get(url.path):
            self._answer(shown)
        elif url.path == "/status":
            query = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
            self._answer(Shown(json.dumps(self.made_up.status(**query)).encode(), "application/json"))
        else:
            self._stream()

    def do_OPTIONS(self) -> None:
        self._answer(Shown(b"", "text/plain", headers={"Allow": "GET, HEAD, OPTIONS, POST, PUT"}))

    def _answer(self, shown: Shown) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": shown.content_type, **shown.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(shown.body)))
        self.end_headers()
        self.wfile.write(shown.body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        seq = 0
        # The page reads another room.
        with suppress(OSError):
            while not self.made_up.closing.wait(0.05):
                lines = [self._message(seq + number) for number in range(BURST)]
                self.wfile.write("".join(f"{json.dumps(line)}\n" for line in lines).encode())
                seq += BURST

    def _message(self, seq: int) -> dict[str, str]:
        return {
            "position": f"{TERM}:{seq}",
            "time": f"2026-11-29T07:{seq // 60 % 60:02}:{seq % 60:02}.000000Z",
            "sender": f"198.51.100.{seq % 250}:{1024 + seq % 50_000}",
            "message": f"$GPGGA,{seq:06},4807.038,N,01131.{seq % 1000:03},E,1,08,0.9,545.4,M,46.9,M,,*47",
        }

    def log_message(self, *_: object) -> None:
        """Be silent."""


@contextmanager
def made_up_server(*, clients: int, rooms: int) -> Iterator[MadeUp]:
    """A server with that many clients and rooms."""
    made_up = MadeUp(clients, rooms)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Own", (_Handler,), {"made_up": made_up}))
    made_up.port = server.server_port
    with in_thread(server, made_up.closing):
        yield made_up
