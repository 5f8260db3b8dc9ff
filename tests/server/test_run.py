"""`hubbub.run`, and `python -m hubbub`: a server as a whole program."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import pytest

from support.programs import HUBBUB, Finished, finish, refuses, serving_program, wait_until

PROGRAM = """
import asyncio
import contextlib
import sys

import hubbub

class Printer(hubbub.Observer):
    def started(self, server: hubbub.Server) -> None:
        print(f"Server started at: {server.addresses[0]}", flush=True)
        print(type(asyncio.get_running_loop()).__module__, flush=True)

async def handler(client: hubbub.Client) -> None:
    async for message in client:
        if message == "close":
            await client.server.close()
        if message == "fill":
            await client.server.broadcast("x" * 8_000_000)
        await client.send(f"You said: {message}")
        while message == "stay":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

%s
hubbub.run(handler, port=0, observer=Printer(), settings=hubbub.Settings(drain_time=3600, cancel_time=0.3))
print("The server has ended.", flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM % "")
    return path


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, "close"])
def test_a_signal_or_a_close_drains_the_server_and_run_returns(how: signal.Signals | str, program: Path) -> None:
    with serving_program(sys.executable, str(program)) as server, server.peer() as peer:
        peer.send(b"Hey\n")
        assert peer.line() == b"You said: Hey\n"
        if isinstance(how, signal.Signals):
            server.signal(how)
        else:
            peer.send(f"{how}\n".encode())
        assert peer.rest() == b"server is closing\n"
        peer.close()
        assert server.output.rest().endswith(b"\nThe server has ended.\n")
        assert server.wait() == 0
        assert server.errors.rest() == b""


@pytest.mark.parametrize("missing", ["<&-", "<&- 2>&-"])
def test_a_program_without_its_standard_streams_serves_and_ends_like_others(missing: str, program: Path) -> None:
    command = ("sh", "-c", f'exec "$0" "$@" {missing}', sys.executable, str(program))
    with serving_program(*command) as server, server.peer() as peer:
        peer.send(b"Hey\n")
        assert peer.line() == b"You said: Hey\n"
        server.signal(signal.SIGTERM)
        assert peer.rest() == b"server is closing\n"
        peer.close()
        assert server.wait() == 0
        assert server.output.rest().endswith(b"\nThe server has ended.\n")


def test_a_second_ctrl_c_ends_the_program_at_once(program: Path) -> None:
    with serving_program(sys.executable, str(program)) as server, server.peer(receive_buffer=4096) as peer:
        # More than sockets hold, and the peer reads no more of it.
        peer.send(b"fill\n")
        assert peer.exactly(1) == b"x"
        server.signal(signal.SIGINT)
        wait_until(lambda: refuses(server.endpoint), "end of listening")
        server.signal(signal.SIGINT)
        assert server.wait() == -signal.SIGINT
        assert server.errors.rest().endswith(b"\nKeyboardInterrupt\n")


def test_a_handler_that_swallows_its_cancellation_is_named_and_keeps_nobody(program: Path) -> None:
    with serving_program(sys.executable, str(program)) as server, server.peer() as peer:
        peer.send(b"stay\n")
        assert peer.line() == b"You said: stay\n"
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        server.errors.expect(rb"the handler of %s does not end" % peer.name.encode())
        assert server.output.rest().endswith(b"\nThe server has ended.\n")


def test_a_port_in_use_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        program.write_text((PROGRAM % "").replace("port=0", f"port={port}"))
        finished = finish(sys.executable, str(program))
    advice = "stop the program that listens there, or choose another port"
    errors = f"cannot listen on 127.0.0.1:{port}: Address already in use; {advice}\n"
    assert finished == Finished(status=1, output="", errors=errors)


@pytest.mark.parametrize(("preparation", "loop"), [("", "uvloop"), ("sys.modules['uvloop'] = None", "asyncio")])
def test_it_runs_on_uvloop_where_that_is_installed(preparation: str, loop: str, tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM % preparation)
    with serving_program(sys.executable, str(path)) as server:
        assert server.output.line().decode().startswith(loop)


def test_python_m_hubbub_is_hubbub() -> None:
    finished = finish(*HUBBUB, "--version")
    assert (finished.status, finished.errors) == (0, "")
    assert finished.output.startswith("hubbub ")
    assert finish(*HUBBUB, "--help").output == finish(str(Path(sys.executable).with_name("hubbub")), "--help").output
