"""`hubbub.js` in Node, and a server that answers it as a test says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Any

import hubbub

from support.programs import Program, require_program
from support.threaded import in_thread

PROGRAM = Path(__file__).with_suffix(".mjs")
MODULE = Path(hubbub.__file__).parent / "web" / "static" / "hubbub.js"


class NodeProgram(Program):
    """A program of Node that uses the module that a server gives out; see `hubbub_js.mjs`.

    Args:
        server: the URL of the server.
        how: "subscribe" or "publish".
        room: the name of the room.
        options: those of the function.
    """

    def __init__(self, server: str, how: str, *, room: str = "root", **options: Any) -> None:
        super().__init__(require_program("node"), str(PROGRAM), server, how, f"{server}/{room}", json.dumps(options))

    def next(self) -> list[Any]:
        """What happens next."""
        fields: list[Any] = json.loads(self.output.line())
        return fields

    def expect_state(self, state: str) -> str | None:
        """See that this is the next state; the reason."""
        what, now, reason = self.next()
        assert (what, now) == ("state", state)
        return None if reason is None else str(reason)

    def entry(self) -> dict[str, Any]:
        """The next entry, whatever states come before it."""
        while (fields := self.next())[0] == "state":
            pass
        assert fields[0] == "entry", fields
        entry: dict[str, Any] = fields[1]
        return entry

    def messages(self, count: int) -> list[str]:
        """Those of the next entries."""
        return [self.entry()["message"] for _ in range(count)]

    def command(self, word: str) -> None:
        """Have a reader do something, and wait until it has."""
        self.send(f"{word}\n".encode())
        assert self.next() == ["done", word]


@dataclass(frozen=True)
class Answer:
    """How a server answers a request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    objects: tuple[Any, ...] = ()
    body: bytes = b""
    cut: int = 0
    """How many bytes of that are missing at the end."""
    stays: bool = False
    """Whether the connection stays open then, until the server ends."""


class AnsweringServer(ThreadingHTTPServer):
    """Gives out the module, and answers one stream after the other.

    Args:
        answers: those to the streams.

    Attributes:
        asked: the targets of the requests for streams.
    """

    daemon_threads = True

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.asked: list[str] = []
        self.over = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: AnsweringServer

    def do_GET(self) -> None:
        if self.path == "/hubbub.js":
            self._answer(Answer(body=MODULE.read_bytes()))
        else:
            self.server.asked.append(self.path)
            self._answer(self.server.answers.pop(0))

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def _is_stream(self, answer: Answer) -> bool:
        return answer.status == 200 and self.path != "/hubbub.js"

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        content = answer.body + b"".join(json.dumps(each).encode() + b"\n" for each in answer.objects)
        # A stream ends with its connection, as those of hubbub do.
        if not self._is_stream(answer):
            self.send_header("Content-Length", str(len(content)))
        elif "Content-Type" not in answer.headers:
            self.send_header("Content-Type", "application/x-ndjson")
        self.end_headers()
        # A reader may have enough before that.
        with suppress(ConnectionError):
            self.wfile.write(content[: len(content) - answer.cut])
        if answer.stays:
            self.server.over.wait()


@contextmanager
def answering(*answers: Answer) -> Iterator[AnsweringServer]:
    """Such a server, for as long as that lasts."""
    server = AnsweringServer(answers)
    with in_thread(server, server.over):
        yield server
