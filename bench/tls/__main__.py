"""`python -m bench.tls`: a table of TLS transports, each in turn; a figure is the median of three runs."""

from __future__ import annotations

import resource
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import util
from pathlib import Path
from statistics import median

from ..catalogue import make_certificate

TRANSPORTS = ("hubbub", "uvloop", "asyncio", "aiofastnet")
IDLE = 1_000
READERS = 20
PIECES = 200
PIECE_SIZE = 64 * 1024
RUN_TIME = 60.0


def connect(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A client that blocks."""
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port)))


@contextmanager
def serving(kind: str, certificate: str) -> Iterator[tuple[int, int]]:
    """The process and the port of a server."""
    command = ("taskset", "-c", "0", sys.executable, "-m", "bench.tls.server", kind, certificate)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            yield program.pid, int(program.stdout.readline())
        finally:
            program.kill()


def memory_of(pid: int) -> int:
    """Its resident bytes (proc_pid_statm(5))."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def idle_memory(kind: str, certificate: str, context: ssl.SSLContext) -> float:
    """Bytes of resident memory for an idle connection."""
    with serving(kind, certificate) as (pid, port), ExitStack() as stack:
        # What the first connection makes is made once.
        stack.enter_context(connect(port, context))
        before = memory_of(pid)
        for _ in range(IDLE):
            stack.enter_context(connect(port, context))
        return (memory_of(pid) - before) / IDLE


def fan_out(kind: str, certificate: str, context: ssl.SSLContext) -> tuple[float | None, float]:
    """Bytes per second to all readers together, None if not all arrive in time; bytes of memory for each, then."""
    with serving(kind, certificate) as (pid, port), ExitStack() as stack, selectors.DefaultSelector() as selector:
        # What the first connection makes is made once.
        connect(port, context).close()
        before = memory_of(pid)
        for _ in range(READERS):
            reader = stack.enter_context(connect(port, context))
            reader.setblocking(False)
            selector.register(reader, selectors.EVENT_READ)
        sender = stack.enter_context(connect(port, context))
        total = READERS * PIECES * PIECE_SIZE
        start = time.monotonic()
        sender.sendall(b"go %d" % PIECES)
        while total > 0 and time.monotonic() < start + RUN_TIME:
            for key, _ in selector.select(1.0):
                total -= read(key.fileobj)
        seconds = time.monotonic() - start
        memory = (memory_of(pid) - before) / READERS
        return None if total > 0 else READERS * PIECES * PIECE_SIZE / seconds, memory


def read(reader: object) -> int:
    """Read all that has arrived; how many bytes it was."""
    assert isinstance(reader, ssl.SSLSocket)
    size = 0
    try:
        while data := reader.recv(1 << 20):
            size += len(data)
    except ssl.SSLWantReadError:
        pass
    return size


def main() -> None:
    """Measure and print."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with tempfile.TemporaryDirectory() as folder:
        certificate = str(make_certificate(Path(folder)))
        kinds = [kind for kind in TRANSPORTS if util.find_spec(kind)]
        kinds += ["asyncio"] * ("asyncio" not in kinds)
        memories = {kind: [idle_memory(kind, certificate, context) for _ in range(3)] for kind in kinds}
        seen: dict[str, list[tuple[float | None, float]]] = {kind: [] for kind in kinds}
        for _ in range(3):
            for kind in kinds:
                seen[kind].append(fan_out(kind, certificate, context))
    print("| transport | bytes for an idle connection | for one that has read | MB/s to 20 readers |")  # noqa: T201 - the table
    print("|---|---:|---:|---:|")  # noqa: T201 - the table
    for kind in kinds:
        arrived = [rate for rate, _ in seen[kind] if rate is not None]
        shown = f"{median(arrived) / 1e6:,.0f}" if len(arrived) == 3 else f"did not arrive within {RUN_TIME:g} s"
        used = median(memory for _, memory in seen[kind])
        print(f"| {kind} | {median(memories[kind]):,.0f} | {used:,.0f} | {shown} |")  # noqa: T201 - the table


main()
