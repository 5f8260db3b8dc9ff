"""hubbub between programs that are not part of it: telnet, nc, ncat, socat, and a client written in Node."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hubbub import Address

from support.certificates import make_certificates
from support.programs import (
    Program,
    ServerProgram,
    TerminalProgram,
    finish,
    hubbub_serve,
    require_program,
    wait_until,
)

pytestmark = pytest.mark.real

TESTS = Path(__file__).parents[1]


def telnet(endpoint: Address) -> list[str]:
    return [require_program("telnet"), endpoint.host, str(endpoint.port)]


def nc(endpoint: Address) -> list[str]:
    # At the end of the input it ends its stream, as the others do.
    return [require_program("nc"), "-N", endpoint.host, str(endpoint.port)]


def ncat(endpoint: Address) -> list[str]:
    return [require_program("ncat"), endpoint.host, str(endpoint.port)]


def socat(endpoint: Address) -> list[str]:
    # It waits that many seconds for the other direction when one has ended.
    return [require_program("socat"), "-t", "20", "-", f"TCP:{endpoint}"]


def node(endpoint: Address) -> list[str]:
    return [require_program("node"), str(TESTS / "support" / "real_client.js"), endpoint.host, str(endpoint.port)]


TELNET_ESCAPE = b"\x1d"
"""Behind it telnet takes commands."""

PIPES = [nc, ncat, socat, node]
"""Those that carry every byte as it is, and end their stream where their input ends."""


class Connected:
    """A program that is connected to a server.

    Attributes:
        program: the program.
        name: its address and port, as the server sees them.
    """

    def __init__(self, program: Program, name: str) -> None:
        self.program = program
        self.name = name

    def hear(self, *lines: str) -> None:
        """See that exactly these lines come next."""
        expected = "".join(f"{line}\n" for line in lines).encode()
        assert self.program.output.exactly(len(expected)) == expected

    def say(self, line: str) -> None:
        self.program.send(f"{line}\n".encode())


@contextmanager
def connected(
    server: ServerProgram, command: Callable[[Address], list[str]], stdin: Path | None = None
) -> Iterator[Connected]:
    """A program that is connected to a server, and has said all that it says before the first message."""
    with ExitStack() as stack:
        source = subprocess.PIPE if stdin is None else stack.enter_context(stdin.open("rb")).fileno()
        program = stack.enter_context(Program(*command(server.endpoint), stdin=source))
        name = server.new_client()
        if command is telnet:
            program.output.expect(rb"Escape character is '\^\]'\.\n")
        yield Connected(program, name)


def test_programs_of_all_kinds_chat_with_each_other() -> None:
    with hubbub_serve("chat") as server, ExitStack() as stack:
        everybody: list[Connected] = []
        for command in (telnet, nc, ncat, socat, node):
            newcomer = stack.enter_context(connected(server, command))
            for other in everybody:
                other.hear(f"{newcomer.name} connected.")
            everybody.append(newcomer)
        for speaker in everybody:
            speaker.say("Hey, é and 語")
            for other in everybody:
                if other is not speaker:
                    other.hear(f"{speaker.name} says: Hey, é and 語")
        for leaver in everybody[:-1]:
            leaver.program.end()
            for other in everybody[everybody.index(leaver) + 1 :]:
                other.hear(f"{leaver.name} disconnected.")
        # Nobody has heard anything else, nor themselves.
        for leaver in everybody[:-1]:
            assert leaver.program.wait() in (0, 1)
            assert leaver.program.output.rest() == b""


@pytest.mark.parametrize("command", PIPES)
def test_the_last_line_needs_no_end_and_is_answered_after_the_end_of_the_stream(
    command: Callable[[Address], list[str]],
) -> None:
    with hubbub_serve("echo") as server, connected(server, command) as client:
        client.program.send(b"a\nb")
        client.program.end()
        assert client.program.output.rest() == b"We got your message: a\nWe got your message: b\n"
        assert client.program.wait() == 0
        assert server.output.lines(3) == [
            f"{client.name} said: a",
            f"{client.name} said: b",
            f"{client.name} disconnected.",
        ]


@pytest.mark.parametrize("command", [nc, *(pytest.param(each, marks=pytest.mark.long) for each in PIPES[1:])])
def test_every_byte_goes_through_a_relay_as_it_is(command: Callable[[Address], list[str]], tmp_path: Path) -> None:
    data = b"LF\nCR LF\r\n\r\n\ntwo CR\r\r\nin\rside\n" + bytes(range(10)) + bytes(range(11, 256)) + b"\nno end"
    path = tmp_path / "data"
    path.write_bytes(data)
    with hubbub_serve("relay") as server, ExitStack() as stack:
        readers = [stack.enter_context(connected(server, reader)) for reader in PIPES]
        with connected(server, command, path) as sender:
            # A line that has no end gets one, for another may follow it.
            for reader in readers:
                assert reader.program.output.exactly(len(data) + 1) == data + b"\n"
        server.output.expect(rb"%s disconnected\.\n" % sender.name.encode())
        server.stop()
        for reader in readers:
            reader.program.end()
            assert reader.program.output.rest() == b"server is closing\n"
            assert reader.program.wait() == 0


def test_over_tls_ncat_is_answered_all_whole_lines_though_it_does_not_end_its_stream_as_tls_asks(
    tmp_path: Path,
) -> None:
    with hubbub_serve("echo", *make_certificates(tmp_path).options) as server:
        host, port = server.endpoint
        ended = finish(require_program("ncat"), "--ssl", host, str(port), input=b"a\nb\nunfinished")
        assert ended.output == "We got your message: a\nWe got your message: b\n"
        name = server.new_client()
        assert server.output.lines(3) == [f"{name} said: a", f"{name} said: b", f"{name} disconnected."]


def test_what_telnet_negotiates_is_refused_and_is_no_text() -> None:
    with hubbub_serve("echo") as server, TerminalProgram(*telnet(server.endpoint)) as program:
        name = server.new_client()
        for command, shown in {
            "toggle options": rb"Will show option processing\.",
            "send will echo": rb"SENT WILL ECHO.*RCVD DONT ECHO",
            "send do naws": rb"SENT DO NAWS.*RCVD WONT NAWS",
            "send ayt": rb"SENT IAC AYT",
            "send nop": rb"SENT IAC NOP",
        }.items():
            tell_telnet(program, command)
            program.output.expect(shown)
        wait_until(lambda: program.line_end == TELNET_ESCAPE, "end of telnet's command")
        program.send(b"after it\r")
        program.output.expect(rb"We got your message: after it\r\n")
        tell_telnet(program, "quit")
        assert server.output.lines(2) == [f"{name} said: after it", f"{name} disconnected."]


def test_putty_says_the_right_secret_and_is_heard_without_what_it_negotiates(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    with hubbub_serve("relay", f"--secret-file={secret}") as server, server.peer() as witness:
        host, port = server.endpoint
        witness.send(b"open sesame\n")
        server.inside(witness)
        with Program(require_program("plink"), "-telnet", "-P", str(port), host) as putty:
            putty.send(b"open sesame\n")
            name = server.new_client()
            witness.send(b"Hey\n")
            assert putty.output.line() == b"Hey\n"
            # What looks like a command, it escapes.
            putty.send(b"first \xff\xfb\n")
            assert witness.line() == b"first \xff\xfb\n"
            # It says by a command that its input has ended, and still listens.
            putty.end()
            witness.send(b"Bye\n")
            assert putty.output.line() == b"Bye\n"
        server.output.expect(rb"%s disconnected\.\n" % name.encode())
        server.stop()
        assert witness.rest() == b"server is closing\n"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_of_what_a_web_page_posts_to_a_relay_nobody_hears(scheme: str) -> None:
    with hubbub_serve("relay") as server, server.new_peer() as witness:
        curl = require_program("curl"), "--silent", "--http0.9", "--data-binary", "$FORGED\n"
        ended = finish(*curl, f"{scheme}://{server.endpoint}/x")
        protocol = "HTTP" if scheme == "http" else "TLS"
        assert scheme == "https" or ended.output == "HTTP is not spoken here\n"
        server.output.expect(rb" disconnected \(wrong-protocol: %s is not spoken here\)\.\n" % protocol.encode())
        server.stop()
        assert witness.rest() == b"server is closing\n"


def tell_telnet(program: TerminalProgram, command: str) -> None:
    """Give telnet a command of its own."""
    # What is typed before telnet has set up the terminal for its escape character is not taken for it.
    wait_until(lambda: program.line_end == TELNET_ESCAPE, "end of telnet's last command")
    program.send(TELNET_ESCAPE)
    program.output.expect(rb"telnet> ")
    program.send(command.encode() + b"\n")
    program.output.expect(command.encode() + rb"\r\n")
