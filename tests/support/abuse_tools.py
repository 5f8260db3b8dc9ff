"""What tests under load share: crowds of clients in programs of their own, and what a server costs meanwhile."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest

from hubbub import Address

from support.crowd import stream
from support.programs import WAIT_TIME, Program, ServerProgram, require_program, serving_program

KIB = 1024
MIB = 1024 * KIB

LIFTED = [f"--{name}=none" for name in ("clients-limit", "clients-per-address", "clients-per-subnet", "connect-rate")]
"""Options of `hubbub serve` with which any number of clients may come from one machine."""

UNLIMITED: dict[str, Any] = {option.strip("-").split("=")[0].replace("-", "_"): None for option in LIFTED}
"""The same, as settings."""

UNMEASURED = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
"""Variables by which coverage leaves a program alone: what it notes down costs time and memory too."""

SUPPORT = Path(__file__).parent


class Crowd(Program):
    """Clients in a program of their own, so that their work is not the test's.

    Args:
        role: what they do, which is a function of `crowd.py`.
        endpoint: the server.
        before: a command that starts it, such as one of another network namespace.
        options: those of the role.

    Attributes:
        first: what it told when it was there.
    """

    def __init__(self, role: str, endpoint: Address, *, before: tuple[str, ...] = (), **options: Any) -> None:
        text = json.dumps({"endpoint": list(endpoint), **options})
        super().__init__(*before, sys.executable, str(SUPPORT / "crowd.py"), role, text, env=UNMEASURED)
        self.first = self.told()

    def told(self) -> dict[str, Any]:
        """What it tells next."""
        # Large ones need a while.
        deadline = time.monotonic() + 1200
        while not (line := self.output.line()):
            assert self.running, self.errors.rest().decode()
            assert time.monotonic() < deadline, "the crowd tells nothing"
        told: dict[str, Any] = json.loads(line)
        return told

    def ask(self, word: object = "go") -> dict[str, Any]:
        """Say a word, and wait for what it tells."""
        self.send(f"{word}\n".encode())
        return self.told()


class Meanwhile:
    """Does one thing again and again in a thread, with `pause` seconds between; leaving raises what went wrong."""

    def __init__(self, *, pause: float = 0.0) -> None:
        self._pause = pause
        self._error: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._over.set()
        self._thread.join(2 * WAIT_TIME)
        assert not self._thread.is_alive(), f"{type(self).__name__} has come to a stop"
        if self._error is not None:
            raise self._error

    def step(self) -> None:
        """Do it."""
        raise NotImplementedError

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self.step()
                self._over.wait(self._pause)
        except BaseException as error:
            self._error = error


class Watch(Meanwhile):
    """Looks at a figure four times a second; `peak` is the largest."""

    def __init__(self, look: Callable[[], float]) -> None:
        super().__init__(pause=0.25)
        self.peak = look()
        self._look = look

    def __exit__(self, *details: object) -> None:
        super().__exit__(*details)
        self.step()

    def step(self) -> None:
        self.peak = max(self.peak, self._look())


class StreamSender:
    """A client that says the stream of `crowd.py`, as fast as it is let, up to `position`."""

    def __init__(self, endpoint: Address) -> None:
        self._socket = socket.create_connection(endpoint)
        self._data = memoryview(stream())
        self.position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._socket.close()

    def say(self, size: int) -> None:
        """Say so much more of it."""
        while size:
            start = self.position % len(self._data)
            piece = self._data[start : start + min(size, MIB)]
            self._socket.sendall(piece)
            self.position += len(piece)
            size -= len(piece)

    @contextmanager
    def saying(self) -> Iterator[None]:
        """Say it on and on, meanwhile, in a thread; until the server ends the connection at the latest."""
        with ThreadPoolExecutor() as threads:
            threads.submit(self.say, 2**62)
            try:
                yield
            finally:
                # What it says then fails.
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving_with(settings: dict[str, Any], *, before: tuple[str, ...] = ()) -> Iterator[ServerProgram]:
    """A relay with settings that are no options of `hubbub serve`, and with `host`; `before` is in front of it."""
    command = (*before, sys.executable, str(SUPPORT / "telling_server.py"), json.dumps(settings))
    with serving_program(*command, env=UNMEASURED) as server:
        yield server


def resident_memory(pid: int) -> int:
    """The bytes of a process that are in memory (proc_pid_statm(5))."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def kernel_memory(port: int, peers: set[int]) -> int:
    """The bytes that the kernel holds for a server's connections to these ports, if nobody owns them too (ss(8))."""
    shown = subprocess.check_output([require_program("ss"), "-tmnHO", f"sport = :{port}"], text=True)
    found = re.findall(r":(\d+)\s+skmem:\(r(\d+),rb\d+,t(\d+),tb\d+,f(\d+),w(\d+),o(\d+),bl(\d+)", shown)
    return sum(sum(map(int, sizes)) for peer, *sizes in found if int(peer) in peers)


def forget_peak(server: ServerProgram) -> None:
    """Let `peak` begin anew (proc_pid_clear_refs(5))."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")


def peak(server: ServerProgram) -> int:
    """The most bytes of its memory that were resident since `forget_peak`."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * KIB


def unread_in_kernel(endpoint: Address) -> int:
    """The bytes that the kernel has for all connections of a server on 127.0.0.1, and that it has not read."""
    local = f"0100007F:{endpoint.port:04X}"
    connections = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(fields[4].split(":")[1], 16) for fields in connections if fields[1] == local and fields[3] == "01")


def endings(server: ServerProgram) -> dict[str, int]:
    """How many connections have ended, by code, as the server tells when it is asked (SIGUSR1)."""
    server.signal(signal.SIGUSR1)
    told = server.errors.expect(rb"accepted: \d+; ended: ([^;]*);")[1].decode()
    return {} if told == "none" else {code: int(count) for code, count in (one.split() for one in told.split(", "))}


def cpu_time(pid: int) -> float:
    """The seconds of processor time that a process has taken (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int, kind: str = "") -> int:
    """How many a process has open, of those whose name begins so (proc_pid_fd(5))."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        # It may be closed by now.
        with suppress(OSError):
            count += str(entry.readlink()).startswith(kind)
    return count


def settle(server: ServerProgram) -> None:
    """Wait until every connection that was made before is served."""
    with server.peer() as peer:
        # Connections are accepted in their order, and this message is answered to its sender alone.
        peer.send(b"x" * 70_000)
        assert peer.line() == b"message longer than 65536 bytes\n"


@contextmanager
def many_descriptors(needed: int) -> Iterator[None]:
    """As many open files as a test needs, for the programs that it starts; without them it is skipped."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"a process may open {hard} files here, and the test needs {needed}")
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def compare(rounds: int, baseline: Callable[[], float], abused: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Measure two cases in turns, because a machine is not the same from one minute to the next."""
    figures = [(baseline(), abused()) for _ in range(rounds)]
    return [first for first, _ in figures], [second for _, second in figures]


def mib(size: float) -> str:
    return f"{size / MIB:.1f} MiB"
