"""Programs that tests start and talk with: hubbub's own commands, and others that are not part of it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar

import pytest

from hubbub import Address

from support.screens import render

WAIT_TIME = 60.0
"""How long a test waits for a program to do what it should do at once, in seconds: busy machines take 30 for it."""

HUBBUB = (sys.executable, "-m", "hubbub")

AnyPeer = TypeVar("AnyPeer", bound="Peer")
T = TypeVar("T")


def require_program(name: str) -> str:
    """The path of a program; without it, see `miss`."""
    return shutil.which(name) or miss(name)


def miss(what: str) -> NoReturn:
    """Skip the test, or fail it where HUBBUB_TESTS_REQUIRE_PROGRAMS is set: something is not installed."""
    if os.environ.get("HUBBUB_TESTS_REQUIRE_PROGRAMS"):
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


def require_ipv6() -> None:
    """Skip the test where IPv6 is off."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("IPv6 is off")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what no event tells; `what` it is, for the report."""
    deadline = time.monotonic() + WAIT_TIME
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {WAIT_TIME:g} s"
        time.sleep(0.01)


class Output:
    """What comes out of a pipe or a terminal, collected as it comes: no program waits because the test does.

    The descriptor is closed with it; it is None for an output that goes elsewhere.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._data = bytearray()
        self._read = 0
        self._ended = descriptor is None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._collect, args=(descriptor,), daemon=True)
        if descriptor is not None:
            self._thread.start()

    @property
    def unread(self) -> bytes:
        """What has come and was not read yet."""
        return bytes(self._data[self._read :])

    def expect(self, pattern: bytes) -> re.Match[bytes]:
        """Read up to the end of the first match; it fails without one."""
        search = re.compile(pattern, re.DOTALL).search
        found = self._wait(lambda: search(self._data, self._read))
        assert found is not None, f"expected {pattern!r}, but got {self.unread[-2000:]!r}"
        self._read = found.end()
        return found

    def line(self) -> bytes:
        """The next line; what there is, if the output ends first."""
        self._wait(lambda: self._data.find(b"\n", self._read) >= 0)
        end = self._data.find(b"\n", self._read) + 1 or len(self._data)
        return self._take(end)

    def lines(self, count: int) -> list[str]:
        """The next lines, as text without their ends."""
        return [self.line().decode().removesuffix("\n") for _ in range(count)]

    def exactly(self, size: int) -> bytes:
        """The next bytes; what there is, if the output ends first."""
        self._wait(lambda: len(self._data) - self._read >= size)
        return self._take(min(self._read + size, len(self._data)))

    def rest(self) -> bytes:
        """What comes until the end."""
        self._wait(lambda: False)
        assert self._ended, f"no end of the output, only {self.unread[-2000:]!r}"
        return self._take(len(self._data))

    def _take(self, end: int) -> bytes:
        taken = bytes(self._data[self._read : end])
        self._read = end
        return taken

    def _wait(self, look: Callable[[], T]) -> T:
        with self._changed:
            self._changed.wait_for(lambda: look() or self._ended, WAIT_TIME)
            return look()

    def _collect(self, descriptor: int) -> None:
        # A terminal whose programs are gone fails with EIO.
        with suppress(OSError):
            while data := os.read(descriptor, 65536):
                with self._changed:
                    self._data += data
                    self._changed.notify_all()
        os.close(descriptor)
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class Program:
    """A program that runs until it ends itself, or the test is over.

    It has its variables from `environment`. It reads what `send` sends and writes into `output`, unless `stdin` and
    `stdout` say otherwise, and into `errors`.
    """

    def __init__(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
    ) -> None:
        self._process = subprocess.Popen(
            command, env=environment(env), cwd=cwd, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE
        )
        self.output = Output(_detach(self._process.stdout))
        self.errors = Output(_detach(self._process.stderr))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, *details: object) -> None:
        if self.running:
            self._process.kill()
        self._process.wait()
        # Often it has said why a test fails.
        if error is not None and (said := self.errors.unread):
            error.add_note(f"{self._process.args!r} wrote: {said.decode(errors='replace')}")
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, data: bytes) -> None:
        """Write to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def end(self) -> None:
        """End its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait(WAIT_TIME)


@dataclass(frozen=True)
class Finished:
    """How a program has ended, and what it wrote."""

    status: int
    output: str
    errors: str


def finish(*command: str, input: bytes = b"", **options: Any) -> Finished:  # noqa: A002 (as subprocess.run has it)
    """Run a program to its end, with all its input at once."""
    with Program(*command, **options) as program:
        # It may not want it.
        with suppress(BrokenPipeError):
            program.send(input)
            program.end()
        status = program.wait()
        return Finished(status, program.output.rest().decode(), program.errors.rest().decode())


class TerminalProgram(Program):
    """A program on a terminal of its own: all its streams are the terminal."""

    def __init__(self, *command: str, cwd: Path | None = None) -> None:
        self._screen, terminal = pty.openpty()
        # The answers of a real terminal to what a program asks it are not to be awaited.
        env = environment({"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"})
        streams: Any = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
        self._process = subprocess.Popen(command, env=env, cwd=cwd, start_new_session=True, **streams)
        os.close(terminal)
        self.output = Output(os.dup(self._screen))
        self.errors = Output(None)

    @property
    def line_end(self) -> bytes:
        """The key that hands a line to the program as Enter does, if it has set one (VEOL, termios(3))."""
        characters = termios.tcgetattr(self._screen)[6]
        return bytes(characters[termios.VEOL])

    def wait_for_screen(self, *lines: str) -> None:
        """Wait until the terminal shows these lines and no others."""
        with suppress(AssertionError):
            wait_until(lambda: render(self.output.unread) == list(lines), "such screen")
        assert render(self.output.unread) == list(lines), self.output.unread

    def __exit__(self, kind: object, error: BaseException | None, *details: object) -> None:
        super().__exit__(kind, error, *details)
        os.close(self._screen)

    def resize(self, columns: int) -> None:
        """Give the terminal another width, without a signal that says so."""
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def send(self, data: bytes) -> None:
        """Type."""
        os.write(self._screen, data)


class ServerProgram(Program):
    """A program that says `Server started at: …`, which is the line `started`, and then serves at `endpoint`."""

    started: bytes
    endpoint: Address

    def wait_until_started(self) -> None:
        self.started = self.output.line()
        self.endpoint = address_in(self.started)

    def peer(self, **options: Any) -> Peer:
        """A peer of the server, which has not heard of it when this returns."""
        return Peer(self.endpoint, **options)

    def new_peer(self, **options: Any) -> Peer:
        """A peer of the server, which has told that it is connected."""
        return self.inside(self.peer(**options))

    def inside(self, peer: AnyPeer) -> AnyPeer:
        """The same peer, once the server has told that it is connected."""
        self.output.expect(rb"%s connected\.\n" % re.escape(peer.name.encode()))
        return peer

    def new_client(self) -> str:
        """The name of the next client that connects."""
        return self.output.expect(rb"(\S+) connected\.\n")[1].decode()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Let it drain; what else it writes on standard output."""
        self.signal(number)
        assert self.wait() == 0, self.errors.rest()
        return self.output.rest().decode()


@contextmanager
def serving_program(*command: str, **options: Any) -> Iterator[ServerProgram]:
    """A program that serves; it must end cleanly."""
    with ServerProgram(*command, **options) as server:
        server.wait_until_started()
        yield server
        if server.running:
            server.stop()


@contextmanager
def hubbub_serve(*arguments: str, **options: Any) -> Iterator[ServerProgram]:
    """`hubbub serve` on a port of its own, which tells of each client at once; it must end cleanly."""
    with serving_program(*HUBBUB, "serve", "--port=0", "--probe-time=0", *arguments, **options) as server:
        yield server


class Peer:
    """The other end of a connection: a plain socket that blocks, and has the name that the server sees."""

    def __init__(self, endpoint: Address, *, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET)
        self._socket.settimeout(WAIT_TIME)
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self._socket.connect(endpoint)
        except OSError:
            self._socket.close()
            raise
        self.name = str(Address.of(self._socket.getsockname()))
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end(self) -> None:
        """End the stream; the other direction stays open."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def reset(self) -> None:
        """Reset the connection, as a peer does that has crashed."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def line(self) -> bytes:
        """The next line; what there is, if the stream ends first."""
        return self._file.readline()

    def exactly(self, size: int) -> bytes:
        return self._file.read(size)

    def rest(self) -> bytes:
        """All that comes until the end of the stream."""
        return self._file.read()


def address_in(line: bytes) -> Address:
    """The address at the end of a line."""
    found = re.search(rb"\[?([0-9a-f.:]+(?:%\w+)?)\]?:(\d+)\W*$", line)
    assert found is not None, f"there is no address in {line!r}"
    return Address(found[1].decode(), int(found[2]))


def assert_relays(endpoint: Address) -> None:
    """See that what one peer says another hears, both ways."""
    with Peer(endpoint) as first, Peer(endpoint) as second:
        # Who connected first is known once the second is heard.
        for peer, other in ((second, first), (first, second)):
            peer.send(b"Hey\n")
            assert other.line() == b"Hey\n"


def refuses(endpoint: Address) -> bool:
    """Whether nobody listens there."""
    try:
        with closing(Peer(endpoint)):
            return False
    except ConnectionRefusedError:
        return True


def environment(variables: Mapping[str, str] | None) -> dict[str, str]:
    """These variables, and those of the tests but for those of hubbub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")}
    return {**kept, **(variables or {})}


def _detach(stream: Any) -> int | None:
    """The stream's descriptor, which it will not close."""
    if stream is None:
        return None
    with stream:
        return os.dup(stream.fileno())
