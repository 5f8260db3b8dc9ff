"""A server that is measured: how it is started, and how it is stopped."""

from __future__ import annotations

import errno
import importlib.util
import os
import random
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRATCH: Final = Path(__file__).parent / "build"
"""Where servers keep their files while they run."""

START_TIME: Final = 10.0
"""How long a server may take until it listens, in seconds."""

STOP_TIME: Final = 5.0
"""How long it may take to end before it is killed, in seconds."""


class PeerError(Exception):
    """A server could not be started; the text says which and why."""


class Running(NamedTuple):
    """A server that runs.

    Attributes:
        pid: the number of its process.
        port: where its readers connect.
        sender_port: where a single sender does.
    """

    pid: int
    port: int
    sender_port: int

    @property
    def words(self) -> tuple[str, ...]:
        """What the load is told of it."""
        return ("--port", f"{self.port}", "--sender-port", f"{self.sender_port}", "--server-pid", f"{self.pid}")


@dataclass(frozen=True)
class Peer:
    """A server and the ways to start it.

    Attributes:
        name: as tables and plots show it.
        dialect: what the load speaks to it.
        commands: by mode (`relay`: what one says all others hear, `echo`: it answers, ...), the words of a command
            line; `{port}` and `{config}` stand for what they say, `{sender}` for the port of the sender, where it has
            one of its own, and `{folder}` for a new folder on the disk.
        programs: what must be on the PATH.
        modules: what must be importable.
        files: what else must be there.
        config: the text of its configuration file, if it needs one, with the same words in braces.
    """

    name: str
    dialect: str
    commands: dict[str, tuple[str, ...]]
    programs: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    config: str = ""

    @property
    def missing(self) -> str:
        """What this machine lacks to run it; "" if nothing."""
        programs = [program for program in self.programs if shutil.which(program) is None]
        modules = [module for module in self.modules if importlib.util.find_spec(module) is None]
        files = [file for file in self.files if not Path(file).exists()]
        return ", ".join([*programs, *modules, *files])

    @contextmanager
    def running(self, mode: str, processors: set[int]) -> Iterator[Running]:
        """Run it on a free port of 127.0.0.1, or on two.

        Raises:
            PeerError: it does not start.
        """
        port = free_port()
        has_sender = any("{sender}" in word for word in self.commands[mode])
        sender = free_port() if has_sender else port
        # The folder for temporary files may be in memory.
        SCRATCH.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
            config = Path(folder, "config")
            config.write_text(self.config.format(port=port, folder=folder))
            values = {"port": port, "sender": sender, "config": config, "folder": folder}
            words = [word.format(**values) for word in self.commands[mode]]
            log = Path(folder, "log")
            with log.open("wb") as output:
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=lambda: _prepare(processors),  # noqa: PLW1509 - there are no threads
                )
            try:
                _wait_until_listening(process, port, self.name, log)
                yield Running(process.pid, port, sender)
            finally:
                _stop(process)


def _prepare(processors: set[int]) -> None:
    os.sched_setaffinity(0, processors)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """A port on which nobody listens, below those that Linux by default gives out by itself (ip(7))."""
    while True:
        port = random.randrange(20_000, 32_768)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return port


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, name: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIME
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    said = log.read_text(errors="replace").strip().splitlines()
    raise PeerError(f"{name} does not start: {said[-1] if said else 'it says nothing'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIME)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
