"""`hubbub serve` with a place for lines and one for HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hubbub import Address

from support.programs import HUBBUB, Peer, ServerProgram, address_in, serving_program


@dataclass(frozen=True)
class WebProgram:
    """A server for lines and HTTP.

    Attributes:
        program: the program.
        web: where it serves HTTP.
    """

    program: ServerProgram
    web: Address

    @property
    def ports(self) -> tuple[int, int]:
        """Those of both places, for a server that takes its turn."""
        return self.program.endpoint.port, self.web.port

    @property
    def origin(self) -> str:
        """That of its pages."""
        return f"http://{self.web}"

    def say(self, *lines: str) -> None:
        """Say these lines as a client that comes for it, and wait until the server has them."""
        with Peer(self.program.endpoint) as speaker:
            speaker.send("".join(f"{line}\n" for line in lines).encode())
            speaker.end()
            # The other direction ends when all lines were taken.
            speaker.rest()

    def url(self, kind: str) -> str:
        """That of a stream of the root room."""
        return f"http://{self.web}/root/{kind}"


@contextmanager
def web_program(
    *options: str, app: str = "relay", ports: tuple[int, int] = (0, 0), query: str = "", cwd: Path | None = None
) -> Iterator[WebProgram]:
    """An app for lines and HTTP, whose URL has that query; if it is not killed, it must end cleanly."""
    plain, web = ports
    places = (f"--listen=tcp://127.0.0.1:{plain}", f"--listen=http://127.0.0.1:{web}{query}")
    with serving_program(*HUBBUB, "serve", app, "--quiet", *places, *options, cwd=cwd) as server:
        yield WebProgram(server, address_in(server.output.line()))
