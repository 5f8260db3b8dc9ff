"""`hubbub serve` with a place for lines and one for HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hubbub import Address

from support.programs import HUBBUB, Peer, ServerProgram, address_in, serving_program


@dataclass(frozen=True)
class WebProgram:
    """A relay that serves lines and HTTP.

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
    *options: str, ports: tuple[int, int] = (0, 0), scheme: str = "http", query: str = ""
) -> Iterator[WebProgram]:
    """A relay for lines and HTTP; if it is not killed, it must end cleanly."""
    plain, web = ports
    places = (f"--listen=tcp://127.0.0.1:{plain}", f"--listen={scheme}://127.0.0.1:{web}{query}")
    with serving_program(*HUBBUB, "serve", "relay", "--quiet", *places, *options) as server:
        yield WebProgram(server, address_in(server.output.line()))
